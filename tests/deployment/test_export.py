"""Exports answer as plain PyTorch does, from uint8 pixels, for any batch size; a damaged one is found."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import functional as tv

import netwright as nw
from netwright.cli.main import run as netwright
from netwright.config.models import MODELS, Model
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle, load_bundle, load_golden, save_bundle
from netwright.deployment.golden import Golden, blends, golden_outputs
from netwright.errors import InputError, WorkFailed
from netwright.models import build_model
from netwright.tasks.classification import Classification
from netwright.workflows import export as workflow
from netwright.workflows.export import export

OWN: dict[str, dict[str, Any]] = {
    "linear": {"model": {"name": "linear"}},
    "mlp": {"model": {"name": "mlp", "hidden_sizes": [20, 10], "batch_norm": True, "activation": "tanh"}},
    "nll": {"model": {"name": "mlp", "hidden_sizes": [8], "activation": "maxout"}, "output": "log_probabilities"},
    "bce": {"model": {"name": "linear"}, "output": "probabilities", "num_classes": 2, "num_outputs": 1},
    "bce_with_logits": {"model": {"name": "linear"}, "num_classes": 2, "num_outputs": 1},
    "speed record": {
        "model": {
            **{"name": "cnn", "channels": [8, 16], "whitening": 2, "activation": "gelu", "batch_norm": True},
            **{"init": "identity", "pool_first": True, "norm_scale": False, "conv_bias": False},
            **{"global_pooling": "max", "head_scale": 0.1},
        },
        "views": "mirror_shift",
    },
    "even kernel": {
        "model": {
            **{"name": "cnn", "channels": [6, 8], "kernel_size": 4, "activation": "maxout", "pooling": "average"},
            **{"classifier_sizes": [12], "classifier_batch_norm": True, "batch_norm": True},
        },
        "views": "mirror",
    },
}  # fmt: skip
OF_THE_SLOW = ("linear", "nll", "bce_with_logits")
FAMILIES = [
    *(
        "resnet18",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "squeezenet1_1",
        "densenet121",
        "efficientnet_b0",
        "shufflenet_v2_x0_5",
    ),
    *("mnasnet0_5", "regnet_y_400mf", "googlenet", "inception_v3", "vgg11", "convnext_tiny", "swin_t", "vit_b_32"),
    *("maxvit_t", "efficientnet_v2_s", "resnext50_32x4d", "swin_v2_t", "alexnet"),
]
SIZES = {"inception_v3": 96, "maxvit_t": 224, "squeezenet1_1": 64, "googlenet": 64, "alexnet": 64}


def settled(network: nn.Module, images: Tensor) -> None:
    """Give batch norm the statistics of some images, as training does, and a head of zeros (ViT's) other weights: fresh
    ones make all images alike."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.momentum = 1.0
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            nn.init.normal_(layer.weight)
    network.train()
    with torch.no_grad():
        network(images)


def make_bundle(folder: Path, case: dict[str, Any], *, side: int = 16, channels: int = 3) -> nn.Module:
    """Write a bundle of a network with random weights; return the network."""
    torch.manual_seed(0)
    model = MODELS.convert(case["model"], "model")
    assert isinstance(model, Model)
    output, num_classes = case.get("output", "logits"), case.get("num_classes", 5)
    task = Classification(tuple(f"class {k}" for k in range(num_classes)), output, case.get("num_outputs", num_classes))
    size = (side, side)
    network = build_model(
        model, in_channels=channels, image_size=size, num_outputs=task.num_outputs, output=task.output
    )
    transform = EvalTransform(
        channels=channels,
        image_size=size,
        store_size=size,
        mean=(0.4, 0.5, 0.6)[:channels],
        std=(0.2, 0.3, 0.25)[:channels],
        views=case.get("views", "none"),
    )
    noise = torch.randint(0, 256, (40, side, side, channels), dtype=torch.uint8)
    settled(network, transform.finish(noise[:8]))
    images = blends(noise)
    golden = Golden("synthetic", images, golden_outputs(network.eval(), transform, None, images))
    bundle = Bundle(
        model, channels, size, task, transform, epoch=1, metrics={}, data={"name": "noise"}, temperature=1.5
    )
    save_bundle(folder, bundle, network.state_dict(), golden)
    return network.eval()


def by_hand(network: nn.Module, images: np.ndarray, views: str) -> np.ndarray:
    """What torchvision's ToTensor and Normalize and the network give."""
    ready = torch.stack([tv.normalize(tv.to_tensor(image), [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]) for image in images])
    with torch.no_grad():
        if views == "mirror":
            return ((network(ready) + network(tv.hflip(ready))) / 2).numpy()
        if views == "mirror_shift":
            padded = nn.functional.pad(ready, (1, 1, 1, 1), mode="reflect")
            moved = [ready, padded[..., :-2, :-2], padded[..., 2:, 2:]]
            means = [(network(each) + network(tv.hflip(each))) / 2 for each in moved]
            return (means[0] / 2 + means[1] / 4 + means[2] / 4).numpy()
        return network(ready).numpy()


def check_onnx(path: Path, network: nn.Module, case: dict[str, Any], *, side: int = 16) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    expected = by_hand(network, images, case.get("views", "none"))
    for some in (images, images[:1]):
        logits, probabilities = session.run(["logits", "probabilities"], {"images": some})
        np.testing.assert_allclose(logits, expected[: len(some)], atol=1e-4 * np.abs(expected).max(), rtol=0)
        scores = torch.from_numpy(expected[: len(some)]).double()
        if scores.shape[1] == 1:
            odds = torch.logit(scores) if case.get("output") == "probabilities" else scores
            second = torch.sigmoid(odds / 1.5)
            wanted = torch.cat([1 - second, second], dim=1)
        else:
            wanted = torch.softmax(scores / 1.5, dim=1)
        # a softmax of large logits is as far off as they are
        np.testing.assert_allclose(probabilities, wanted.numpy(), atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in OF_THE_SLOW else ()) for name in OWN]
)
def test_our_networks_answer_through_onnx_runtime(name: str, tmp_path: Path) -> None:
    network = make_bundle(tmp_path / "bundle", OWN[name])
    result = export(tmp_path / "bundle", out=tmp_path / "model.onnx")
    assert result["compared"]["golden"]["relative_difference"] < 1e-4
    assert result["not_compared"] == "a bundle alone has no data"
    check_onnx(tmp_path / "model.onnx", network, OWN[name])


