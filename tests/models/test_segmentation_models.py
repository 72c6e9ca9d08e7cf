"""torchvision's segmentation networks by name: weights of 21 classes into another number, a step, a bundle, ONNX."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torchvision
from torch.nn import functional

from netwright.config.models import TorchvisionModel
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle, load_bundle, save_bundle
from netwright.models import build_model
from netwright.models.build import Sizes, build_pretrained
from netwright.models.pretrained import Pretrained
from netwright.tasks.segmentation import Segmentation
from netwright.workflows.export import export

NAMES = torchvision.models.list_models(module=torchvision.models.segmentation)
SIDE = 64
SIZES: Sizes = {"in_channels": 3, "image_size": (SIDE, SIDE), "num_outputs": 5, "output": "logits"}
CLASS_LAYERS = ("classifier.4.", "classifier.low_classifier.", "classifier.high_classifier.")  # LR-ASPP has two


def test_these_are_all_that_torchvision_has() -> None:
    assert set(NAMES) == {
        *(f"{kind}_{encoder}" for kind in ("deeplabv3", "fcn") for encoder in ("resnet50", "resnet101")),
        "deeplabv3_mobilenet_v3_large",
        "lraspp_mobilenet_v3_large",
    }


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_21_classes_go_into_a_network_of_5_that_learns_and_is_kept(name: str, tmp_path: Path) -> None:
    """Published weights of FCN and DeepLab have an auxiliary classifier too, a side exit for training."""
    torch.manual_seed(0)
    with_exit = {} if name.startswith("lraspp") else {"aux_loss": True}
    old = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=21, **with_exit)
    weights = OrderedDict(old.state_dict())
    model = TorchvisionModel(name=name)  # type: ignore[arg-type]
    network, fit = build_pretrained(model, Pretrained("w", "a file", weights, ""), **SIZES)

    of_head = [key for key in weights if key.startswith(CLASS_LAYERS)]
    of_exit = [key for key in weights if key.startswith("aux_classifier.")]
    assert fit.new_head and set(fit.left_out) == {*of_head, *of_exit}
    assert bool(of_exit) == bool(with_exit)
    own = network.state_dict()
    for key, value in weights.items():
        assert key in fit.left_out or torch.equal(own[key], value)
    assert {own[key].shape[0] for key in of_head} == {5}

    images, targets = torch.randn(2, 3, SIDE, SIDE), torch.randint(0, 5, (2, SIDE, SIDE))
    before = {key: value.clone() for key, value in own.items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    outputs = network.train()(images)
    assert outputs.shape == (2, 5, SIDE, SIDE)  # in training too one tensor, not a dict of outputs
    functional.cross_entropy(outputs, targets).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    optimizer.step()
    assert all(not torch.equal(value, before[key]) for key, value in network.named_parameters() if key in of_head)

    task = Segmentation(tuple("abcde"), 5)
    transform = EvalTransform(
        channels=3, image_size=(SIDE, SIDE), store_size=(SIDE, SIDE), mean=(0.5,) * 3, std=(1.0,) * 3
    )
    bundle = Bundle(model, 3, (SIDE, SIDE), task, transform, epoch=1, metrics={}, data={"name": "noise"})
    save_bundle(tmp_path / "bundle", bundle, network.state_dict(), None)
    again, kept = load_bundle(tmp_path / "bundle")
    assert again.task.class_names == tuple("abcde")
    loaded = build_model(again.model, **SIZES)
    loaded.load_state_dict(kept)
    with torch.inference_mode():
        assert torch.equal(loaded.eval()(images), network.eval()(images))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_one_gives_the_same_through_onnx_runtime(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = TorchvisionModel(name=name)  # type: ignore[arg-type]
    network = build_model(model, **SIZES)
    noise = torch.randn(4, 3, SIDE, SIDE)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(noise)  # batch norm's numbers are those of such images
    transform = EvalTransform(
        channels=3, image_size=(SIDE, SIDE), store_size=(SIDE, SIDE), mean=(0.0,) * 3, std=(1.0,) * 3
    )
    task = Segmentation(tuple("abcde"), 5)
    bundle = Bundle(model, 3, (SIDE, SIDE), task, transform, epoch=1, metrics={}, data={"name": "noise"})
    save_bundle(tmp_path / "bundle", bundle, network.state_dict(), None)
    export(tmp_path / "bundle", out=tmp_path / "model.onnx")
    images = np.random.default_rng(1).integers(0, 256, (2, SIDE, 96, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": images})[0]
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4 * float(expected.abs().max()), rtol=0)
