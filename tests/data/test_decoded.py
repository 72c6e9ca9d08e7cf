"""Decoding once: what is kept between runs, what makes it another entry, what is remembered of files."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from netwright.config.recipe import build_recipe
from netwright.data import decode, file_bytes, file_facts
from netwright.data import store as store_module
from netwright.data.batches import Batches
from netwright.data.prepare import PreparedData, prepare, prepare_like
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.data.store import store_of
from netwright.data.transform import EvalTransform
from netwright.errors import DataError
from netwright.files.block_limit import entries

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, own_cache: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded."""
    seen: list[str] = []
    decode = EvalTransform.decode

    def counted(self: EvalTransform, source: Any, *rest: Any) -> Any:
        seen.append(source.name if isinstance(source, Path) else "item")
        return decode(self, source, *rest)

    monkeypatch.setattr(EvalTransform, "decode", counted)
    return seen


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, with a file system whose times are exact at once."""
    seen: list[Path] = []
    read = file_bytes.read_file

    def counted(path: Path) -> bytes:
        seen.append(path)
        return read(path)

    for module in (file_facts, decode):
        monkeypatch.setattr(module, "read_file", counted)
    monkeypatch.setattr(file_facts, "_COARSE_NS", 0)
    return seen


def prepared_of(given: object = None, **sections: Any) -> PreparedData:
    recipe = build_recipe(sections)
    labelled = open_data(recipe.data, given)
    return prepare(labelled, split_rows(labelled, recipe.split), recipe)


def test_a_second_run_decodes_and_reads_nothing(make_folder: Make, decodings: list[str], readings: list[Path]) -> None:
    root = make_folder({"cat": 6, "dog": 6})
    first = prepared_of(data={"source": str(root)})
    assert len(decodings) == 12
    del decodings[:], readings[:]
    again = prepared_of(data={"source": str(root)}, augmentation=["horizontal_flip"])
    assert (decodings, readings) == ([], [])
    assert torch.equal(first.store.pixels, again.store.pixels)
    assert (first.fingerprint, first.split_fingerprints) == (again.fingerprint, again.split_fingerprints)
    paths = [root / name for name in first.labelled.sample_names]
    assert np.array_equal(first.store.pixels.numpy(), np.stack([np.asarray(Image.open(path)) for path in paths]))


@pytest.mark.parametrize(
    "changed",
    [{"data": {"channels": 1}}, {"data": {"image_size": [8, 8]}}, {"transform": {"background": 7}}],
    ids=["channels", "size", "background"],
)
def test_other_settings_are_another_entry(make_folder: Make, decodings: list[str], changed: dict[str, Any]) -> None:
    root = str(make_folder({"cat": 6, "dog": 6}))
    prepared_of(data={"source": root})
    del decodings[:]
    prepared_of(**{**changed, "data": {"source": root, **changed.get("data", {})}})
    assert len(decodings) == 12
    assert len(entries()) == 2


def test_settings_that_act_later_are_the_same_entry(make_folder: Make, decodings: list[str]) -> None:
    root = str(make_folder({"cat": 6, "dog": 6}))
    prepared_of(data={"source": root})
    del decodings[:]
    prepared_of(data={"source": root}, transform={"normalize": [0.5, 0.5]}, split={"val": 0.3, "seed": 5})
    assert decodings == []


def test_a_changed_file_is_seen_even_with_its_old_time(
    make_folder: Make, decodings: list[str], readings: list[Path]
) -> None:
    root = make_folder({"cat": 6, "dog": 6})
    first = prepared_of(data={"source": str(root)})
    path = root / "cat" / "3.png"
    before = path.stat()
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path, compress_level=6)
    with path.open("ab") as file:
        file.write(b"\0" * (before.st_size - path.stat().st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    del decodings[:], readings[:]
    again = prepared_of(data={"source": str(root)})
    assert readings[0] == path  # alone, to look at it; then all are decoded
    assert len(readings) == 13
    assert again.fingerprint != first.fingerprint
    row = list(again.labelled.sample_names).index("cat/3.png")
    assert np.array_equal(again.store.pixels[row].numpy(), 255 - first.store.pixels[row].numpy())


def test_a_file_that_was_just_written_is_not_trusted(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the file system's clock a second change would leave the same times."""
    root = make_folder({"cat": 6, "dog": 6})
    first = prepared_of(data={"source": str(root)})
    path = root / "cat" / "3.png"
    coarse = lambda path: file_bytes.Stat(1, 2, path.stat().st_ctime_ns // 10**12, 3, 4)
    monkeypatch.setattr(file_facts, "stat_of", coarse)
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert prepared_of(data={"source": str(root)}).fingerprint != first.fingerprint


def test_a_damaged_index_is_read_anew(make_folder: Make, tmp_path: Path, readings: list[Path]) -> None:
    root = make_folder({"cat": 6, "dog": 6})
    first = prepared_of(data={"source": str(root)})
    (index,) = (tmp_path / "cache").rglob("*.facts")
    for damage in (index.read_bytes()[:-9], b"", b"\xff" * 50):
        index.write_bytes(damage)
        del readings[:]
        assert prepared_of(data={"source": str(root)}).fingerprint == first.fingerprint
        assert len(readings) == 12


def test_bad_images_are_kept_and_tried_again(make_folder: Make, decodings: list[str], tmp_path: Path) -> None:
    root = make_folder({"cat": 14, "dog": 14})
    whole = (root / "dog" / "6.png").read_bytes()
    (root / "dog" / "6.png").write_bytes(whole[:-40])
    for _ in range(2):
        with pytest.raises(DataError, match=r"1 of 28 images .*\n.*6.png: damaged"):
            prepared_of(data={"source": str(root)})
    assert len(decodings) == 28 + 2  # each run tries the bad one again: once memory may have been short
    kept = prepared_of(data={"source": str(root), "on_bad_image": "skip"})
    assert sum(map(len, kept.rows.values())) == 27
    assert len(entries()) == 1


def test_one_split_alone_is_decoded_alone_or_taken_from_the_whole(make_folder: Make, decodings: list[str]) -> None:
    root = make_folder({"cat": 14, "dog": 14})
    recipe = build_recipe({"data": {"source": str(root)}})
    labelled = open_data(recipe.data)
    rows = split_rows(labelled, recipe.split)
    transform = EvalTransform(channels=3, image_size=(12, 10), store_size=(12, 10))
    alone = prepare_like(labelled, {"test": rows["test"]}, transform)
    assert len(decodings) == len(rows["test"]) < 28
    some = torch.from_numpy(rows["test"][::-1].copy())
    expected = [np.asarray(Image.open(root / labelled.sample_names[int(row)])) for row in some]
    assert np.array_equal(alone.store.gather(some).numpy(), np.stack(expected))
    whole = prepared_of(data={"source": str(root)})
    del decodings[:]
    from_whole = prepare_like(labelled, {"test": rows["test"]}, whole.transform)
    assert decodings == []
    assert torch.equal(from_whole.store.gather(some), alone.store.gather(some))


class Fixed(Dataset):  # type: ignore[type-arg]
    """Pictures of one's own, always the same."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[Any, int]:
        pixels = np.random.default_rng(index).integers(0, 256, (9, 8, 3), dtype=np.uint8)
        return Image.fromarray(pixels), index % 2


def test_fixed_items_are_kept_too(decodings: list[str]) -> None:
    first = prepared_of(Fixed(), data={"image_size": 12})
    assert len(decodings) == 24
    del decodings[:]
    assert torch.equal(prepared_of(Fixed(), data={"image_size": 12}).store.pixels, first.store.pixels)
    assert decodings == []


def test_batches_from_the_mapped_file_are_those_from_memory(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system is told what is read next, which rows of 16 kB and more are worth."""
    told: list[int] = []
    read = store_module.will_read
    monkeypatch.setattr(store_module, "will_read", lambda *given: (told.append(len(given[1])), read(*given)))
    prepared = prepared_of(data={"source": str(make_folder({"cat": 9, "dog": 9}, size=(80, 70)))})
    in_memory = store_of(prepared.store.pixels.numpy().copy(), prepared.store.targets)
    other = dataclasses.replace(prepared, store=in_memory)
    cpu = torch.device("cpu")
    mapped, plain = (Batches(each, "train", batch_size=5, device=cpu, shuffle=True) for each in (prepared, other))
    for one, two in zip(mapped.epoch(1), plain.epoch(1), strict=True):
        assert torch.equal(one.images, two.images)
    assert sum(told) == len(prepared.rows["train"])
    list(plain.epoch(1))
    assert sum(told) == len(prepared.rows["train"])
