"""The built-in random transforms' names and arguments. Each draws its parameters per sample (see data/augment/)."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from netwright.config.schema import Kind, Part
from netwright.errors import RecipeError

Probability = Annotated[float, Meta(ge=0, le=1)]
Pixels = Annotated[int, Meta(ge=1)]
Strength = Annotated[float, Meta(ge=0)]


class Augmentation(Part, frozen=True, kw_only=True):
    """A random transform of training images."""

    kind: ClassVar[str] = "augmentation"


class RandomCrop(Augmentation, frozen=True, kw_only=True):
    """Pad by `padding` pixels on every side, then cut the image's own size at a random place."""

    name: Literal["random_crop"] = "random_crop"
    padding: Annotated[int, Meta(ge=0)] = 4
    mode: Literal["zero", "reflect"] = "zero"


class RandomResizedCrop(Augmentation, frozen=True, kw_only=True):
    """Cut a random part of random area (a fraction of the image) and aspect ratio, and resize it to the input size.

    The first of the list: it cuts from whole pictures."""

    name: Literal["random_resized_crop"] = "random_resized_crop"
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)

    def check(self, where: str) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise RecipeError(f"`{where}.scale` is {self.scale}; expected 0 < smallest <= largest <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise RecipeError(f"`{where}.ratio` is {self.ratio}; expected 0 < narrowest <= widest")


class HorizontalFlip(Augmentation, frozen=True, kw_only=True):
    """Mirror left and right with probability `p`.

    `alternating` draws once for every image, and mirrors in every other epoch what the one before did not: no image is
    seen the same way twice in a row (Jordan 2024)."""

    name: Literal["horizontal_flip"] = "horizontal_flip"
    p: Probability = 0.5
    alternating: bool = False

    def check(self, where: str) -> None:
        if self.alternating and self.p != 0.5:
            raise RecipeError(
                f"`{where}.alternating` mirrors every image in every other epoch, which is `p: 0.5`, and `{where}.p` "
                f"is {self.p:g}; leave one of them out"
            )


class VerticalFlip(Augmentation, frozen=True, kw_only=True):
    """Mirror top and bottom with probability `p`."""

    name: Literal["vertical_flip"] = "vertical_flip"
    p: Probability = 0.5


class Rotation(Augmentation, frozen=True, kw_only=True):
    """Rotate by a random angle in [-degrees, degrees] about the centre, bilinear, corners filled with black."""

    name: Literal["rotation"] = "rotation"
    degrees: Annotated[float, Meta(ge=0, le=180)] = 15.0


class ColorJitter(Augmentation, frozen=True, kw_only=True):
    """Change brightness, contrast, saturation (factors from [1 - v, 1 + v]) and hue (shift from [-v, v] turns)."""

    name: Literal["color_jitter"] = "color_jitter"
    brightness: Strength = 0.2
    contrast: Strength = 0.2
    saturation: Strength = 0.2
    hue: Annotated[float, Meta(ge=0, le=0.5)] = 0.0


class Cutout(Augmentation, frozen=True, kw_only=True):
    """Fill a square of `size` pixels at a random place with black (DeVries & Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    size: Pixels = 8
    p: Probability = 1.0


AUGMENTATIONS = Kind(
    "augmentation", RandomCrop, RandomResizedCrop, HorizontalFlip, VerticalFlip, Rotation, ColorJitter, Cutout
)
