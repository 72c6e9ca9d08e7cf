"""From labelled data and rows to what training reads: the decoded store and the evaluation transform."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import torch

from netwright.config.recipe import Recipe
from netwright.data.custom import CustomTransform, apply_custom, custom_input
from netwright.data.fingerprint import fingerprint, split_fingerprint
from netwright.data.items import read_item, ready_item
from netwright.data.labelled import ArrayImages, FileImages, ItemImages, LabelledData, RowImages, Rows
from netwright.data.loading import choose_workers
from netwright.data.normalize import choose_normalization
from netwright.data.odd_images import format_notices
from netwright.data.resize import store_size, whole_store_size
from netwright.data.row_store import rows_store, rows_transform
from netwright.data.scan import Scan, scan
from netwright.data.store import Store, as_targets, build_store
from netwright.data.transform import EvalTransform
from netwright.errors import DataError, RecipeError, listed
from netwright.files.blocks import Say

DEFAULT_SIZE = 224
_MOST_LISTED = 200  # bad images; a data set of which more are bad is the wrong one


@dataclass(frozen=True, eq=False)
class PreparedData:
    """Data ready to be batched. `input_shape` is the network's input, (C, h, w); `custom` the user's own transform.

    `workers` processes read the user's own data set, where its items are read anew in every epoch; `leaks` is what the
    gate found (`leaks.gate.pass_gate`)."""

    labelled: LabelledData
    rows: dict[str, Rows]
    store: Store
    transform: EvalTransform
    fingerprint: str
    split_fingerprints: dict[str, str]
    input_shape: tuple[int, int, int]
    custom: CustomTransform | None = field(default=None)
    workers: int = 0
    worker_timeout_seconds: float = 120.0
    leaks: Mapping[str, Any] = field(default_factory=dict)


def prepare(
    labelled: LabelledData,
    rows: dict[str, Rows],
    recipe: Recipe,
    transform: CustomTransform | None = None,
    say: Say | None = None,
) -> PreparedData:
    """Decode every row in use once, and take the statistics of train alone.

    `transform` is the user's own (see `custom.apply_custom`): it takes the place of scaling and normalising. `say` is
    told while it is done what takes long: decoding, or waiting for another process that decodes the same.
    Raises DataError for bad images (all of them listed) unless `data.on_bad_image` is skip, then they are left out with
    a notice; RecipeError when `transform.normalize` does not fit the images' channels, or ready tensors are to be
    augmented."""
    if isinstance(labelled.images, RowImages):
        return _prepare_rows(labelled, rows, recipe, transform)
    if isinstance(labelled.images, ItemImages) and labelled.images.kind == "ready":
        return _with_workers(_prepare_ready(labelled, rows, recipe, transform), recipe)
    used = np.sort(np.concatenate(list(rows.values())))
    found = scan(labelled.images, used)
    geometry = _geometry(labelled, found, recipe)
    if isinstance(labelled.images, ItemImages) and labelled.images.kind == "random":
        store = _drawn_anew(labelled, geometry)
    else:
        store, bad, notices = build_store(labelled, used, geometry, say)
        labelled = _with_notices(labelled, notices)
        labelled, rows = _without_bad(labelled, rows, {**found.bad, **bad}, recipe)
    labelled = _with_notices(labelled, _scan_notices(labelled, found))
    return _with_workers(_finish(labelled, rows, store, geometry, recipe, transform), recipe)


def _with_workers(prepared: PreparedData, recipe: Recipe) -> PreparedData:
    workers, notice = choose_workers(prepared.store.items, recipe.runtime.workers)
    labelled = _with_notices(prepared.labelled, [notice] if notice else [])
    seconds = recipe.runtime.worker_timeout_seconds
    return replace(prepared, labelled=labelled, workers=workers, worker_timeout_seconds=seconds)


def prepare_like(
    labelled: LabelledData, rows: dict[str, Rows], transform: EvalTransform, custom: CustomTransform | None = None
) -> PreparedData:
    """Decode other data for a network that is trained already: its evaluation transform decides everything.

    Raises DataError for bad images, all of them listed."""
    if transform.kind == "rows":
        store = rows_store(labelled, transform)
    elif transform.kind == "ready":
        if not isinstance(labelled.images, ItemImages):
            raise DataError("the network was trained on ready tensors of your own Dataset; give such a Dataset again")
        store = _drawn_anew(labelled, transform)
    elif isinstance(labelled.images, ItemImages) and labelled.images.kind == "random":
        store = _drawn_anew(labelled, transform)
    else:
        _check_same_range(labelled, transform)
        used = np.sort(np.concatenate(list(rows.values())))
        found = scan(labelled.images, used)
        store, bad, _ = build_store(labelled, used, transform)
        if found.bad or bad:
            raise DataError(_bad_list(labelled, {**found.bad, **bad}))
    splits = {split: split_fingerprint(labelled, part) for split, part in rows.items()}
    shape = (transform.channels, *transform.image_size)
    return PreparedData(labelled, rows, store, transform, fingerprint(labelled), splits, shape, custom)


def _drawn_anew(labelled: LabelledData, transform: EvalTransform) -> Store:
    """Return the store of items that are read anew for every batch: no pixels."""
    assert isinstance(labelled.images, ItemImages)
    dtype = torch.float32 if transform.kind == "ready" else torch.uint8
    nothing = torch.empty((0, *transform.store_size, transform.channels), dtype=dtype)
    return Store(nothing, as_targets(labelled), labelled.images)


def _check_same_range(labelled: LabelledData, transform: EvalTransform) -> None:
    """Raise DataError for arrays whose numbers mean something else than those that the network was trained on."""
    images = labelled.images
    if (
        isinstance(images, ArrayImages)
        and images.pixels.dtype != np.uint8
        and images.value_range != transform.value_range
    ):
        raise DataError(
            f"{labelled.name} has {images.pixels.dtype} values in the range {images.value_range} and the network was "
            f"trained on {transform.value_range or '8-bit images'}; give arrays of the same kind"
        )


def _finish(
    labelled: LabelledData,
    rows: dict[str, Rows],
    store: Store,
    geometry: EvalTransform,
    recipe: Recipe,
    custom: CustomTransform | None,
) -> PreparedData:
    shape = (geometry.channels, *geometry.image_size)
    if custom is not None:
        final = msgspec.structs.replace(geometry, kind="custom")
        if store.items is not None:
            raise DataError(
                "your own Dataset draws at random itself; put your transform into it, or leave one of them out"
            )
        first = torch.from_numpy(rows["train"][:1])
        made = apply_custom(custom, custom_input(final, store.views(first, final)), recipe.training.seed, 0, first)
        shape = (made.shape[1], made.shape[2], made.shape[3])
    else:
        mean, std, constant = choose_normalization(store, rows["train"], geometry, recipe)
        final = msgspec.structs.replace(geometry, mean=mean, std=std)
        labelled = _with_notices(labelled, [constant] if constant else [])
    splits = {split: split_fingerprint(labelled, part) for split, part in rows.items()}
    return PreparedData(labelled, rows, store, final, fingerprint(labelled), splits, shape, custom)


def _prepare_ready(
    labelled: LabelledData, rows: dict[str, Rows], recipe: Recipe, custom: CustomTransform | None
) -> PreparedData:
    """Float tensors of the user's own data set: nothing is decoded, resized, normalised or augmented."""
    if custom is not None:
        raise DataError("your Dataset gives float tensors, which are taken as they are; apply your transform in it")
    if recipe.augmentation:
        raise RecipeError(
            f"`augmentation` has {listed(part.name for part in recipe.augmentation)} and your Dataset gives float "
            "tensors, which are taken as they are; put it into your Dataset, or let that give PIL or uint8 images"
        )
    assert isinstance(labelled.images, ItemImages)
    first = ready_item(read_item(labelled.images, int(rows["train"][0]), 0, 0), None, int(rows["train"][0]))
    height, width, channels = first.shape
    wanted = _sized(recipe.data.image_size)
    if wanted is not None and wanted != (height, width):
        raise DataError(
            f"`data.image_size` is {wanted} and your Dataset gives tensors of {height} × {width}; leave it out"
        )
    size = (height, width)
    transform = EvalTransform(
        channels=channels, image_size=size, store_size=size, kind="ready", views=recipe.transform.views
    )
    store = _drawn_anew(labelled, transform)
    splits = {split: split_fingerprint(labelled, part) for split, part in rows.items()}
    return PreparedData(labelled, rows, store, transform, fingerprint(labelled), splits, (channels, height, width))


