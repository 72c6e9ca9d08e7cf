"""`netwright data --augmented`: what it draws is what training sees."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.cli.main import run
from netwright.errors import DataError
from netwright.workflows.augmented import NUM_VIEWS, augmented_views, chosen_rows
from netwright.workflows.build import open_prepared, train_batches
from netwright.workflows.own import Own
from netwright.workflows.plan import plan_recipe

CROPS = ["random_crop", "color_jitter"]


def test_a_view_is_what_training_draws_for_the_image() -> None:
    """The pictures, normalised again, are images of the batches that a training of this recipe has."""
    recipe = plan_recipe("digits", [("augmentation", CROPS), ("training.seed", 5)])
    prepared = open_prepared(recipe, Own())
    pictures, labels = augmented_views(recipe, prepared)
    rows = chosen_rows(prepared, 8)
    assert len(pictures) == len(labels) == 8 * (1 + NUM_VIEWS)
    assert labels[0] == prepared.labelled.class_names[int(prepared.labelled.targets[rows[0]])]
    train = train_batches(recipe, prepared, torch.device("cpu"))
    mean, std = (torch.tensor(values) for values in (prepared.transform.mean, prepared.transform.std))
    for epoch in (1, 4):
        found = 0
        for batch in train.epoch(epoch):
            for image, row in zip(batch.images, batch.rows.tolist(), strict=True):
                for line in np.flatnonzero(rows == row):
                    drawn = torch.from_numpy(pictures[line * (1 + NUM_VIEWS) + epoch].astype(np.float32)) / 255
                    torch.testing.assert_close((drawn - mean) / std, image.permute(1, 2, 0), rtol=0, atol=0.01)
                    found += 1
        assert found == 8


def test_rows_are_of_as_many_classes_as_there_are() -> None:
    prepared = open_prepared(plan_recipe("digits", []), Own())
    of = prepared.labelled.targets[chosen_rows(prepared, 8)]
    assert len(set(of.tolist())) == 8
    two = open_prepared(plan_recipe("digits", [("data.classes", ["3", "7"])]), Own())
    assert two.labelled.targets[chosen_rows(two, 8)].tolist() == [0] * 4 + [1] * 4


def test_the_command_writes_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["data", "digits", "--augmented", "--augmentation", "rand_augment,mixup,cutmix", "--json"]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plot"] == "augmented.png"
    assert found["augmentation"] == ["rand_augment", "mixup", "cutmix"]
    assert (tmp_path / "augmented.png").read_bytes().startswith(b"\x89PNG")
    assert run(["data", "digits", "--augmented", "--grid", "here.png"]) == 0
    assert "all views are alike" in capsys.readouterr().err
    assert (tmp_path / "here.png").exists()


def test_mixed_views_say_their_shares() -> None:
    recipe = plan_recipe("digits", [("augmentation", [{"name": "mixup", "alpha": 3.0}])])
    _, labels = augmented_views(recipe, open_prepared(recipe, Own()))
    mixed = [label for label in labels if ", " in label]
    assert len(mixed) > 20
    first = mixed[0].split(", ")
    assert sum(int(part.rsplit(" ", 1)[1]) for part in first) in (99, 100, 101)


def test_ready_tensors_are_no_pictures() -> None:
    class Ready(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return torch.full((3, 8, 8), float(index)), index % 2

    prepared = open_prepared(plan_recipe(None, []), Own(data=Ready()))
    with pytest.raises(DataError, match="look at its items directly"):
        augmented_views(plan_recipe(None, []), prepared)