def test_every_family_of_torchvision_is_among_them() -> None:
    def module(name: str) -> str:
        return models.get_model_builder(name).__module__

    assert {module(name) for name in models.list_models(module=models)} == {module(name) for name in FAMILIES}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", FAMILIES)
def test_torchvisions_families_answer_through_onnx_runtime(name: str, tmp_path: Path) -> None:
    case = {"model": {"name": name}}
    side = SIZES.get(name, 64)
    network = make_bundle(tmp_path / "bundle", case, side=side)
    result = export(tmp_path / "bundle", out=tmp_path / "model.onnx")
    assert result["compared"]["golden"]["largest_logit"] > 0
    check_onnx(tmp_path / "model.onnx", network, case, side=side)


def test_a_file_says_what_it_is_and_nothing_of_this_machine(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", OWN["linear"])
    for name in ("model.onnx", "again.onnx", "model.pt2"):
        export(tmp_path / "bundle", out=tmp_path / name)
    content = (tmp_path / "model.onnx").read_bytes()
    assert content == (tmp_path / "again.onnx").read_bytes()
    for path in (tmp_path / "model.onnx", tmp_path / "model.pt2"):
        assert str(Path(nw.__file__).parents[2]).encode() not in path.read_bytes()
        assert b".py" not in path.read_bytes()
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["class_names"]) == [f"class {k}" for k in range(5)]
    assert about["task"] == "classification"
    assert json.loads(about["transform"])["mean"] == [0.4, 0.5, 0.6]
    assert json.loads(about["versions"])["torch"] == torch.__version__.partition("+")[0]
    shapes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input]
    assert shapes == [["batch", 16, 16, 3]]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_torch_file_answers_too(tmp_path: Path) -> None:
    network = make_bundle(tmp_path / "bundle", OWN["even kernel"])
    assert export(tmp_path / "bundle", out=tmp_path / "model.pt2")["format"] == "torch"
    about = {"metadata.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=about)
    assert json.loads(about["metadata.json"])["model"] == "cnn"
    images = np.random.default_rng(1).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    for some in (images, images[:1]):
        logits, probabilities = program.module()(torch.from_numpy(some))
        expected = by_hand(network, some, "mirror")
        torch.testing.assert_close(logits, torch.from_numpy(expected), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(probabilities, torch.softmax(logits / 1.5, dim=1))


def perturbed(content: bytes, place: int, by: float) -> bytes:
    """Change one weight of an ONNX file by a part of its tensor's largest; tanh lets any weight be felt."""
    model = onnx.load_model_from_string(content)
    floats = [
        each for each in model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT and len(each.dims) > 1
    ]
    tensor = floats[place % len(floats)]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[values.size // 2] += by * np.abs(values).max()
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("by", [1.0, float("nan")])
def test_one_wrong_weight_is_found_and_nothing_is_written(
    by: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(tmp_path / "bundle", OWN["mlp"])
    good = workflow.onnx_bytes
    monkeypatch.setattr(workflow, "onnx_bytes", lambda *given: perturbed(good(*given), 1, by))
    (tmp_path / "model.onnx").write_text("an older file")
    assert netwright(["export", str(tmp_path / "bundle"), "--out", str(tmp_path / "model.onnx")]) == 6
    said = capsys.readouterr().err
    assert "golden sample" in said
    assert "'class " in said
    assert (tmp_path / "model.onnx").read_text() == "an older file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model.onnx"]


def test_a_bundle_that_answers_otherwise_than_when_it_was_made_is_told_of(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", OWN["linear"])
    bundle, weights = load_bundle(tmp_path / "bundle")
    golden = load_golden(tmp_path / "bundle")
    assert golden is not None
    save_bundle(tmp_path / "bundle", bundle, weights, Golden(golden.kind, golden.images, golden.logits * 1.01))
    with pytest.raises(WorkFailed, match="the bundle as it is computed here does not answer"):
        export(tmp_path / "bundle", out=tmp_path / "model.onnx")


def test_a_run_is_compared_on_val(trained: nw.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert netwright(["export", str(trained.path), "--out", str(tmp_path / "model.onnx"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {name: each["num_images"] for name, each in result["compared"].items()} == {"golden": 8, "val": 256}
    pixels = np.rint(load_digits().images[:9] * 255 / 16).astype(np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {"images": pixels[..., None]})[0]
    for row, answer in zip(found, trained.predict(pixels), strict=True):
        assert row == pytest.approx([answer["probabilities"][str(k)] for k in range(10)], abs=1e-5)


def test_int8_says_what_it_costs(trained: nw.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert netwright(["export", str(trained.path), "--int8", "--out", str(tmp_path / "model.onnx"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    val = json.loads((trained.path / "split.json").read_text())["splits"]["val"]
    digits = load_digits()
    pixels = np.rint(digits.images[val] * 255 / 16).astype(np.uint8)[..., None]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    right = session.run(["logits"], {"images": pixels})[0].argmax(axis=1) == digits.target[val]
    cost = result["accuracy"]["val"]
    assert cost["int8"] == pytest.approx(right.mean())
    assert cost["fp32"] == pytest.approx(trained.metrics["val"]["accuracy"])
    assert cost["lost"] == pytest.approx(cost["fp32"] - cost["int8"])
    assert cost["lost"] < 0.03
    assert cost["num_samples"] == len(val)
    assert result["bytes"] < 0.6 * result["bytes_fp32"]
    model = onnx.load(tmp_path / "model.onnx")
    assert any(each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 2 for each in model.graph.initializer)
    assert {entry.key: entry.value for entry in model.metadata_props}["quantized"] == "int8"


def test_a_bundle_as_one_file(trained: nw.Run, tmp_path: Path) -> None:
    result = export(trained.path, out=tmp_path / "model.zip")
    assert result["format"] == "bundle"
    assert load_bundle(tmp_path / "model.zip")[0] == load_bundle(trained.path / "bundle")[0]
    export(trained.path / "bundle", out=tmp_path / "again.zip")
    export(tmp_path / "model.zip", out=tmp_path / "third.zip")
    assert len({(tmp_path / name).read_bytes() for name in ("model.zip", "again.zip", "third.zip")}) == 1
    export(trained.path, out=tmp_path / "blends.zip", golden="synthetic")
    golden = load_golden(tmp_path / "blends.zip")
    assert golden is not None
    assert golden.kind == "synthetic"
    export(trained.path, out=tmp_path / "without.zip", golden="none")
    assert load_golden(tmp_path / "without.zip") is None
    assert export(tmp_path / "without.zip", out=tmp_path / "noise.onnx")["compared"].keys() == {"noise"}


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "int8 of torch": (lambda path: {"out": path / "m.pt2", "int8": True}, "--int8 makes ONNX files"),
    "golden of onnx": (lambda path: {"out": path / "m.onnx", "golden": "real"}, "--golden is about bundles"),
    "int8 without data": (lambda path: {"out": path / "m.onnx", "int8": True}, "a bundle alone has no data"),
    "real without data": (lambda path: {"out": path / "m.zip", "golden": "real"}, "a bundle alone has no data"),
    "a folder": (lambda path: {"out": path}, "is a folder"),
    "another suffix": (lambda path: {"out": path / "m.tflite"}, r"ends in none of \.onnx, \.pt2, \.zip; name it so"),
    "no folder": (lambda path: {"out": path / "no" / "m.onnx"}, "is not there"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_can_not_be_done_is_bad_input(case: str, trained: nw.Run, tmp_path: Path) -> None:
    given, said = WRONG[case]
    with pytest.raises(InputError, match=said):
        export(trained.path / "bundle", **given(tmp_path))


def test_float_images_go_in_as_floats(tmp_path: Path) -> None:
    digits = load_digits()
    images = (digits.images / 8 - 1).astype(np.float32)
    run = nw.train(
        (images, digits.target),
        value_range=[-1, 1],
        model="linear",
        epochs=1,
        out=tmp_path / "run",
        runtime={"threads": 1, "precision": "fp32", "device": "cpu"},
        quiet=True,
    )
    export(run.path / "bundle", out=tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {"images": images[:3, ..., None]})[0]
    for row, answer in zip(found, run.predict(images[:3]), strict=True):
        assert row == pytest.approx([answer["probabilities"][str(k)] for k in range(10)], abs=1e-5)


def test_an_own_network_is_exported_when_it_is_given(tmp_path: Path) -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    run = nw.train("digits", model=own, epochs=1, out=tmp_path / "run", threads=1, quiet=True)
    assert run.export(tmp_path / "model.onnx")["compared"]["val"]["num_ties"] == 0
    with pytest.raises(InputError, match="your own Sequential; give it again"):
        export(run.path, out=tmp_path / "again.onnx")
    buffer = io.BytesIO((tmp_path / "model.onnx").read_bytes())
    assert onnx.load(buffer).graph.output[0].name == "logits"
