"""Weights from elsewhere, opened for a run: what they decide is written into its recipe before the data are decoded."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from netwright.config.datasets import BUILT_IN
from netwright.config.models import Head, gives_masks
from netwright.config.recipe import Recipe
from netwright.deployment.archive import WEIGHTS, read_member
from netwright.deployment.bundle import load_bundle
from netwright.errors import WeightsError
from netwright.files.hashing import sha256_bytes
from netwright.models.pretrained import Preprocessing, Pretrained, open_file, open_published
from netwright.workflows.weights_source import bundle_of

Say = Callable[[str], None]


def open_pretrained(recipe: Recipe, say: Say | None = None) -> Pretrained | None:
    """Open the weights that a recipe begins with; None for random ones.

    Raises WeightsError when they are not the ones with which the run began, and what their source raises."""
    model = recipe.model
    if model.weights == "none":
        return None
    path = Path(model.weights)
    bundle = bundle_of(path)
    if bundle is not None:
        found = _open_bundle(path, bundle)
    elif path.is_file():
        found = open_file(model, path)
    elif path.is_absolute():  # as paths are written out when a run begins
        raise WeightsError(f"the weights {path} are not there any more; put them back, or give others: --weights PATH")
    else:
        found = open_published(model, say)
    if model.weights_sha256 not in (None, found.sha256):
        raise WeightsError(
            f"the weights {found.title} have changed since the run began (SHA-256 {found.sha256[:12]}, then "
            f"{(model.weights_sha256 or '')[:12]}); put them back, or start a new run"
        )
    return found


def _open_bundle(path: Path, folder: Path) -> Pretrained:
    bundle, weights = load_bundle(folder)
    transform = bundle.transform
    known = None
    if transform.kind == "images":
        known = Preprocessing(bundle.image_size, transform.mean, transform.std, transform.resize)
    return Pretrained(
        name=str(path),
        title=str(path),
        weights=OrderedDict(weights),
        sha256=sha256_bytes(read_member(folder, WEIGHTS)),
        preprocessing=known,
        in_channels=bundle.in_channels,
        head=bundle.model.head,
        class_names=bundle.task.class_names,
        model_name=bundle.model.name,
    )


def with_pretrained(recipe: Recipe, pretrained: Pretrained | None) -> Recipe:
    """Write out what weights decide where the recipe left it open: head, image size, channels, normalisation.

    The short side before the cut is theirs too where the size is. A network for masks has its own head, and sees images
    in the size that they have."""
    model, known = recipe.model, pretrained.preprocessing if pretrained is not None else None
    if pretrained is None:
        return recipe
    masks = gives_masks(model)
    new = Head() if pretrained.class_names is None and not masks else None
    head = model.head or pretrained.head or new
    model = msgspec.structs.replace(model, weights=pretrained.name, weights_sha256=pretrained.sha256, head=head)
    recipe = recipe.replace(model=model)
    if known is None:
        return recipe
    data, transform = recipe.data, recipe.transform
    channels = known.channels if data.channels is None else data.channels
    if data.image_size is None and not masks:
        data = msgspec.structs.replace(data, image_size=known.image_size)
        # arrays are small pictures filled by their object: no margin to cut off
        if transform.resize is None and known.resize is not None and not _is_arrays(data.source):
            transform = msgspec.structs.replace(transform, resize=known.resize)
    if transform.normalize in (None, "weights"):
        transform = msgspec.structs.replace(transform, normalize=(known.mean, known.std))
    return recipe.replace(data=msgspec.structs.replace(data, channels=channels), transform=transform)


def _is_arrays(source: str) -> bool:
    return source in BUILT_IN or source.endswith(".npz") or source.startswith("<")