def _prepare_rows(
    labelled: LabelledData, rows: dict[str, Rows], recipe: Recipe, custom: CustomTransform | None
) -> PreparedData:
    """Rows of a table: what standardises them, stands for what is missing and numbers categories is train's."""
    if custom is not None:
        raise DataError("a transform of your own is for images; change the columns of the table before you give it")
    transform = rows_transform(labelled, rows["train"], recipe)
    splits = {split: split_fingerprint(labelled, part) for split, part in rows.items()}
    shape = (transform.channels, 1, 1)
    store = rows_store(labelled, transform)
    return PreparedData(labelled, rows, store, transform, fingerprint(labelled), splits, shape)


def _geometry(labelled: LabelledData, found: Scan, recipe: Recipe) -> EvalTransform:
    """Choose channels, image size and store size; mean and std come later."""
    if not found.sizes:
        raise DataError(_bad_list(labelled, found.bad))
    channels = recipe.data.channels or (1 if found.gray else 3)
    equal = next(iter(found.sizes)) if len(found.sizes) == 1 else None
    image_size = _sized(recipe.data.image_size) or equal or (DEFAULT_SIZE, DEFAULT_SIZE)
    resize, kept = recipe.transform.resize, image_size
    arrays = isinstance(labelled.images, ArrayImages)
    # arrays of another size are small pictures filled by their object: no margin to cut off, unless one is asked for
    if (equal != image_size and not arrays) or resize is not None:
        kept = store_size(image_size, resize)
        resize = min(kept)
    whole = any(part.name == "random_resized_crop" for part in recipe.augmentation) and (
        equal != image_size or resize is not None
    )
    whole = whole and labelled.masks is None  # masks are kept in one size
    return EvalTransform(
        channels=channels,
        image_size=image_size,
        store_size=whole_store_size(image_size, resize or min(image_size)) if whole else kept,
        resize=resize if whole or kept != equal else None,
        whole=whole,
        background=recipe.transform.background,
        value_range=_value_range(labelled),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        views=recipe.transform.views,
    )


