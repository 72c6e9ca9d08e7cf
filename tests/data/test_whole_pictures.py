"""Whole pictures under random resized crop: what is kept, what is cut, what evaluation and serving see, the threads."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop, v2

from netwright.config.recipe import build_recipe
from netwright.data import cutting
from netwright.data.augment import build_augmentation
from netwright.data.batches import Batches
from netwright.data.pictures import Pictures
from netwright.data.prepare import PreparedData, prepare
from netwright.data.resize import central_box, whole_size
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.data.transform import EvalTransform
from netwright.errors import DataError, RecipeError

CPU = torch.device("cpu")
SIZES = [(60, 90), (200, 120), (30, 21), (64, 64), (57, 301)]
ALL = ["random_resized_crop", "horizontal_flip", {"name": "rotation", "degrees": 40}, "color_jitter", "cutout"]


def smooth(height: int, width: int, seed: int = 0) -> Image.Image:
    low = np.random.default_rng(seed).integers(0, 256, (7, 6, 3), dtype=np.uint8)
    return Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of 40 pictures of five sizes and two classes."""
    for number in range(40):
        folder = tmp_path / "photographs" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        smooth(*SIZES[number % 5], seed=number).save(folder / f"{number}.png")
    return tmp_path / "photographs"


def prepared_of(given: object = None, **sections: Any) -> PreparedData:
    recipe = build_recipe({"augmentation": ALL} | sections)
    labelled = open_data(recipe.data, given)
    return prepare(labelled, split_rows(labelled, recipe.split), recipe)


def batches_of(prepared: PreparedData, augmentation: list[Any] | None = None) -> Batches:
    recipe = build_recipe({"augmentation": ALL if augmentation is None else augmentation})
    augment = build_augmentation(recipe.augmentation, 5, prepared.transform.image_size, (0.0, 1.0))
    return Batches(prepared, "train", batch_size=12, device=CPU, seed=5, augment=augment, shuffle=True)


def pictures_of(prepared: PreparedData) -> Pictures:
    assert prepared.store.pictures is not None
    return prepared.store.pictures


def test_pictures_are_kept_whole_and_never_enlarged(root: Path) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": 32})
    transform, pictures = prepared.transform, pictures_of(prepared)
    assert (transform.whole, transform.store_size, transform.resize) == (True, (56, 56), 37)
    for row, name in enumerate(prepared.labelled.sample_names):
        image = Image.open(root / name)
        short = min(image.size)
        expected = v2.functional.resize(image, [56]) if short > 56 else image
        assert np.array_equal(pictures[row], np.asarray(expected))
    assert whole_size((100, 400), (56, 112)) == (56, 224)
    assert whole_size((100, 150), (56, 112)) == (74, 112)
    assert whole_size((100, 100), (56, 112)) == (100, 100)


def test_each_cut_is_torchvisions_of_the_kept_picture(root: Path) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": [32, 40]}, transform={"normalize": "none"})
    only = ["random_resized_crop"]
    batches, pictures = batches_of(prepared, only), pictures_of(prepared)
    batch = next(iter(batches.epoch(3)))
    assert batches.augment is not None
    sizes = torch.from_numpy(pictures.sizes[batch.rows.numpy()])
    boxes = batches.augment.boxes(sizes, 3, batch.rows).tolist()
    assert len({tuple(box) for box in boxes}) == len(boxes)
    for row, box, image in zip(batch.rows.tolist(), boxes, batch.images, strict=True):
        picture = torch.from_numpy(pictures[row].copy()).permute(2, 0, 1)
        assert box[0] + box[2] <= picture.shape[1]
        assert box[1] + box[3] <= picture.shape[2]
        theirs = v2.functional.resized_crop(picture, *box, [32, 40], antialias=True)
        assert (image * 255 - theirs).abs().max() <= 1.01


def test_boxes_reach_the_whole_of_a_long_picture() -> None:
    """The middle square of 57 × 301 is 57 wide: almost every box of torchvision's lies outside of it, and of ours."""
    recipe = build_recipe({"augmentation": ["random_resized_crop"]})
    augment = build_augmentation(recipe.augmentation, 0, (32, 32))
    assert augment is not None
    rows = torch.arange(4000)
    boxes = augment.boxes(torch.tensor([[57, 301]]).expand(4000, 2), 1, rows).double()
    torch.manual_seed(0)
    image = torch.empty(3, 57, 301)
    drawn = [RandomResizedCrop.get_params(image, [0.08, 1.0], [0.75, 4 / 3]) for _ in rows]
    theirs = torch.tensor(drawn).double()
    error = (boxes.var(0) / 4000 + theirs.var(0) / 4000).sqrt()
    assert ((boxes.mean(0) - theirs.mean(0)).abs() < 5 * error).all()
    assert ((boxes.std(0) / theirs.std(0) - 1).abs() < 0.1).all()


