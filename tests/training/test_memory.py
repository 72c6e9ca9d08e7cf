"""The estimate of memory: against what is known of small networks, and nothing of the network changes by it."""

import pytest
import torch
from torch import nn

from netwright.config.recipe import build_recipe
from netwright.config.sections import Runtime
from netwright.runtime.machine import choose_machine
from netwright.training.memory import estimate_memory, optimizer_share

RUNTIME = Runtime(device="cpu", precision="fp32", threads=1, memory_format="contiguous")


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))


def test_an_mlp_takes_what_its_layers_keep() -> None:
    model = mlp()
    found = estimate_memory(model, build_recipe({}), choose_machine(RUNTIME), (1, 28, 28))
    assert found is not None
    assert found.bytes_per_image == 4 * (784 + 200 + 10 + 2 * 784)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert found.fixed_bytes == weights * (1 + 2 + 1 + 3)  # gradients, Adam's moments, best, the copy of 1 + 2
    assert found.of(32) == found.fixed_bytes + 32 * found.bytes_per_image
    assert found.most_images(found.of(32)) == 32
    assert found.most_images(found.of(32) - 1) == 31
    assert found.most_images(10) == 0


def test_nothing_of_the_trial_stays_in_memory() -> None:
    """A parameter's node of the graph is made anew for each forward, unless something still holds an old graph."""
    model, seen = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Sigmoid(), nn.Linear(5, 2)), []
    weight = model.get_parameter("1.weight")
    view = weight.expand_as(weight)
    assert view.grad_fn is not None
    view.grad_fn.next_functions[0][0].register_prehook(seen.append)  # type: ignore[union-attr]
    assert estimate_memory(model, build_recipe({}), choose_machine(RUNTIME), (1, 3, 3)) is not None
    del view
    model(torch.ones(1, 1, 3, 3)).sum().backward()
    assert not seen


@pytest.mark.parametrize(
    ("optimizer", "share"),
    [({"name": "sgd"}, 0), ({"name": "sgd", "momentum": 0.9}, 1), ({"name": "adam"}, 2), ({"name": "adamw"}, 2)],
)
def test_the_share_of_an_optimizer(optimizer: dict[str, object], share: int) -> None:
    recipe = build_recipe({"optimizer": {"lr": 0.1, **optimizer}})
    assert optimizer_share(recipe, mlp()) == pytest.approx(share, abs=0.01)


def test_frozen_parameters_have_no_gradient_and_keep_nothing() -> None:
    model, machine = mlp(), choose_machine(RUNTIME)
    for parameter in model[1].parameters():
        parameter.requires_grad_(False)
    found = estimate_memory(model, build_recipe({"optimizer": {"name": "sgd", "lr": 0.1}}), machine, (1, 28, 28))
    assert found is not None
    every, trained = 4 * (784 * 200 + 200 + 2010), 4 * 2010
    assert found.fixed_bytes == trained + 2 * every


def test_nothing_of_the_network_changes() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 36, 3)
    ).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.random.get_rng_state()
    assert estimate_memory(model, build_recipe({}), choose_machine(RUNTIME), (1, 8, 8)) is not None
    assert not model.training
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_can_not_be_tried_is_not_estimated() -> None:
    assert estimate_memory(nn.Linear(3, 2), build_recipe({}), choose_machine(RUNTIME), (1, 8, 8)) is None
