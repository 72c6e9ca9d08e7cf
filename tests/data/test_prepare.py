from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from netwright.config.augmentations import HorizontalFlip, RandomCrop
from netwright.config.recipe import build_recipe
from netwright.data import batches as batches_module
from netwright.data.augment import build_augmentation
from netwright.data.batches import Batch, Batches
from netwright.data.explore import example_grid, explore
from netwright.data.prepare import PreparedData, prepare, prepare_like
from netwright.data.sources import as_classes, open_data
from netwright.data.splits import split_rows
from netwright.errors import DataError, RecipeError
from netwright.files import blocks

Make = Callable[..., Path]
CPU = torch.device("cpu")
X = np.random.default_rng(0).integers(0, 256, (60, 9, 8, 3), dtype=np.uint8)
Y = np.arange(60) % 3


def prepared_of(given: object = None, custom: Any = None, **sections: Any) -> PreparedData:
    recipe = build_recipe(sections)
    labelled = open_data(recipe.data, given)
    return prepare(labelled, split_rows(labelled, recipe.split), recipe, custom)


def test_statistics_are_exact_and_of_train_alone() -> None:
    prepared = prepared_of((X, Y))
    train = X[prepared.rows["train"]].astype(np.float64) / 255
    assert np.allclose(prepared.transform.mean, train.mean(axis=(0, 1, 2)), rtol=0, atol=1e-14)
    assert np.allclose(prepared.transform.std, train.std(axis=(0, 1, 2)), rtol=0, atol=1e-14)
    floats = prepared_of((X / 255 * 2 - 1, Y), data={"value_range": [-1, 1]})
    assert np.allclose(floats.transform.mean, train.mean(axis=(0, 1, 2)), atol=1e-12)
    assert np.allclose(floats.transform.std, train.std(axis=(0, 1, 2)), atol=1e-12)
    images = torch.cat([batch.images for batch in Batches(prepared, "train", batch_size=7, device=CPU).epoch(1)])
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)


def test_mnist_statistics(data_dir: Path) -> None:
    prepared = prepared_of(data={"source": "mnist", "root": str(data_dir)}, split={"val": 0})
    assert round(prepared.transform.mean[0], 4) == 0.1307
    assert round(prepared.transform.std[0], 4) == 0.3081


