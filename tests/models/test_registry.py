"""Names and builders belong together; a user's own name works like a built-in one."""

import pytest
import torch
from torch import nn

from netwright.config.models import MODELS, CustomModel, TorchvisionModel
from netwright.errors import RecipeError
from netwright.models import build_model, registry


@pytest.fixture(autouse=True)
def forget_registered_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTERED", {})


def built(name: str, **arguments: int) -> nn.Module:
    model = TorchvisionModel(name=name, arguments=arguments)  # type: ignore[arg-type]
    return build_model(model, in_channels=1, image_size=(8, 8), num_outputs=3, output="logits")


def test_every_declared_model_has_a_builder() -> None:
    declared = {part for part in MODELS.parts.values() if part is not CustomModel} | {TorchvisionModel}
    assert set(registry.BUILDERS) == declared


def test_torchvision_names_are_those_that_no_built_in_model_takes() -> None:
    names = registry.torchvision_names()
    assert {"resnet18", "vit_b_16", "vgg16"} <= set(names)
    assert "alexnet" not in names
    assert names == sorted(names)


def test_a_registered_name_is_built_with_its_arguments() -> None:
    @registry.register("tiny")
    def build_tiny(*, in_channels: int, image_size: tuple[int, int], num_outputs: int, width: int = 4) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, width), nn.Linear(width, num_outputs))

    assert built("tiny", width=9)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    with pytest.raises(RecipeError, match="unexpected keyword argument 'wdth'"):
        built("tiny", wdth=9)


@pytest.mark.parametrize("name", ["cnn", "alexnet", "resnet18", "custom"])
def test_a_name_that_is_taken_can_not_be_registered(name: str) -> None:
    with pytest.raises(RecipeError, match="is taken"):
        registry.register(name)(lambda **_: nn.Identity())


@pytest.mark.parametrize(("name", "near"), [("resnet81", "resnet18"), ("cmn", "cnn"), ("ResNet50", "resnet50")])
def test_an_unknown_name_gets_a_suggestion(name: str, near: str) -> None:
    with pytest.raises(RecipeError, match=f'`model.name` is {name!r} \\(did you mean "{near}"\\?\\)'):
        built(name)


def test_an_object_that_no_file_holds_is_asked_for() -> None:
    with pytest.raises(RecipeError, match=r"MyNet.*give the object again"):
        build_model(CustomModel(type="MyNet"), in_channels=1, image_size=(8, 8), num_outputs=3, output="logits")
