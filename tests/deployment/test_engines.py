"""Engines answer as plain PyTorch does, or are refused; the quickest takes over in a long prediction."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import SqueezeExcitation

import netwright as nw
from netwright.cli.main import run as netwright
from netwright.config.engines import EngineName
from netwright.config.sections import Runtime
from netwright.deployment import engine_choice, kept_onnx
from netwright.deployment.batch_size import BatchSize
from netwright.deployment.engine_choice import EngineChoice
from netwright.deployment.engines import build_engine, check_alike, fused, onnx_content
from netwright.deployment.predictor import load_predictor
from netwright.deployment.stream import predict_array, predict_stream
from netwright.errors import InputError, MachineError, WorkFailed
from netwright.runtime.machine import choose_machine, hardware_bf16
from netwright.workflows.cache import clear_cache, list_cache

MACHINE = choose_machine(Runtime(device="cpu", threads=1, precision="fp32"))
WITH_OPENVINO = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
LARGE = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "vit_b_32")
OTHERS = ["torch", "onnx", pytest.param("openvino", marks=WITH_OPENVINO)]


def small() -> nn.Module:
    """The kinds of layers that MobileNets have, a few of them."""
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish()]
    layers += [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(), SqueezeExcitation(8, 2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 7))


def settled(name: str, images: Tensor) -> nn.Module:
    """A network with random weights, and batch norm's statistics of a real forward pass."""
    torch.manual_seed(0)
    network = small() if name == "small" else models.get_model(name, weights=None, num_classes=7)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    return network.eval()


