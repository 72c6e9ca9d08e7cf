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


class RandomWindow(Augmentation, frozen=True, kw_only=True):
    """Cut a square of `size` pixels at a random place: training sees small parts of large images. For masks."""

    name: Literal["random_window"] = "random_window"
    size: Pixels = 256


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


class Affine(Augmentation, frozen=True, kw_only=True):
    """Rotate, move, scale and shear about the centre, bilinear, what comes from outside is black.

    `degrees` and `shear` (along x, in degrees too) are drawn from [-v, v], `translate` from [-v, v] times width and
    height, `scale` from its range."""

    name: Literal["affine"] = "affine"
    degrees: Annotated[float, Meta(ge=0, le=180)] = 10.0
    translate: tuple[Probability, Probability] = (0.1, 0.1)
    scale: tuple[float, float] = (0.9, 1.1)
    shear: Annotated[float, Meta(ge=0, lt=90)] = 0.0

    def check(self, where: str) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise RecipeError(f"`{where}.scale` is {self.scale}; expected 0 < smallest <= largest")


class ColorJitter(Augmentation, frozen=True, kw_only=True):
    """Change brightness, contrast, saturation (factors from [1 - v, 1 + v]) and hue (shift from [-v, v] turns)."""

    name: Literal["color_jitter"] = "color_jitter"
    brightness: Strength = 0.2
    contrast: Strength = 0.2
    saturation: Strength = 0.2
    hue: Annotated[float, Meta(ge=0, le=0.5)] = 0.0


class Grayscale(Augmentation, frozen=True, kw_only=True):
    """Take the colour away with probability `p`."""

    name: Literal["grayscale"] = "grayscale"
    p: Probability = 0.1


class GaussianBlur(Augmentation, frozen=True, kw_only=True):
    """Blur with probability `p`, with a standard deviation in pixels from the range `sigma`."""

    name: Literal["gaussian_blur"] = "gaussian_blur"
    kernel_size: Pixels = 9
    sigma: tuple[float, float] = (0.1, 2.0)
    p: Probability = 0.5

    def check(self, where: str) -> None:
        if self.kernel_size % 2 == 0:
            raise RecipeError(f"`{where}.kernel_size` is {self.kernel_size}; expected an odd number, with a middle")
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise RecipeError(f"`{where}.sigma` is {self.sigma}; expected 0 < smallest <= largest")


class Cutout(Augmentation, frozen=True, kw_only=True):
    """Fill a square of `size` pixels at a random place with black (DeVries & Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    size: Pixels = 8
    p: Probability = 1.0


class RandomErasing(Augmentation, frozen=True, kw_only=True):
    """Fill a box of random area (a fraction of the image), shape (height by width) and place with probability `p`
    (Zhong et al. 2017)."""

    name: Literal["random_erasing"] = "random_erasing"
    p: Probability = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    fill: Literal["noise", "gray", "black"] = "noise"

    def check(self, where: str) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise RecipeError(f"`{where}.scale` is {self.scale}; expected 0 < smallest <= largest <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise RecipeError(f"`{where}.ratio` is {self.ratio}; expected 0 < flattest <= tallest")


class RandAugment(Augmentation, frozen=True, kw_only=True):
    """Apply `num_ops` of 14 operations, drawn with repetition, at strength `magnitude` of 0 to 30 (Cubuk et al. 2020).

    The operations and their strengths are torchvision's: identity, shear, translation and rotation with black from
    outside; brightness, colour, contrast, sharpness; posterize, solarize, autocontrast, equalize."""

    name: Literal["rand_augment"] = "rand_augment"
    num_ops: Annotated[int, Meta(ge=1)] = 2
    magnitude: Annotated[int, Meta(ge=0, le=30)] = 9


class TrivialAugmentWide(Augmentation, frozen=True, kw_only=True):
    """Apply one of rand_augment's operations at a random strength of a wide range (Müller & Hutter 2021)."""

    name: Literal["trivial_augment_wide"] = "trivial_augment_wide"


class Mixing(Augmentation, frozen=True, kw_only=True):
    """Mix the images of a batch, each with the one before it, and their targets alike: (B,) -> (B, K).

    Comes after everything else. Of two in the list each sample draws one. A sample is mixed with probability `p`, its
    share drawn from Beta(alpha, alpha)."""

    alpha: Annotated[float, Meta(gt=0)] = 1.0
    p: Probability = 1.0


class MixUp(Mixing, frozen=True, kw_only=True):
    """Mix the images of a batch: each is a weighted mean with another one, share drawn from Beta(alpha, alpha), and so
    is its target (Zhang et al. 2018). Last of the list."""

    name: Literal["mixup"] = "mixup"
    alpha: Annotated[float, Meta(gt=0)] = 0.2


class CutMix(Mixing, frozen=True, kw_only=True):
    """Paste a box of another image of the batch, of an area drawn from Beta(alpha, alpha); the target is mixed by area
    (Yun et al. 2019). Last of the list; beside mixup each image gets one of the two."""

    name: Literal["cutmix"] = "cutmix"
    alpha: Annotated[float, Meta(gt=0)] = 1.0


AUGMENTATIONS = Kind(
    "augmentation",
    RandomCrop,
    RandomWindow,
    RandomResizedCrop,
    HorizontalFlip,
    VerticalFlip,
    Rotation,
    Affine,
    ColorJitter,
    Grayscale,
    GaussianBlur,
    Cutout,
    RandomErasing,
    RandAugment,
    TrivialAugmentWide,
    MixUp,
    CutMix,
)


def check_order(augmentation: tuple[Augmentation, ...]) -> None:
    """Raise RecipeError for a list out of order: a random resized crop is the first, what mixes a batch the last."""
    for place, part in enumerate(augmentation):
        if place and isinstance(part, RandomResizedCrop):
            raise RecipeError(
                f"`augmentation[{place}]` is random_resized_crop, which cuts its part from the whole picture; put it "
                "first, once"
            )
        later = augmentation[place + 1 :]
        if isinstance(part, Mixing) and not all(isinstance(other, Mixing) for other in later):
            raise RecipeError(
                f"`augmentation[{place}]` is {part.name}, which mixes the images of a batch when all else is done; "
                "put it last"
            )
        if isinstance(part, Mixing) and any(part.name == other.name for other in later):
            raise RecipeError(f"`augmentation` has {part.name} twice; each image is mixed once: leave one of them out")