@pytest.mark.parametrize("size", [(300, 400), (500, 333), (640, 480), (258, 258)])
@pytest.mark.parametrize("image_size", [(224, 224), (160, 240)])
def test_evaluation_is_resize_and_centre_crop(size: tuple[int, int], image_size: tuple[int, int]) -> None:
    height, width = image_size
    margin = 1.15
    scale = max(height * margin / size[0], width * margin / size[1])
    covering = [round(size[0] * scale), round(size[1] * scale)]
    image = smooth(*size)
    theirs = v2.Compose([v2.Resize(covering), v2.CenterCrop(image_size)])(image)
    short = min(image_size)
    transform = EvalTransform(
        channels=3,
        image_size=image_size,
        store_size=(round(height * 1.75), round(width * 1.75)),
        resize=round(short * margin),
        whole=True,
    )
    difference = np.abs(transform.view(transform.decode(image)).astype(int) - np.asarray(theirs).astype(int))
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.99) < 6


def test_the_central_box() -> None:
    assert central_box((224, 448), (224, 224), 224) == (0, 112, 224, 224)
    assert central_box((256, 256), (224, 224), 256) == (16, 16, 224, 224)
    assert central_box((100, 300), (50, 100), 50) == (0, 50, 100, 200)
    assert central_box((1, 40), (224, 224), 258) == (0, 20, 1, 1)


def test_a_batch_alone_is_the_one_of_the_epoch_with_any_number_of_threads(root: Path) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": 32})
    own = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append([batch.images for batch in batches_of(prepared).epoch(2)])
            assert torch.get_num_threads() == threads
        torch.set_num_threads(2)
        with torch.inference_mode():  # as evaluation asks for them
            found.append([batch.images for batch in batches_of(prepared).epoch(2)])
        torch.set_num_threads(1)
        state = torch.get_rng_state()
        alone = [batches_of(prepared).batch(2, number).images for number in range(len(found[0]))]
    finally:
        torch.set_num_threads(own)
    for number, images in enumerate(alone):
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert all(torch.equal(images, other[number]) for other in found)
    assert torch.equal(torch.get_rng_state(), state)


def test_two_epochs_differ_and_evaluation_does_not(root: Path) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": 32})
    train = batches_of(prepared)
    assert not torch.equal(train.batch(1, 0).images, train.batch(2, 0).images)
    val = Batches(prepared, "val", batch_size=4, device=CPU)
    for one, two in zip(val.epoch(1), val.epoch(2), strict=True):
        assert torch.equal(one.images, two.images)


def test_an_abandoned_epoch_leaves_no_thread(root: Path) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": 32})
    before = threading.active_count()
    for _ in batches_of(prepared).epoch(1):
        assert threading.active_count() > before
        break
    assert threading.active_count() == before


