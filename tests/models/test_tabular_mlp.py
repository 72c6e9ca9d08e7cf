"""Networks for rows: numbers, categories by one-hot or trained vectors, skip connections."""

import torch
from torch.nn import functional

from netwright.config.models import Linear, Mlp, TabularMlp
from netwright.models import build_model
from netwright.models.row_features import EmbeddedFeatures, OneHotFeatures

ROWS = torch.tensor([[0.5, -1.0, 1, 0], [2.0, 0.0, 2, 3], [0.1, 0.2, 0, 1]])  # two numbers, codes of 3 and 4
SIZES = {"in_channels": 4, "image_size": (1, 1), "output": "logits", "categories": (3, 4)}


def test_one_hot_is_torchs_without_the_code_of_the_unknown() -> None:
    features = OneHotFeatures(4, (3, 4))
    expected = [ROWS[:, :2]]
    for place, size in ((2, 3), (3, 4)):
        expected.append(functional.one_hot(ROWS[:, place].long(), size)[:, 1:].float())
    torch.testing.assert_close(features(ROWS), torch.cat(expected, dim=1))
    assert features.num_outputs == 2 + 2 + 3


def test_an_unknown_category_is_a_vector_of_zeros() -> None:
    features = EmbeddedFeatures(4, (3, 4), size=5)
    made = features(ROWS[:, :, None, None])
    assert made.shape == (3, 2 + 5 + 5)
    assert not made[0, 7:].any()  # its second code is 0
    assert made[1, 2:].all()


def test_all_that_take_rows_give_one_answer_a_row() -> None:
    for model in (Linear(), Mlp(hidden_sizes=(5,)), TabularMlp(hidden_sizes=(6, 6), batch_norm=True)):
        network = build_model(model, num_outputs=3, **SIZES).eval()  # type: ignore[arg-type]
        assert network(ROWS).shape == (3, 3)
        torch.testing.assert_close(network(ROWS), network(ROWS[:, :, None, None]))


def test_skip_adds_inputs_and_a_linear_model() -> None:
    torch.manual_seed(0)
    network = build_model(TabularMlp(hidden_sizes=(6, 6), dropout=0.0), num_outputs=2, **SIZES).eval()  # type: ignore[arg-type]
    features = network.features(ROWS)  # type: ignore[operator]
    first = torch.relu(network.blocks[0].linear(features))  # type: ignore[index,union-attr,operator]
    second = first + torch.relu(network.blocks[1].linear(first))  # type: ignore[index,union-attr,operator]
    expected = network.head(second) + features @ network.linear.weight.T  # type: ignore[operator,union-attr]
    torch.testing.assert_close(network(ROWS), expected)
    plain = build_model(TabularMlp(skip=False), num_outputs=2, **SIZES)  # type: ignore[arg-type]
    assert plain.linear is None
