"""Recorded steps: the same numbers as the plain way, and the plain way where recording is not for them."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import netwright as nw
from netwright.config.recipe import build_recipe
from netwright.data.batches import Batch
from netwright.errors import RecipeError
from netwright.runtime.machine import Machine, applied, choose_machine
from netwright.training.graphs import WARM_UP_STEPS, Graphs, can_graph, choose_graphs

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that CUDA can use")
ON_CUDA = Machine(torch.device("cuda"), "fp32", torch.channels_last, 1, exact=False)
ON_CPU = Machine(torch.device("cpu"), "fp32", torch.channels_last, 1, exact=False)


def loss_of(outputs: Tensor, targets: Tensor) -> tuple[Tensor, int]:
    return functional.cross_entropy(outputs.float(), targets), len(targets)


def batches_of(number: int, size: int = 16) -> list[Batch]:
    made = torch.Generator().manual_seed(0)
    images = torch.randn(number, size, 3, 8, 8, generator=made)
    targets = torch.randint(0, 4, (number, size), generator=made)
    return [
        Batch(image.cuda(), target.cuda(), torch.arange(size)) for image, target in zip(images, targets, strict=True)
    ]


def network_of(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), *more)
    return nn.Sequential(conv, nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 36, 4)).cuda()


@pytest.mark.parametrize(
    ("change", "possible"),
    [({}, True), ({"training": {"accumulation_steps": 2}}, False), ({"criterion": {"name": "custom"}}, False)],
)
def test_what_can_be_recorded(change: dict[str, Any], possible: bool) -> None:
    recipe = build_recipe(change)
    assert can_graph(recipe, ON_CUDA) is possible
    assert choose_graphs(recipe, ON_CUDA) is possible
    assert not can_graph(recipe, ON_CPU)
    assert choose_graphs(recipe, ON_CPU) is False


def test_exact_runs_and_those_who_say_no_have_none() -> None:
    assert choose_graphs(build_recipe({"runtime": {"cuda_graphs": False}}), ON_CUDA) is False
    exact = build_recipe({"runtime": {"exact": True}})
    assert choose_graphs(exact, Machine(torch.device("cuda"), "fp32", torch.contiguous_format, 1, exact=True)) is False


def test_asked_for_where_they_can_not_be() -> None:
    with pytest.raises(RecipeError, match="only on CUDA"):
        choose_graphs(build_recipe({"runtime": {"cuda_graphs": True}}), ON_CPU)
    with pytest.raises(nw.RecipeError, match="only on CUDA"):
        nw.train("digits", runtime={"cuda_graphs": True, "device": "cpu"}, quiet=True)


@on_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_recorded_step_gives_what_the_plain_one_gives(precision: str) -> None:
    """Loss, outputs, gradients and running statistics over 12 steps with dropout, seeded as the loop seeds it."""
    machine = Machine(torch.device("cuda"), precision, torch.channels_last, 1, exact=True)
    plain = network_of()
    model = copy.deepcopy(plain)
    with applied(machine):
        graphs = Graphs(model, loss_of, machine, 16)
        graphs.enter_epoch()
        answered = 0
        for step, batch in enumerate(batches_of(12)):
            torch.cuda.manual_seed_all(step)
            with machine.autocast():
                outputs = plain(machine.arrange(batch.images))
            loss, _ = loss_of(outputs, batch.targets)
            loss.backward()
            torch.cuda.manual_seed_all(step)
            computed = graphs.compute(batch)
            if computed is None:
                with machine.autocast():
                    found = model(machine.arrange(batch.images))
                loss_of(found, batch.targets)[0].backward()
                del found  # a graph of the plain way that is still there would be waited for
            else:
                answered += 1
                assert torch.equal(computed.loss, loss)
                assert torch.equal(computed.outputs, outputs)
                assert computed.weight == 16
            for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
                assert ours.grad is not None
                assert theirs.grad is not None
                assert torch.equal(ours.grad, theirs.grad)
            for network in (model, plain):
                with torch.no_grad():
                    for parameter in network.parameters():
                        assert parameter.grad is not None
                        parameter -= 0.1 * parameter.grad
                        parameter.grad = None
        assert not graphs.failure
        assert answered == 12 - WARM_UP_STEPS
        for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):
            assert torch.equal(ours, theirs)


class LooksAtItsNumbers(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images if images.sum().item() > 0 else -images


@on_gpu
def test_what_is_not_for_graphs_is_computed_the_plain_way() -> None:
    machine = choose_machine(build_recipe({"runtime": {"precision": "fp32"}}).runtime)
    network = network_of(LooksAtItsNumbers())
    graphs = Graphs(network, loss_of, machine, 16)
    graphs.enter_epoch()
    for batch in batches_of(6):
        assert graphs.compute(batch) is None
        loss_of(network(batch.images), batch.targets)[0].backward()
    assert graphs.failure
    torch.cuda.manual_seed_all(1)  # the device and its generator are as they were
    assert torch.rand(3, device="cuda").sum().item() > 0


@on_gpu
def test_a_smaller_batch_is_computed_the_plain_way() -> None:
    graphs = Graphs(network_of(), loss_of, ON_CUDA, 16)
    graphs.enter_epoch()
    assert all(graphs.compute(batch) is None for batch in batches_of(6, size=5))


@on_gpu
def test_a_run_with_graphs_learns_as_one_without(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed, plain = [], torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: (replayed.append(1), plain(graph)))
    runs = [
        nw.train("digits", model="cnn", epochs=3, runtime={"cuda_graphs": graphs, "precision": "fp32"}, quiet=True)
        for graphs in (True, False)
    ]
    assert len(replayed) > 30
    first, second = (run.history[-1]["train_loss"] for run in runs)
    assert first == pytest.approx(second, rel=0.02)
    assert runs[0].recipe.runtime.cuda_graphs is True