def _value_range(labelled: LabelledData) -> tuple[float, float] | None:
    images = labelled.images
    return images.value_range if isinstance(images, (ArrayImages, FileImages)) else None


def _sized(image_size: int | tuple[int, ...] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    return (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])


def _without_bad(
    labelled: LabelledData, rows: dict[str, Rows], bad: dict[int, str], recipe: Recipe
) -> tuple[LabelledData, dict[str, Rows]]:
    if not bad:
        return labelled, rows
    if recipe.data.on_bad_image == "fail":
        raise DataError(_bad_list(labelled, bad))
    kept = {split: part[~np.isin(part, list(bad))] for split, part in rows.items()}
    lost = set(np.unique(labelled.strata[rows["train"]])) - set(np.unique(labelled.strata[kept["train"]]))
    if lost:
        names = listed(labelled.class_names[number] for number in sorted(lost)) or "train"
        raise DataError(f"without the bad images nothing is left to train on for: {names}. {_bad_list(labelled, bad)}")
    notice = f"bad images left out ({len(bad)}): {listed([bad[row] for row in sorted(bad)], 10)}"
    return _with_notices(labelled, [notice]), {split: part for split, part in kept.items() if len(part)}


def _bad_list(labelled: LabelledData, bad: dict[int, str]) -> str:
    lines = [f"  {bad[row]}" for row in sorted(bad)[:_MOST_LISTED]]
    more = [f"  and {len(bad) - _MOST_LISTED} more"] if len(bad) > _MOST_LISTED else []
    head = f"{len(bad)} of {len(labelled)} images of {labelled.name} can't be used:"
    return "\n".join([head, *lines, *more, "Repair or remove them, or leave them out with `data.on_bad_image: skip`."])


def _scan_notices(labelled: LabelledData, found: Scan) -> list[str]:
    animated = [f"{found.num_animated} images have several frames or pages: the first one is used"]
    return (animated if found.num_animated else []) + format_notices(labelled, found.rows_by_format)


def _with_notices(labelled: LabelledData, notices: Sequence[str]) -> LabelledData:
    return replace(labelled, notices=labelled.notices + tuple(notices)) if notices else labelled


def class_counts(labelled: LabelledData, rows: dict[str, Rows]) -> dict[str, dict[str, int]]:
    """Return split -> class name -> number of samples."""
    counts = {split: Counter(labelled.targets[part].tolist()) for split, part in rows.items()}
    return {
        split: {name: found[place] for place, name in enumerate(labelled.class_names)}
        for split, found in counts.items()
    }
