"""Networks that give masks leave as ONNX and .pt2: for images of any size, as plain PyTorch answers; golden samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torchvision.transforms import functional as tv

from netwright.cli.main import run as netwright
from netwright.config.models import MODELS, Model
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle, load_bundle, load_golden, save_bundle
from netwright.deployment.golden import Golden, blends, golden_outputs, kept_logits, num_golden
from netwright.models import build_model
from netwright.tasks.segmentation import Segmentation
from netwright.workflows.export import export

CASES: dict[str, dict[str, Any]] = {
    "transposed": {"model": {"name": "unet", "depth": 2, "width": 4}, "multiple": 4},
    "bilinear, one output": {"model": {"name": "unet", "depth": 1, "width": 4, "up": "bilinear"}, "outputs": 1},
    "encoder": {"model": {"name": "unet", "encoder": "resnet18", "width": 2}, "multiple": 32, "classes": 4},
    "lraspp": {"model": {"name": "lraspp_mobilenet_v3_large"}, "multiple": 32},
    "deeplab": {"model": {"name": "deeplabv3_mobilenet_v3_large"}, "multiple": 32},
    "fcn": {"model": {"name": "fcn_resnet50"}, "multiple": 32},
}


def make_bundle(folder: Path, case: dict[str, Any], side: int = 32) -> nn.Module:
    """Write a bundle of a network with random weights and settled batch norm; return the network."""
    torch.manual_seed(0)
    model = MODELS.convert(case["model"], "model")
    assert isinstance(model, Model)
    names = tuple(f"class {k}" for k in range(case.get("classes", 2)))
    task = Segmentation(names, case.get("outputs", len(names)))
    size = (side, side)
    network = build_model(model, in_channels=3, image_size=size, num_outputs=task.num_outputs, output="logits")
    transform = EvalTransform(channels=3, image_size=size, store_size=size, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    noise = torch.randint(0, 256, (16, side, side, 3), dtype=torch.uint8)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(transform.finish(noise[:8]))
    images = blends(noise, 3)
    golden = Golden("synthetic", images, kept_logits(golden_outputs(network.eval(), transform, None, images)))
    bundle = Bundle(model, 3, size, task, transform, epoch=1, metrics={}, data={"name": "noise"})
    save_bundle(folder, bundle, network.state_dict(), golden)
    return network.eval()


def by_hand(network: nn.Module, images: np.ndarray) -> np.ndarray:
    ready = torch.stack([tv.normalize(tv.to_tensor(image), [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]) for image in images])
    with torch.no_grad():
        return np.asarray(network(ready).numpy())


def check_sizes(path: Path, network: nn.Module, multiple: int) -> None:
    """Compare an ONNX file with plain PyTorch at several sizes and numbers of images."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    for num, down, across in ((1, 32, 32), (2, 3 * multiple, 7 * multiple), (3, multiple, multiple)):
        images = random.integers(0, 256, (num, down, across, 3), dtype=np.uint8)
        logits, probabilities = session.run(["logits", "probabilities"], {"images": images})
        expected = by_hand(network, images)
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
        scores = torch.from_numpy(expected).double()
        wanted = torch.cat([-scores, scores], dim=1).sigmoid() if scores.shape[1] == 1 else scores.softmax(1)
        np.testing.assert_allclose(probabilities, wanted.numpy(), atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_network_gives_its_masks_through_onnx_runtime(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    network = make_bundle(tmp_path / "bundle", case)
    result = export(tmp_path / "bundle", out=tmp_path / "model.onnx")
    assert result["size_multiple"] == case.get("multiple", 2)
    check_sizes(tmp_path / "model.onnx", network, case.get("multiple", 2))


def test_the_file_takes_any_size_and_says_which(tmp_path: Path) -> None:
    network = make_bundle(tmp_path / "bundle", CASES["bilinear, one output"])
    result = export(tmp_path / "bundle", out=tmp_path / "model.onnx")
    assert result["compared"].keys() == {"golden", "other_size"}
    assert result["size_multiple"] == 2
    check_sizes(tmp_path / "model.onnx", network, 2)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert (about["task"], about["size_multiple"]) == ("segmentation", "2")
    assert json.loads(about["class_names"]) == ["class 0", "class 1"]
    sides = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    ]
    sizes = ["height", "width"]
    assert sides == [["batch", *sizes, 3], ["batch", 1, *sizes], ["batch", 2, *sizes]]


def test_a_torch_file_takes_any_size_too(tmp_path: Path) -> None:
    network = make_bundle(tmp_path / "bundle", CASES["transposed"])
    export(tmp_path / "bundle", out=tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2")
    images = np.random.default_rng(1).integers(0, 256, (2, 20, 48, 3), dtype=np.uint8)
    logits, _ = program.module()(torch.from_numpy(images))
    torch.testing.assert_close(logits, torch.from_numpy(by_hand(network, images)), atol=1e-5, rtol=1e-4)


def test_a_size_that_the_halvings_do_not_divide_is_the_only_one(tmp_path: Path) -> None:
    """30 is no multiple of 4: rows are lost on the way down and repeated on the way up."""
    network = make_bundle(tmp_path / "bundle", CASES["transposed"], side=30)
    result = export(tmp_path / "bundle", out=tmp_path / "model.onnx")
    assert "size_multiple" not in result
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).integers(0, 256, (2, 30, 30, 3), dtype=np.uint8)
    expected = by_hand(network, images)
    np.testing.assert_allclose(
        session.run(["logits"], {"images": images})[0], expected, atol=1e-4 * np.abs(expected).max()
    )


def test_golden_samples_keep_every_seventh_pixel(tmp_path: Path) -> None:
    network = make_bundle(tmp_path / "bundle", CASES["transposed"])
    golden = load_golden(tmp_path / "bundle")
    assert golden is not None
    expected = by_hand(network, golden.images.numpy())[:, :, ::7, ::7]
    np.testing.assert_allclose(golden.logits.numpy(), expected, atol=1e-4 * np.abs(expected).max())
    # as many as lie in 1 MiB, one at least; of classes always 8
    assert [num_golden(True, side * side) for side in (64, 512, 4096)] == [8, 4, 1]
    assert num_golden(False, 2**24) == 8


def test_a_bundle_that_answers_otherwise_than_when_it_was_made_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(tmp_path / "bundle", CASES["transposed"])
    bundle, weights = load_bundle(tmp_path / "bundle")
    golden = load_golden(tmp_path / "bundle")
    assert golden is not None
    logits = golden.logits.clone()
    logits[1, 0, 2, 3] += 1.0
    save_bundle(tmp_path / "bundle", bundle, weights, Golden(golden.kind, golden.images, logits))
    assert netwright(["export", str(tmp_path / "bundle"), "--out", str(tmp_path / "model.pt2")]) == 6
    said = capsys.readouterr().err
    assert "golden sample 1 the logit of 'class 0' in row 2, column 3" in said
    assert "nothing was written" in said
    assert not (tmp_path / "model.pt2").exists()