@pytest.mark.parametrize(
    ("normalize", "mean", "std"),
    [
        ("none", (0, 0, 0), (1, 1, 1)),
        ("weights", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ([0.5, 0.25], (0.5,) * 3, (0.25,) * 3),
    ],
)
def test_given_statistics(normalize: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    transform = prepared_of((X, Y), transform={"normalize": normalize}).transform
    assert (transform.mean, transform.std) == (mean, std)


@pytest.mark.parametrize("normalize", ["weights", [[0.1, 0.2, 0.3], [1, 1, 1]]])
def test_three_statistics_for_gray_are_refused(normalize: Any) -> None:
    with pytest.raises(RecipeError, match="gray"):
        prepared_of((X[..., 0], Y), transform={"normalize": normalize})
    assert (
        len(prepared_of((X[..., 0], Y), data={"channels": 3}, transform={"normalize": normalize}).transform.mean) == 3
    )


def test_a_constant_channel_is_left_unscaled_with_a_notice() -> None:
    pixels = X.copy()
    pixels[..., 1] = 9
    prepared = prepared_of((pixels, Y))
    assert prepared.transform.std[1] == 1
    assert any("without any variation" in notice for notice in prepared.labelled.notices)


def test_sizes_of_files(make_folder: Make) -> None:
    equal = prepared_of(data={"source": str(make_folder({"cat": 8, "dog": 8}, size=(12, 10)))})
    assert (equal.transform.image_size, equal.transform.store_size, equal.transform.resize) == (
        (12, 10),
        (12, 10),
        None,
    )
    make_folder({"cat": 8}, size=(300, 400))
    mixed_root = str(make_folder({"dog": 8}, size=(40, 30)))
    mixed = prepared_of(data={"source": mixed_root}).transform
    assert (mixed.image_size, mixed.store_size, mixed.resize) == ((224, 224), (258, 258), 258)
    crops = prepared_of(data={"source": mixed_root, "image_size": 32}, augmentation=["random_resized_crop"])
    assert (crops.transform.image_size, crops.transform.store_size) == ((32, 32), (56, 56))
    exact = prepared_of(data={"source": mixed_root, "image_size": [16, 24]}, transform={"resize": 16})
    assert exact.transform.store_size == (16, 24)
    with pytest.raises(RecipeError, match=r"transform\.resize"):
        prepared_of(data={"source": mixed_root, "image_size": 32}, transform={"resize": 16})


def test_arrays_are_resized_and_turned_gray_like_pictures() -> None:
    prepared = prepared_of((X, Y), data={"image_size": [18, 16], "channels": 1})
    expected = np.asarray(Image.fromarray(X[3]).convert("L").resize((16, 18), Image.Resampling.BILINEAR))
    assert np.array_equal(prepared.store.pixels[3, ..., 0].numpy(), expected)
    assert prepared.input_shape == (1, 18, 16)


def test_gray_files_stay_gray(make_folder: Make) -> None:
    root = make_folder({"cat": 4, "dog": 4})
    for path in root.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    assert prepared_of(data={"source": str(root)}).transform.channels == 1


def test_bad_images_are_all_listed_or_left_out(make_folder: Make) -> None:
    root = make_folder({"cat": 14, "dog": 14})
    (root / "cat" / "3.png").write_bytes(b"")
    (root / "dog" / "5.png").write_bytes(b"<html>404</html>")
    whole = (root / "dog" / "6.png").read_bytes()
    (root / "dog" / "6.png").write_bytes(whole[:-40])
    with pytest.raises(DataError, match="3 of 28 images") as caught:
        prepared_of(data={"source": str(root)})
    for part in (
        "cat/3.png: empty file",
        "dog/5.png: not an image (looks like HTML",
        "dog/6.png: damaged",
        "on_bad_image: skip",
    ):
        assert part in str(caught.value)
    kept = prepared_of(data={"source": str(root), "on_bad_image": "skip"})
    assert sum(len(rows) for rows in kept.rows.values()) == 25
    assert any(notice.startswith("bad images left out (3)") for notice in kept.labelled.notices)


def test_a_large_store_lies_in_a_file(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(make_folder({"cat": 6, "dog": 6}))
    small = prepared_of(data={"source": root})
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 100)
    large = prepared_of(data={"source": root})
    assert torch.equal(small.store.pixels, large.store.pixels)
    assert small.fingerprint == large.fingerprint


def test_fingerprints() -> None:
    first, again = prepared_of((X, Y)), prepared_of((X.copy(), Y.copy()))
    assert (first.fingerprint, first.split_fingerprints) == (again.fingerprint, again.split_fingerprints)
    changed = X.copy()
    changed[0, 0, 0, 0] ^= 1
    assert prepared_of((changed, Y)).fingerprint != first.fingerprint
    assert prepared_of((X, (Y + 1) % 3)).fingerprint != first.fingerprint
    turned = prepared_of({"train": (X, Y), "test": (X[::-1][:9], Y[::-1][:9])})
    same = prepared_of({"train": (X, Y), "test": (X[51:], Y[51:])})
    assert turned.split_fingerprints["test"] == same.split_fingerprints["test"]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_is_a_function_of_epoch_and_number(shuffle: bool) -> None:
    prepared = prepared_of((X, Y))
    batches = Batches(prepared, "train", batch_size=8, device=CPU, seed=3, shuffle=shuffle)
    for epoch in (1, 2):
        whole = list(batches.epoch(epoch))
        assert len(whole) == batches.num_batches
        rows = torch.cat([batch.rows for batch in whole])
        assert sorted(rows.tolist()) == prepared.rows["train"].tolist()
        assert torch.equal(torch.cat([batch.targets for batch in whole]), torch.from_numpy(Y)[rows])
        other = Batches(prepared, "train", batch_size=8, device=CPU, seed=3, shuffle=shuffle)
        for number in (4, 0, batches.num_batches - 1):
            for one, two in zip(other.batch(epoch, number), whole[number], strict=True):
                assert torch.equal(one, two)
        later = list(batches.epoch(epoch, start=3))
        assert torch.equal(later[0].rows, whole[3].rows)
    assert torch.equal(batches.batch(1, 0).rows, batches.batch(2, 0).rows) is not shuffle
    with pytest.raises(DataError, match="no holdout split"):
        Batches(prepared, "holdout", batch_size=8, device=CPU)


def test_batches_made_together_are_those_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepared_of((X, Y))
    augment = build_augmentation((RandomCrop(padding=2), HorizontalFlip()), 5, (9, 8))

    def epoch(bytes_at_once: int, start: int = 0) -> list[Batch]:
        monkeypatch.setattr(batches_module, "AT_ONCE_BYTES", bytes_at_once)
        train = Batches(prepared, "train", batch_size=8, device=CPU, seed=3, augment=augment, shuffle=True)
        return list(train.epoch(2, start))

    alone, three = epoch(1), 3 * 8 * 4 * 3 * 9 * 8
    for together in (epoch(three), epoch(2**30), alone[:2] + epoch(three, start=2)):
        assert [len(batch.rows) for batch in together] == [len(batch.rows) for batch in alone]
        for one, other in zip(together, alone, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Noisy(Dataset):  # type: ignore[type-arg]
    """Items that draw from all three generators; floats or pictures."""

    def __init__(self, floats: bool) -> None:
        self.floats = floats

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if self.floats:
            return torch.rand(2, 5, 4) + np.random.rand() + index, index % 2  # noqa: NPY002
        return Image.fromarray(X[index] if torch.rand(()) < 0.5 else X[index][:, ::-1].copy()), index % 2


@pytest.mark.parametrize("floats", [True, False])
def test_items_drawn_at_random_depend_on_seed_epoch_and_row_alone(floats: bool) -> None:
    prepared = prepared_of(Noisy(floats), transform={"normalize": "none"})
    state = torch.get_rng_state()
    train = Batches(prepared, "train", batch_size=4, device=CPU, seed=1, shuffle=True)
    torch.rand(5)
    again = Batches(prepared, "train", batch_size=4, device=CPU, seed=1, shuffle=True)
    assert torch.equal(train.batch(2, 1).images, again.batch(2, 1).images)
    fixed = Batches(prepared, "train", batch_size=20, device=CPU, seed=1)
    assert torch.equal(fixed.batch(1, 0).images, fixed.batch(2, 0).images)
    by_row = {
        epoch: {int(r): i for b in train.epoch(epoch) for r, i in zip(b.rows, b.images, strict=True)}
        for epoch in (1, 2)
    }
    assert any(not torch.equal(by_row[1][row], by_row[2][row]) for row in by_row[1])
    assert not torch.equal(torch.get_rng_state(), state)  # only by the draw above: reading items leaves it alone
    assert prepared.input_shape == ((2, 5, 4) if floats else (3, 9, 8))


def test_ready_tensors_are_not_augmented() -> None:
    """Their numbers may mean anything, normalised ones have no black: an augmentation would spoil them silently."""
    with pytest.raises(RecipeError, match=r"`augmentation` .*horizontal_flip.*put .* into your Dataset"):
        prepared_of(Noisy(True), augmentation=["horizontal_flip"])


def test_computed_statistics_of_random_items_are_refused() -> None:
    with pytest.raises(RecipeError, match="at random"):
        prepared_of(Noisy(False))


def test_the_users_own_transform() -> None:
    def own(image: torch.Tensor) -> torch.Tensor:
        assert image.dtype == torch.uint8
        return image[:2].float() / 255 + torch.rand(())

    prepared = prepared_of((X, Y), own)
    assert prepared.input_shape == (2, 9, 8)
    assert prepared.transform.kind == "custom"
    train = Batches(prepared, "train", batch_size=60, device=CPU, shuffle=True)
    val = Batches(prepared, "val", batch_size=60, device=CPU)
    assert torch.equal(train.batch(3, 0).images, train.batch(3, 0).images)
    assert torch.equal(val.batch(1, 0).images, val.batch(2, 0).images)
    with pytest.raises(DataError, match="your transform failed"):
        prepared_of((X, Y), lambda image: image.no_such_thing)
    with pytest.raises(DataError, match=r"expected a float tensor"):
        prepared_of((X, Y), lambda image: image)


def test_augmentation_gets_store_pixels_and_floats_with_black_as_zero() -> None:
    seen = []

    def augment(pixels: torch.Tensor, epoch: int, rows: torch.Tensor) -> torch.Tensor:
        seen.append((pixels.dtype, float(pixels.min()), float(pixels.max()), epoch, len(rows)))
        return pixels

    augment.window = None  # type: ignore[attr-defined]
    for data, given in (({}, (X, Y)), ({"value_range": [-1, 1]}, (X / 127.5 - 1, Y))):
        prepared = prepared_of(given, data=data)
        plain = Batches(prepared, "train", batch_size=60, device=CPU).batch(1, 0)
        other = Batches(prepared, "train", batch_size=60, device=CPU, augment=augment).batch(1, 0)  # type: ignore[arg-type]
        assert torch.allclose(plain.images, other.images, atol=1e-5)
    assert seen[0][0] == torch.uint8
    assert seen[1][0] == torch.float32
    assert 0 <= seen[1][1] < 0.1 < 0.9 < seen[1][2] <= 1


def test_explore_and_examples(make_folder: Make) -> None:
    make_folder({"dog": 3}, size=(20, 30))
    root = make_folder({"cat": 16})
    recipe = build_recipe({"data": {"source": str(root)}})
    labelled = open_data(recipe.data)
    found = explore(labelled, split_rows(labelled, recipe.split))
    assert found["classes"] == {"cat": 16, "dog": 3}
    assert found["sizes"] == [
        {"height": 12, "width": 10, "num_samples": 16},
        {"height": 20, "width": 30, "num_samples": 3},
    ]
    assert found["modes"] == {"RGB": 19}
    assert "imbalance: 'cat'" in found["warnings"][0]
    prepared = prepared_of((X, Y))
    pixels, labels = example_grid(prepared, 2)
    assert pixels.shape == (6, 9, 8, 3)
    assert labels == ["0", "0", "1", "1", "2", "2"]
    assert explore(prepared, prepared.rows)["warnings"] == []


def test_other_data_are_prepared_as_the_trained_network_needs() -> None:
    trained = prepared_of((X, Y))
    names = np.array(["b", "a"] * 6)
    other = open_data(build_recipe({}).data, (X[:12], names))
    labelled = as_classes(other, ("c", "b", "a"))
    assert labelled.targets.tolist() == [1, 2] * 6
    with pytest.raises(DataError, match="does not know: a"):
        as_classes(other, ("b", "c"))
    prepared = prepare_like(labelled, {"test": np.arange(12)}, trained.transform)
    batch = Batches(prepared, "test", batch_size=12, device=CPU).batch(0, 0)
    assert torch.equal(batch.images, trained.transform.finish(torch.from_numpy(X[:12])))
    floats = open_data(build_recipe({"data": {"value_range": [0, 255]}}).data, (X.astype(np.float32), Y))
    with pytest.raises(DataError, match="trained on 8-bit images"):
        prepare_like(floats, floats.given, trained.transform)


def test_statistics_are_exact_where_sums_are_largest() -> None:
    """All white, and black and white by turns, in more rows than float32 can add up squares of: no rounding at all."""
    white = np.full((40, 70, 30, 3), 255, dtype=np.uint8)
    white[:, :, ::2, 1] = 0
    prepared = prepared_of((white, np.arange(40) % 2))
    assert prepared.transform.mean == (1.0, 0.5, 1.0)
    assert prepared.transform.std == (1.0, 0.5, 1.0)  # nothing varies in the first and the last: not scaled
