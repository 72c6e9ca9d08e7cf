"""Which mean and standard deviation the evaluation transform normalises with."""

from netwright.config.recipe import Recipe
from netwright.config.sections import Statistic
from netwright.data.labelled import Rows
from netwright.data.statistics import channel_statistics
from netwright.data.store import Store
from netwright.data.transform import EvalTransform
from netwright.errors import RecipeError, listed

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def choose_normalization(
    store: Store, train: Rows, geometry: EvalTransform, recipe: Recipe
) -> tuple[tuple[float, ...], tuple[float, ...], str | None]:
    """Return mean and std, one a channel, and a notice on constant channels.

    Raises RecipeError when `transform.normalize` does not fit the images' channels, or can't be computed."""
    wanted, channels = recipe.transform.normalize, geometry.channels
    if wanted == "decorrelated":
        raise RecipeError(
            "`transform.normalize` is 'decorrelated', which is for the numbers in a table's rows; these are images, "
            "so leave it out (`whitening` of the model cnn does the like to pixels)"
        )
    if wanted in ("none", "custom"):
        return (0.0,) * channels, (1.0,) * channels, None
    if wanted == "weights":
        return _per_channel(IMAGENET_MEAN, channels, "weights"), _per_channel(IMAGENET_STD, channels, "weights"), None
    if wanted is not None and not isinstance(wanted, str):
        given = [_per_channel(value, channels, f"{list(wanted)}") for value in wanted]
        return given[0], given[1], None
    if store.items is not None:
        raise RecipeError(
            "`transform.normalize` is 'computed' and your Dataset draws its pictures at random, so they have no fixed "
            "statistics; give [mean, std], or 'none'"
        )
    mean, std = channel_statistics(store, train, geometry)
    constant = [channel for channel, value in enumerate(std) if value == 0]
    said = f"channels without any variation over train, not scaled: {listed(constant)}" if constant else None
    return mean, tuple(value if value > 0 else 1.0 for value in std), said


def _per_channel(value: Statistic, channels: int, said: str) -> tuple[float, ...]:
    numbers = tuple(value) if isinstance(value, tuple) else (value,) * channels
    if len(numbers) != channels:
        kind = "gray" if channels == 1 else "RGB"
        fix = (
            "set `data.channels: 3`, or give statistics of one channel"
            if channels == 1
            else "give one number a channel"
        )
        raise RecipeError(
            f"`transform.normalize` is {said}, with {len(numbers)} numbers, and the images are {kind} ({channels}); "
            f"{fix}"
        )
    return tuple(float(number) for number in numbers)
