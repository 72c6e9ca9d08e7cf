"""Images with masks from real files: what values mean, who belongs to whom, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.config.masks import IGNORED
from netwright.config.recipe import build_recipe
from netwright.config.sections import Data
from netwright.data.fingerprint import fingerprint, split_fingerprint
from netwright.data.labelled import LabelledData
from netwright.data.masks.store import read_mask
from netwright.data.prepare import prepare
from netwright.data.sources import open_data
from netwright.errors import DataError, RecipeError

BLOCKS = np.kron(np.array([[0, 1, 2], [1, 2, 0], [2, 2, 1]]), np.ones((8, 8), int)).astype(np.uint8)  # 24 × 24


def folder_of(root: Path, masks: list[Image.Image], sizes: tuple[int, int] = (24, 24)) -> Path:
    """Write images/ and masks/ with one image for each mask."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for place, mask in enumerate(masks):
        Image.fromarray(random.integers(0, 256, (*sizes, 3), dtype=np.uint8)).save(root / "images" / f"{place}.jpg")
        mask.save(root / "masks" / f"{place}.png")
    return root


def opened(root: Path, **fields: Any) -> LabelledData:
    return open_data(Data(source=str(root), masks=str(root), **fields))


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10] + [255, 255, 255] * 253)
    return image


def colours(values: np.ndarray, table: tuple[tuple[int, int, int], ...]) -> Image.Image:
    return Image.fromarray(np.array(table, np.uint8)[values])


GREEN, RED, BLUE = (0, 128, 0), (128, 0, 0), (0, 0, 250)
KINDS: list[tuple[str, Image.Image, tuple[str, ...], np.ndarray]] = [
    ("0 and 255", Image.fromarray((BLOCKS > 0).astype(np.uint8) * 255), ("background", "foreground"), BLOCKS > 0),
    ("0 and 1", Image.fromarray((BLOCKS > 0).astype(np.uint8)), ("background", "foreground"), BLOCKS > 0),
    ("one bit", Image.fromarray(BLOCKS > 0), ("background", "foreground"), BLOCKS > 0),
    ("gray ids", Image.fromarray(BLOCKS), ("0", "1", "2"), BLOCKS),
    ("ids with gaps", Image.fromarray((BLOCKS * 7 + 3).astype(np.uint8)), ("3", "10", "17"), BLOCKS),
    ("a palette's numbers", palette(BLOCKS), ("0", "1", "2"), BLOCKS),
    ("deep gray", Image.fromarray(BLOCKS.astype(np.uint16) * 300), ("0", "300", "600"), BLOCKS),
    ("gray as RGB", Image.fromarray(BLOCKS).convert("RGB"), ("0", "1", "2"), BLOCKS),
    ("colours", colours(BLOCKS, (BLUE, GREEN, RED)), ("#0000fa", "#008000", "#800000"), BLOCKS),
]


