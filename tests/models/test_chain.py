"""Hidden layers as one step of autograd: the outputs and gradients that torch finds layer by layer."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.config.models import Mlp, TabularMlp
from netwright.models import build_model
from netwright.models.chain import can_chain, layers_of, run_chain

SIZES: dict[str, Any] = {"in_channels": 4, "image_size": (1, 1), "output": "logits", "categories": (3, 4)}
MODELS = {
    "linear beside, skips, dropout": TabularMlp(hidden_sizes=(6, 6, 5, 5), dropout=0.4),
    "plain": TabularMlp(hidden_sizes=(6, 3), dropout=0.0, skip=False),
    "without hidden layers": TabularMlp(hidden_sizes=()),
    "mlp": Mlp(hidden_sizes=(7, 4)),
    "mlp with dropout": Mlp(hidden_sizes=(7, 4), dropout=0.3),
}


def rows() -> Tensor:
    torch.manual_seed(1)
    return torch.cat([torch.randn(20, 2), torch.randint(0, 3, (20, 1)), torch.randint(0, 4, (20, 1))], dim=1)


def _names(node: Any) -> list[str]:
    """Return the names of the steps that autograd has noted."""
    below = [name for next_node, _ in node.next_functions if next_node is not None for name in _names(next_node)]
    return [type(node).__name__, *below]


def gradients(network: nn.Module, *, hooked: bool) -> tuple[Tensor, list[Tensor]]:
    """Return outputs and gradients in training; a hook on a module makes the network run layer by layer."""
    handle = network.head.register_forward_hook(lambda *_: None) if hooked else None  # type: ignore[union-attr,operator]
    features = rows()
    assert can_chain(network, features)
    torch.manual_seed(2)
    outputs = network(features)
    assert ("Chain" in str(_names(outputs.grad_fn))) is not hooked
    network.zero_grad()
    (outputs.square().sum() + outputs[:, 0].sum()).backward()
    if handle is not None:
        handle.remove()
    return outputs.detach(), [weight.grad for _, weight in network.named_parameters() if weight.grad is not None]


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_are_autograds(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(MODELS[name], num_outputs=3, **SIZES).train()
    expected = gradients(network, hooked=True)
    found = gradients(network, hooked=False)
    torch.testing.assert_close(found[0], expected[0])
    assert len(found[1]) == len(list(network.parameters())) == len(expected[1])
    for ours, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_are_those_of_finite_differences() -> None:
    network = build_model(TabularMlp(hidden_sizes=(5, 5), dropout=0.0), num_outputs=2, **SIZES).double().train()
    features = torch.randn(4, network.linear.in_features, dtype=torch.float64, requires_grad=True)  # type: ignore[union-attr,arg-type]
    layers = layers_of(network.blocks, network.adds)  # type: ignore[arg-type]
    assert layers is not None
    assert torch.autograd.gradcheck(
        lambda given: run_chain(given, layers, network.head, network.linear),  # type: ignore[arg-type]
        (features,),
    )


def test_a_head_that_is_exchanged_is_the_one_that_is_trained() -> None:
    network = build_model(Mlp(hidden_sizes=(5,)), num_outputs=2, **SIZES).train()
    network(rows())
    network.head = nn.Linear(5, 4)
    network(rows()).sum().backward()
    assert network.head.weight.grad is not None


def test_what_a_chain_does_not_know_runs_layer_by_layer() -> None:
    for model in (Mlp(hidden_sizes=(5,), batch_norm=True), Mlp(hidden_sizes=(5,), activation="tanh")):
        network = build_model(model, num_outputs=2, **SIZES).train()
        assert layers_of(network.hidden.children()) is None  # type: ignore[union-attr,operator]
        assert network(rows()).shape == (20, 2)
    network = build_model(Mlp(hidden_sizes=(5,)), num_outputs=2, **SIZES)
    assert not can_chain(network.eval(), rows())
    with torch.no_grad():
        assert not can_chain(network.train(), rows())