def num_norms(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "densenet121", "shufflenet_v2_x0_5"]
)
def test_fused_networks_answer_as_before(name: str) -> None:
    images = torch.randn(8, 3, 64, 64)
    network = settled(name, images)
    with torch.inference_mode():
        expected, found = network(images), fused(network)(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    before, after = num_norms(network), num_norms(fused(network))
    assert after == 0 or (name == "densenet121" and after < before)  # there most norms come before the convolution


class Shared(nn.Module):
    """One convolution before two norms, and a norm behind a convolution that something else looks at too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))
        for norm in self.norms:
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, images: Tensor) -> Tensor:
        for norm in self.norms[:2]:
            images = norm(self.conv(images))
        seen = self.last(images)
        return (self.norms[2](seen) + seen).mean((2, 3))


class Branching(nn.Module):
    """A network that can't be traced."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) if images.sum() > 0 else images.amax((2, 3))


def test_what_can_not_be_fused_stays_as_it_is() -> None:
    images = torch.randn(2, 3, 8, 8)
    shared = Shared().eval()
    torch.testing.assert_close(fused(shared)(images), shared(images))
    branching = Branching()
    assert fused(branching) is branching


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("name", ["small", *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_engines_answer_as_plain_pytorch(engine: EngineName, name: str) -> None:
    images = torch.randn(8, 3, *((224, 224) if name.startswith("vit") else (64, 64)))
    network = settled(name, images)
    with torch.inference_mode():
        expected = network(images)
    made = build_engine(engine, network, MACHINE, lambda: onnx_content(network, images))
    for some in (images, images[:1], images.contiguous(memory_format=torch.channels_last)):  # any size and layout
        found = made.forward(some)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected[: len(some)], rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert check_alike(made, network, images, MACHINE) < 1e-4


class Restless(nn.Module):
    """A network that never answers alike."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) + torch.rand(1)


def test_an_engine_that_answers_otherwise_is_refused() -> None:
    images = torch.randn(2, 3, 8, 8)
    engine = build_engine("torch", Restless(), MACHINE, lambda: b"")
    with pytest.raises(WorkFailed, match="the engine torch does not answer as the network"):
        check_alike(engine, Restless(), images, MACHINE)


class Doubled(nn.Module):
    """A network that ONNX holds and ONNX Runtime has no code for: a convolution of 64-bit numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 7, 3).double()

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images.double()).mean((2, 3)).float()


def test_what_an_engine_can_not_compute_is_told_or_left_out(trained: nw.Run) -> None:
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    predictor.network, images, said = Doubled().eval(), torch.rand(2, 3, 8, 8), list[str]()
    with pytest.raises(WorkFailed, match=r"onnx can't compute Doubled \(.*\); use --engine torch"):
        EngineChoice(predictor, "onnx").begin(images)
    choice = EngineChoice(predictor, tell=said.append)
    choice.try_all(images)
    assert any("onnx is left out" in text for text in said)
    assert "torch" in choice.images_per_second


def test_torch_is_never_refused(trained: nw.Run) -> None:
    """Where fused layers answer otherwise, the network itself computes."""
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    predictor.network, said = Restless().eval(), list[str]()
    choice = EngineChoice(predictor, "torch", tell=said.append)
    choice.begin(torch.rand(2, 3, 8, 8))
    assert choice.name == "torch"
    assert any("its layers are not fused" in text for text in said)


def table_of(answers: list[dict[str, Any]]) -> Tensor:
    return torch.tensor([[answer["probabilities"][str(digit)] for digit in range(10)] for answer in answers])


@pytest.mark.parametrize("engine", OTHERS)
def test_a_run_predicts_alike_with_every_engine(engine: EngineName, trained: nw.Run, digits: np.ndarray) -> None:
    expected = table_of(trained.predict(digits))
    torch.testing.assert_close(table_of(trained.predict(digits, engine=engine)), expected, atol=1e-5, rtol=0)
    one_by_one = table_of(trained.predict(list(digits[:3]), engine=engine))
    torch.testing.assert_close(one_by_one, expected[:3], atol=1e-5, rtol=0)


def test_the_way_to_onnx_is_gone_once(trained: nw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process finds the file in the cache; other weights, another size or an own network have none there."""
    images = torch.rand(2, 1, 8, 8)
    clear_cache()
    made: list[int] = []
    monkeypatch.setattr(kept_onnx, "onnx_content", lambda *given: (made.append(1), onnx_content(*given))[1])

    def outputs(change: float = 0.0, own: bool = False) -> Tensor:
        predictor = load_predictor(trained.path / "bundle", MACHINE)
        with torch.no_grad():
            next(predictor.network.parameters()).add_(change)
        if own:
            predictor.network = Wrapped(predictor.network)
        EngineChoice(predictor, "onnx").begin(images)
        return predictor.forward(images)

    first = outputs()
    assert len(made) == 1
    torch.testing.assert_close(outputs(), first, atol=0, rtol=0)
    assert len(made) == 1
    assert not torch.equal(outputs(change=1.0), first)
    assert len(made) == 2
    outputs(own=True)
    outputs(own=True)
    assert len(made) == 4
    assert [each["title"] for each in list_cache()["entries"] if each["entry"].startswith("onnx")] == [
        f"{trained.recipe.model.name} as ONNX, for predictions"
    ] * 2


class Wrapped(nn.Module):
    """A network of a user's own, whose code may be another one tomorrow."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images)


def test_names_that_there_are_not(trained: nw.Run, digits: np.ndarray) -> None:
    with pytest.raises(InputError, match="engine is 'tensorrt'; expected one of auto, torch, onnx, openvino"):
        trained.predict(digits, engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"precision is 'fp16' \(did you mean"):
        nw.predict(trained.path, [str(trained.path / "recipe.yaml")], precision="fp16")  # type: ignore[arg-type]


def test_auto_tries_the_others_in_a_long_prediction(
    trained: nw.Run, digits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then torch computes, as the run was trained; every answer is right, whoever gave it."""
    monkeypatch.setattr(engine_choice, "TRY_AFTER_SECONDS", 0.0)
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    choice = EngineChoice(predictor)
    assert choice.name == "torch"
    batches = list(predict_array(predictor, digits, 8, choice))
    assert {"torch", "onnx"} <= choice.images_per_second.keys()
    assert choice.to_mapping()["name"] == choice.name
    assert choice.images_per_second[choice.name] == max(choice.images_per_second.values())
    found = np.stack(
        [answer.probabilities for batch in batches for answer in batch if answer.probabilities is not None]
    )
    expected = table_of(trained.predict(digits))
    torch.testing.assert_close(torch.from_numpy(found).float(), expected, atol=1e-5, rtol=0)


def test_auto_leaves_out_what_does_not_fit(trained: nw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    predictor.network = Branching()
    said: list[str] = []
    choice = EngineChoice(predictor, tell=said.append)
    choice.try_all(torch.rand(2, 3, 8, 8))
    assert choice.name == "torch"
    assert any("onnx is left out: torch.export can't trace Branching" in text for text in said)


def test_exact_runs_keep_to_torch(trained: nw.Run, digits: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "TRY_AFTER_SECONDS", 0.0)
    machine = choose_machine(Runtime(device="cpu", threads=1, exact=True))
    choice = EngineChoice(load_predictor(trained.path / "bundle", machine))
    list(predict_array(choice.predictor, digits, 8, choice))
    assert not choice.images_per_second


def test_the_command_line_says_what_computed(
    trained: nw.Run, digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in range(6):
        Image.fromarray(digits[place]).save(tmp_path / f"{place}.png")
    out = tmp_path / "new" / "answers.jsonl"  # whose folder is made
    arguments = ["predict", str(trained.path), str(tmp_path), "--out", str(out), "--engine", "onnx"]
    assert netwright([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engine"] == {"name": "onnx", "asked": "onnx"}
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    torch.testing.assert_close(table_of(answers), table_of(trained.predict(digits[:6])), atol=1e-5, rtol=0)
    assert netwright([*arguments, "--overwrite"]) == 0
    assert " by onnx: " in capsys.readouterr().out


def test_onnx_computes_a_run_that_was_trained_in_bf16(
    digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked for by name it has to need nothing else: it has no bf16, and so takes fp32."""
    runtime = {"threads": 1, "device": "cpu", "precision": "bf16"}
    run = nw.train("digits", model="linear", epochs=1, out=tmp_path / "run", runtime=runtime, quiet=True)
    image = tmp_path / "0.png"
    Image.fromarray(digits[0]).save(image)
    found = []
    for given in (["--engine", "onnx"], ["--engine", "torch", "--precision", "fp32"]):
        assert netwright(["predict", str(run.path), str(image), "--json", *given]) == 0
        found.append(table_of(json.loads(capsys.readouterr().out)["predictions"]))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)
    assert netwright(["predict", str(run.path), str(image), "--engine", "onnx", "--precision", "bf16"]) == 4


def test_missing_packages_are_named(
    trained: nw.Run, digits: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, extra in (("onnxruntime", "onnx"), ("openvino", "openvino")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MachineError, match=rf"needs the package {name}.*pip install 'netwright\[{extra}\]'"):
            trained.predict(digits, engine=extra)  # type: ignore[arg-type]
    choice = EngineChoice(load_predictor(trained.path / "bundle", MACHINE))
    choice.try_all(choice.predictor.finish(torch.from_numpy(digits[..., None])))
    assert choice.images_per_second.keys() == {"torch"}


def test_bf16_is_for_hardware_that_has_it(
    trained: nw.Run, digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(digits[0]).save(tmp_path / "0.png")
    arguments = ["predict", str(trained.path), str(tmp_path / "0.png"), "--precision", "bf16", "--json"]
    if hardware_bf16(MACHINE.device):
        assert netwright(arguments) == 0
        found = table_of(json.loads(capsys.readouterr().out)["predictions"])
        torch.testing.assert_close(found, table_of(trained.predict(digits[:1])), atol=0.05, rtol=0)
    else:
        assert netwright(arguments) == 4
        assert "has no bf16" in capsys.readouterr().err


@pytest.mark.parametrize(("free", "largest"), [(None, 32), (2**40, 32), (0, 8)])
def test_the_batch_size_follows_speed_and_memory(trained: nw.Run, free: int | None, largest: int) -> None:
    """Larger batches are quicker here; they are tried where memory has room for them."""
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    sizes = BatchSize(predictor, None, free=lambda: free)
    sizes._first = 8
    sizes.begin()
    sizes._peak_before -= 2**20  # what a batch took
    seen = []
    for _ in range(6):
        seen.append(sizes.size)
        sizes.took(1.0, sizes.size)
    assert max(seen) == seen[-1] == largest


def test_answers_do_not_depend_on_when_an_engine_takes_over(
    trained: nw.Run, digits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    pairs = [(digit, str(place)) for place, digit in enumerate(digits)]
    batches = predict_stream(predictor, pairs, 8, EngineChoice(predictor, "onnx"))
    assert [answer.source for batch in batches for answer in batch] == [name for _, name in pairs]