@pytest.mark.parametrize(("mask", "names", "classes"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_values_are_classes_as_they_are_found(
    tmp_path: Path, mask: Image.Image, names: tuple[str, ...], classes: np.ndarray
) -> None:
    found = opened(folder_of(tmp_path, [mask, mask]))
    assert found.task == "segmentation"
    assert found.class_names == names
    assert found.masks is not None
    assert np.array_equal(read_mask(found.masks, 0), classes.astype(np.uint8))


def test_255_beside_other_classes_is_ignored_and_it_says_so(tmp_path: Path) -> None:
    values = BLOCKS.copy()
    values[0, :5] = 255
    found = opened(folder_of(tmp_path, [Image.fromarray(values)]))
    assert found.class_names == ("0", "1", "2")
    assert found.masks is not None
    assert np.array_equal(read_mask(found.masks, 0) == IGNORED, values == 255)
    assert any("255" in notice and "ignored" in notice for notice in found.notices)


def test_classes_and_ignored_values_that_are_said(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [colours(BLOCKS, (BLUE, GREEN, RED))])
    found = opened(root, mask_classes={"car": "#800000", "sky": "#0000FA"}, mask_ignore=("#008000",))
    assert found.class_names == ("car", "sky")
    assert found.masks is not None
    assert np.array_equal(read_mask(found.masks, 0), np.array([1, IGNORED, 0])[BLOCKS])
    with pytest.raises(DataError, match=r"masks/0\.png: values that are no classes: #800000"):
        opened(root, mask_classes={"sky": "#0000fa", "grass": "#008000"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mask_classes": {"a": 1}}, "2 to 255 classes"),
        ({"mask_classes": {"a": 1, "b": 1}}, "a value of its own"),
        ({"mask_classes": {"a": "red", "b": 1}}, "a colour such as '#ff0080'"),
        ({"mask_ignore": [-1]}, "a number from 0"),
        ({"masks": None, "mask_classes": {"a": 0, "b": 1}}, "--masks FOLDER"),
        ({"task": "regression"}, "leave one of them out"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        build_recipe({"data": {"source": "somewhere", "masks": "masks", **fields}})


def test_every_pair_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    mask = Image.fromarray(BLOCKS)
    root = folder_of(tmp_path, [mask] * 5)
    (root / "masks" / "1.png").unlink()
    mask.crop((0, 0, 20, 24)).save(root / "masks" / "2.png")
    (root / "masks" / "3.png").write_bytes(b"no picture")
    mask.save(root / "masks" / "4.tif")  # beside 4.png
    with pytest.raises(DataError) as error:
        opened(root)
    said = str(error.value)
    assert "4 of 5 pairs" in said
    assert "images/1.jpg: no mask in" in said
    assert "masks/2.png: has 20 × 24 pixels, and its image 24 × 24" in said
    assert "masks/3.png: not an image" in said
    assert "images/4.jpg: several masks: masks/4.png, masks/4.tif" in said


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([np.zeros((24, 24), np.uint8)] * 3, "one class only"),
        ([np.arange(576).reshape(24, 24) % 200], r"more than 64 different values \(.*masks/0.png alone 200\)"),
    ],
    ids=["all empty", "smoothed"],
)
def test_masks_that_can_not_be_learnt_from_are_refused(tmp_path: Path, masks: list[np.ndarray], said: str) -> None:
    root = folder_of(tmp_path, [Image.fromarray(mask.astype(np.uint8)) for mask in masks])
    with pytest.raises(DataError, match=said):
        opened(root)
    if said == "one class only":
        with pytest.raises(DataError, match=said):
            opened(root, mask_classes={"a": 0, "b": 255})


def test_what_was_found_is_said_and_a_value_of_one_mask_alone(tmp_path: Path) -> None:
    masks = [Image.fromarray(BLOCKS)] * 6
    assert opened(folder_of(tmp_path / "good", masks)).notices == ("classes of the masks by value: 0, 1, 2",)
    slip = BLOCKS.copy()
    slip[3, 3] = 77
    notices = opened(folder_of(tmp_path / "slip", [*masks, Image.fromarray(slip)])).notices
    assert notices[0] == "classes of the masks by value: 0, 1, 2, 77"
    assert notices[1].startswith("only one mask has the value 77, ") and "masks/6.png" in notices[1]


def test_masks_drawn_in_transparency_alone_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    drawn = Image.fromarray(np.dstack([BLOCKS * 0] * 3 + [BLOCKS * 100]))
    with pytest.raises(DataError, match=r"masks/0\.png and 3 more\) have one class only \(0; transparency"):
        opened(folder_of(tmp_path / "drawn", [drawn] * 4))
    root = folder_of(tmp_path / "none", [Image.fromarray(BLOCKS)] * 2)
    for path in (root / "masks").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="none/masks has no masks"):
        opened(root)


def test_a_folder_of_splits_in_either_order(tmp_path: Path) -> None:
    mask = Image.fromarray(BLOCKS)
    for split in ("train", "val", "test"):
        folder_of(tmp_path / "inner" / split, [mask, mask])
        for name in ("images", "masks"):
            (tmp_path / "outer" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "inner" / split / name).rename(tmp_path / "outer" / name / split)
        folder_of(tmp_path / "inner" / split, [mask, mask])
    for root in ("inner", "outer"):
        found = opened(tmp_path / root)
        assert {split: len(rows) for split, rows in found.given.items()} == {"train": 2, "val": 2, "test": 2}
    images, masks = tmp_path / "outer" / "images", tmp_path / "outer" / "masks"
    apart = open_data(Data(source=str(images), masks=str(masks)))
    assert set(apart.given) == {"train", "val", "test"}
    assert apart.sample_names[0] == "train/0.jpg"
    (tmp_path / "outer" / "masks" / "val").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="has no val"):
        open_data(Data(source=str(images), masks=str(masks)))


def test_a_table_of_pairs(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [Image.fromarray(BLOCKS)] * 3)
    table = root / "pairs.csv"
    lines = ["image,truth,split", *(f"images/{n}.jpg,masks/{n}.png,{'val' if n == 2 else 'train'}" for n in range(3))]
    table.write_text("\n".join(lines))
    found = open_data(Data(source=str(table), masks="truth"))
    assert found.sample_names == ("images/0.jpg", "images/1.jpg", "images/2.jpg")
    assert found.given["val"].tolist() == [2]
    table.write_text("\n".join([*lines, "images/9.jpg,masks/9.png,train", "images/1.jpg,,train"]))
    with pytest.raises(DataError) as error:
        open_data(Data(source=str(table), masks="truth"))
    assert "images/9.jpg: its mask masks/9.png is not there" in str(error.value)
    assert "line 6: no mask" in str(error.value)
    with pytest.raises(DataError, match=r"which pairs\.csv does not have"):
        open_data(Data(source=str(table), masks="mask"))


def test_the_store_has_masks_in_the_images_geometry(tmp_path: Path) -> None:
    """A mask shown as an image is resized and cut as the image is, by nearest neighbour."""
    big = np.kron(BLOCKS, np.ones((4, 6), int)).astype(np.uint8)  # 96 × 144
    root = folder_of(tmp_path, [Image.fromarray(big), Image.fromarray(big.T.copy())], (96, 144))
    for place, mask in enumerate((big, big.T)):
        shown = Image.fromarray(np.ascontiguousarray(mask * 100)).convert("RGB")
        shown.save(root / "images" / f"{place}.jpg", quality=100)
    recipe = build_recipe({"data": {"source": str(root), "masks": str(root), "image_size": 48}})
    labelled = open_data(recipe.data)
    prepared = prepare(labelled, {"train": np.arange(2)}, recipe)
    assert prepared.store.masks is not None
    assert prepared.store.masks.shape == (2, 55, 55)
    seen = prepared.store.gather(torch.arange(2))[..., 0].float() / 100
    assert ((seen - prepared.store.masks.float()).abs() < 0.5).float().mean() > 0.97  # but at the borders of blocks
    again = prepare(labelled, {"train": np.array([1])}, recipe).store
    assert torch.equal(again.gather_masks(torch.tensor([1]))[0], prepared.store.masks[1])


def test_the_fingerprint_is_also_of_the_masks(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [Image.fromarray(BLOCKS)] * 2)
    before = opened(root)
    Image.fromarray(BLOCKS.T.copy()).save(root / "masks" / "1.png")
    after = opened(root)
    assert fingerprint(before) != fingerprint(after)
    rows = np.array([0, 1])
    assert split_fingerprint(before, rows) != split_fingerprint(after, rows)
    assert split_fingerprint(before, rows[:1]) == split_fingerprint(after, rows[:1])


@pytest.mark.parametrize("inside", ["masks in images", "images in masks"])
def test_one_folder_may_lie_in_the_other(inside: str, tmp_path: Path) -> None:
    masks = [Image.fromarray(BLOCKS % 2 * 255) for _ in range(4)]
    root = folder_of(tmp_path / "data", masks)
    outer, inner = ("images", "masks") if inside == "masks in images" else ("masks", "images")
    (root / inner).rename(root / outer / inner)
    paths = {outer: root / outer, inner: root / outer / inner}
    found = open_data(Data(source=str(paths["images"]), masks=str(paths["masks"])))
    assert len(found) == 4
    assert found.class_names == ("background", "foreground")
