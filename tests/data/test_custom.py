"""The user's own transform sees the same pixels in training, evaluation and serving."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.config.models import Cnn
from netwright.config.recipe import build_recipe
from netwright.config.sections import Runtime
from netwright.data.batches import Batches
from netwright.data.prepare import prepare
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.deployment.bundle import Bundle
from netwright.deployment.predictor import Predictor
from netwright.runtime.machine import choose_machine
from netwright.tasks.classification import Classification

X = np.random.default_rng(0).integers(0, 256, (30, 9, 8, 3), dtype=np.uint8)
Y = np.arange(30) % 3


@pytest.mark.parametrize("value_range", [None, [0, 255], [-1, 1]])
def test_serving_gives_it_what_training_gave_it(value_range: list[float] | None) -> None:
    given = X if value_range is None else np.interp(X, (0, 255), value_range)
    recipe = build_recipe({"data": {"value_range": value_range}})
    labelled = open_data(recipe.data, (given, Y))
    prepared = prepare(labelled, split_rows(labelled, recipe.split), recipe, as_unit)
    machine = choose_machine(Runtime(device="cpu", threads=1, precision="fp32"))
    task = Classification(prepared.labelled.class_names, "logits", 3)
    bundle = Bundle(Cnn(), 3, prepared.transform.image_size, task, prepared.transform, 1, {}, {})
    served = Predictor(bundle, nn.Identity(), machine, as_unit)
    batch = Batches(prepared, "val", batch_size=60, device=torch.device("cpu")).batch(1, 0)
    decoded = np.stack([prepared.transform.decode(image) for image in given[batch.rows.numpy()]])
    torch.testing.assert_close(served.finish(torch.from_numpy(decoded)), batch.images, rtol=0, atol=0)
    expected = torch.from_numpy(X[batch.rows.numpy()]).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(batch.images, expected, rtol=0, atol=1e-6)


def as_unit(image: Tensor) -> Tensor:
    return image.float() / 255 if image.dtype == torch.uint8 else image
