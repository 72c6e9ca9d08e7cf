"""`linear` and `mlp` against plain PyTorch modules with the same seed or the same weights."""

import pytest
import torch
from torch import nn

from netwright.config.models import Linear, Mlp, Model, Output
from netwright.errors import RecipeError
from netwright.models import build_model


def built(
    model: Model, image_size: tuple[int, int] = (28, 28), channels: int = 1, output: Output = "logits"
) -> nn.Module:
    torch.manual_seed(3)
    return build_model(model, in_channels=channels, image_size=image_size, num_outputs=10, output=output)


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("model", "channels", "side", "expected"),
    [
        (Linear(), 1, 8, 650),
        (Mlp(), 1, 28, 159_010),
        (Mlp(hidden_sizes=(128, 64)), 1, 28, 109_386),
        (Mlp(hidden_sizes=(256, 128, 64), dropout=0.2), 1, 28, 242_762),
        (Mlp(hidden_sizes=(500,)), 3, 32, 1_541_510),
        (Mlp(hidden_sizes=(1024, 512, 128), activation="tanh"), 3, 32, 3_738_506),
        (Mlp(hidden_sizes=()), 1, 28, 7_850),
    ],
)
def test_the_classic_networks_have_their_number_of_parameters(
    model: Model, channels: int, side: int, expected: int
) -> None:
    assert num_parameters(built(model, (side, side), channels)) == expected


def test_an_mlp_equals_the_plain_module_of_the_same_seed() -> None:
    network = built(Mlp(hidden_sizes=(128, 64), activation="tanh"))
    torch.manual_seed(3)
    plain = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.Tanh(), nn.Linear(128, 64), nn.Tanh(), nn.Linear(64, 10)
    )
    images = torch.randn(5, 1, 28, 28)
    assert torch.equal(network(images), plain(images))


def test_batch_norm_and_dropout_stand_where_they_are_documented() -> None:
    network = built(Mlp(hidden_sizes=(20,), batch_norm=True, dropout=0.3)).train()
    plain = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.3), nn.Linear(20, 10)
    )
    plain.load_state_dict(dict(zip(plain.state_dict(), network.state_dict().values(), strict=True)))
    images = torch.randn(6, 1, 28, 28)
    torch.manual_seed(1)
    ours = network(images)
    torch.manual_seed(1)
    assert torch.equal(ours, plain(images))


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", torch.relu),
        ("leaky_relu", nn.functional.leaky_relu),
        ("elu", nn.functional.elu),
        ("gelu", nn.functional.gelu),
        ("tanh", torch.tanh),
        ("sigmoid", torch.sigmoid),
        ("maxout", lambda pieces: pieces.reshape(-1, 2, 7).amax(dim=1)),
    ],
)
def test_every_activation_is_the_function_of_its_name(activation: str, function: object) -> None:
    network = built(Mlp(hidden_sizes=(7,), activation=activation))  # type: ignore[arg-type]
    state = network.state_dict()
    images = torch.randn(4, 1, 28, 28)
    pieces = images.flatten(1) @ state["hidden.0.linear.weight"].T + state["hidden.0.linear.bias"]
    expected = function(pieces) @ state["head.weight"].T + state["head.bias"]  # type: ignore[operator]
    assert torch.allclose(network(images), expected, atol=1e-5)


def test_maxout_computes_two_pieces_a_unit() -> None:
    assert num_parameters(built(Mlp(hidden_sizes=(200,), activation="maxout"))) == 2 * 157_000 + 2_010


def test_log_probabilities_are_the_log_softmax_of_the_logits() -> None:
    images = torch.randn(5, 1, 28, 28)
    expected = torch.log_softmax(built(Mlp())(images), dim=1)
    assert torch.allclose(built(Mlp(), output="log_probabilities")(images), expected)
    assert torch.allclose(built(Mlp(output="log_probabilities"))(images), expected)


def test_one_output_gives_sigmoid_probabilities() -> None:
    networks = []
    for output in ("logits", "probabilities"):
        torch.manual_seed(0)
        networks.append(
            build_model(Linear(), in_channels=1, image_size=(8, 8), num_outputs=1, output=output)  # type: ignore[arg-type]
        )
    images = torch.randn(5, 1, 8, 8)
    assert networks[1](images).shape == (5, 1)
    assert torch.allclose(networks[1](images), torch.sigmoid(networks[0](images)))


def test_log_probabilities_of_one_output_are_refused() -> None:
    with pytest.raises(RecipeError, match="one output"):
        build_model(Mlp(), in_channels=1, image_size=(8, 8), num_outputs=1, output="log_probabilities")


def test_names_in_the_state_dict_say_what_they_are() -> None:
    names = set(built(Mlp(hidden_sizes=(5, 4), batch_norm=True)).state_dict())
    assert {"hidden.0.linear.weight", "hidden.1.norm.running_mean", "head.bias"} <= names