def test_an_error_in_a_thread_reaches_the_user(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": 32})

    def broken(*arguments: object) -> None:
        raise DataError("the disk is gone")

    monkeypatch.setattr(cutting, "cut_into", broken)
    before = threading.active_count()
    with pytest.raises(DataError, match="the disk is gone"):
        list(batches_of(prepared).epoch(1))
    assert threading.active_count() == before


def test_serving_equals_evaluation_bit_for_bit(root: Path) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": 32})
    batch = Batches(prepared, "val", batch_size=40, device=CPU).batch(0, 0)
    kept = msgspec.convert(msgspec.json.decode(msgspec.json.encode(prepared.transform)), EvalTransform)
    assert kept == prepared.transform
    for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
        path = root / prepared.labelled.sample_names[row]
        for source in (path, path.read_bytes(), Image.open(path)):
            pixels = torch.from_numpy(kept.view(kept.decode(source)).copy())
            assert torch.equal(kept.finish(pixels[None])[0], image)


def test_a_large_jpeg_is_kept_in_the_size_that_its_header_promises(tmp_path: Path) -> None:
    """A JPEG decoder that halves sizes rounds them: 1601 × 903 at a quarter is 401 × 226, not 400.25 × 225.75."""
    for name, size in {
        "a/1.jpg": (903, 1601),
        "a/2.jpg": (200, 210),
        "b/1.jpg": (1601, 903),
        "b/2.jpg": (90, 91),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        smooth(*size).save(tmp_path / name, quality=95)
    prepared = prepared_of(data={"source": str(tmp_path), "image_size": 32}, split={"val": 0, "test": 0})
    for row, name in enumerate(prepared.labelled.sample_names):
        full = Image.open(tmp_path / name)
        expected = whole_size((full.height, full.width), (56, 56))
        assert pictures_of(prepared)[row].shape == (*expected, 3)
        plain = full.resize((expected[1], expected[0]), Image.Resampling.BILINEAR)
        assert np.abs(pictures_of(prepared)[row].astype(int) - np.asarray(plain).astype(int)).mean() < 2


def test_statistics_are_of_what_evaluation_sees(root: Path) -> None:
    prepared = prepared_of(data={"source": str(root), "image_size": 32})
    images = torch.cat([batch.images for batch in Batches(prepared, "train", batch_size=9, device=CPU).epoch(0)])
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "float", "pictures"])
def test_arrays_and_pictures_in_memory(kind: str) -> None:
    pixels = np.stack([np.asarray(smooth(80, 70, seed)) for seed in range(20)])
    given: Any = (pixels, np.arange(20) % 2)
    data: dict[str, Any] = {"image_size": 32}
    if kind == "float":
        given, data = (pixels / 255, given[1]), data | {"value_range": [0, 1]}
    if kind == "pictures":
        given = ([Image.fromarray(one) for one in pixels], given[1])
    prepared = prepared_of(given, data=data)
    assert pictures_of(prepared)[3].shape == (64, 56, 3)
    alone, whole = batches_of(prepared).batch(1, 1), list(batches_of(prepared).epoch(1))[1]
    assert alone.images.shape[1:] == (3, 32, 32)
    assert torch.equal(alone.images, whole.images)
    assert torch.isfinite(alone.images).all()


def test_arrays_of_the_inputs_size_stay_as_they_are() -> None:
    pixels = np.stack([np.asarray(smooth(32, 32, seed)) for seed in range(20)])
    prepared = prepared_of((pixels, np.arange(20) % 2))
    assert not prepared.transform.whole
    assert prepared.store.pictures is None


def test_bad_pictures_are_left_out_or_listed(root: Path) -> None:
    whole = (root / "cat" / "1.png").read_bytes()
    (root / "cat" / "1.png").write_bytes(whole[:-60])
    (root / "dog" / "2.png").write_bytes(b"")
    with pytest.raises(DataError, match="2 of 40 images") as caught:
        prepared_of(data={"source": str(root), "image_size": 32})
    assert "1.png: damaged" in str(caught.value)
    prepared = prepared_of(data={"source": str(root), "image_size": 32, "on_bad_image": "skip"})
    assert sum(map(len, prepared.rows.values())) == 38
    assert sum(len(batch.rows) for batch in batches_of(prepared).epoch(1)) == len(prepared.rows["train"])


def test_a_second_preparation_maps_what_the_first_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared_of(data={"source": str(root), "image_size": 32})

    def refuse(*arguments: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(EvalTransform, "decode", refuse)
    again = prepared_of(data={"source": str(root), "image_size": 32})
    for row in range(40):
        assert np.array_equal(pictures_of(first)[row], pictures_of(again)[row])


def test_a_resized_crop_comes_first() -> None:
    with pytest.raises(RecipeError, match="put it first"):
        build_recipe({"augmentation": ["horizontal_flip", "random_resized_crop"]})
    with pytest.raises(RecipeError, match="put it first, once"):
        build_recipe({"augmentation": ["random_resized_crop", "random_resized_crop"]})


def test_the_users_transform_gets_the_cut(root: Path) -> None:
    recipe = build_recipe({"augmentation": ALL, "data": {"source": str(root), "image_size": 32}})
    labelled = open_data(recipe.data)

    def own(image: torch.Tensor) -> torch.Tensor:
        assert image.shape == (3, 32, 32)
        return image[:1].float() + torch.rand(())

    prepared = prepare(labelled, split_rows(labelled, recipe.split), recipe, own)
    alone, whole = batches_of(prepared).batch(1, 1), list(batches_of(prepared).epoch(1))[1]
    assert torch.equal(alone.images, whole.images)
