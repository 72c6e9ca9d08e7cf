"""The built-in networks' names and arguments (the networks themselves are in the room `models`)."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from netwright.config.schema import Kind, Part, Section, convert_section
from netwright.errors import RecipeError

Count = Annotated[int, Meta(ge=1)]
Probability = Annotated[float, Meta(ge=0, lt=1)]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid", "maxout"]
Output = Literal["logits", "log_probabilities", "probabilities"]


HEADS = ("own", "linear", "hidden", "concat_pool")


class Head(Section, frozen=True, kw_only=True):
    """The last layers, which turn features into logits.

    `own`: as the architecture has them, for our number of classes. `linear`: global average pooling and one Linear.
    `hidden`: hidden layers of the given `sizes`, each Linear -> batch norm -> activation -> dropout, then a Linear.
    `concat_pool`: average and maximum over all places side by side, batch norm and half the dropout before each of the
    hidden layers, then a Linear (the head of fastai, Howard & Gugger 2020). What is null takes the head's default."""

    name: Literal["own", "linear", "hidden", "concat_pool"] = "linear"
    sizes: tuple[Count, ...] | None = None
    dropout: Probability | None = None
    batch_norm: bool | None = None
    activation: Activation = "relu"

    def check(self, where: str) -> None:
        given = [field for field in ("sizes", "dropout", "batch_norm") if getattr(self, field) is not None]
        given += ["activation"] if self.activation != "relu" else []
        takes = {"own": (), "linear": ("dropout",)}.get(self.name, ("sizes", "dropout", "batch_norm", "activation"))
        wrong = [field for field in given if field not in takes]
        if wrong:
            raise RecipeError(
                f"`{where}.{wrong[0]}` is given and the head {self.name!r} has none; "
                f"take `{where}.name: hidden`, or leave it out"
            )
        if self.name == "hidden" and self.sizes == ():
            raise RecipeError(f"`{where}.sizes` is empty; give at least one size, such as [500], or the head 'linear'")


class Model(Part, frozen=True, kw_only=True):
    """What every network has: where its first weights come from, and its head.

    `weights`: `none` (random), `default` (the architecture's best published ones), the name of other published ones, a
    weights file, or a run (a bundle) of ours; `weights_sha256` is the hash of the file, which a run writes down.
    `head: null` is `linear` on published weights and weights files, and else `own`."""

    kind: ClassVar[str] = "model"
    masks: ClassVar[bool] = False  # whether it gives a class for each pixel
    weights: str = "none"
    weights_sha256: str | None = None
    head: Head | None = None


class Linear(Model, frozen=True, kw_only=True):
    """Softmax regression: pixels -> one Linear."""

    name: Literal["linear"] = "linear"
    output: Output | None = None


class Mlp(Model, frozen=True, kw_only=True):
    """Multi-layer perceptron: flatten, then hidden layers of the given sizes, each Linear -> batch norm ->
    activation -> dropout, then a Linear to the classes. `output: null` is what the criterion needs."""

    name: Literal["mlp"] = "mlp"
    hidden_sizes: tuple[Count, ...] = (200,)
    activation: Activation = "relu"
    dropout: Probability = 0.0
    batch_norm: bool = False
    output: Output | None = None


class TabularMlp(Model, frozen=True, kw_only=True):
    """For the rows of a table: a trained vector for each category (`embedding_size` numbers, null: by how many there
    are), hidden layers of the given sizes, each Linear -> batch norm -> activation -> dropout, then a Linear. `skip`
    adds a layer's input to what it gives, and a linear model of the features to the outputs."""

    name: Literal["tabular_mlp"] = "tabular_mlp"
    hidden_sizes: tuple[Count, ...] = (64, 64)
    activation: Activation = "relu"
    dropout: Probability = 0.1
    batch_norm: bool = False
    skip: bool = True
    embedding_size: Count | None = None
    output: Output | None = None


class Cnn(Model, frozen=True, kw_only=True):
    """Convolutional network: for every entry of `channels` convolution -> batch norm -> activation (-> pooling), then
    flatten or global pooling, `classifier_sizes` hidden Linear layers and a Linear to the classes.

    `pool_after` lists the convolutions (from 1) that are followed by pooling; null: all of them. The fields from
    `pool_first` on are what the speed records of CIFAR-10 found (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds"):
    `pool_first` pools straight after the convolution; `init: identity` lets the first filters pass their channel on;
    `whitening` puts a frozen layer of so many pixels a side before the rest, which decorrelates patches of train."""

    name: Literal["cnn"] = "cnn"
    channels: tuple[Count, ...] = (32, 64, 128)
    kernel_size: Count = 3
    padding: Annotated[int, Meta(ge=0)] | Literal["same"] = "same"
    pooling: Literal["max", "average", "none"] = "max"
    pool_size: Annotated[int, Meta(ge=1)] = 2
    pool_after: tuple[Count, ...] | None = None
    activation: Activation = "relu"
    batch_norm: bool = False
    dropout: Probability = 0.0
    classifier_sizes: tuple[Count, ...] = ()
    classifier_batch_norm: bool = False
    pool_first: bool = False
    conv_bias: bool = True
    norm_scale: bool = True
    norm_momentum: Annotated[float, Meta(gt=0, le=1)] = 0.1
    norm_eps: Annotated[float, Meta(gt=0)] = 1e-5
    init: Literal["default", "identity"] = "default"
    whitening: Count | None = None
    global_pooling: Literal["none", "max", "average"] = "none"
    head_scale: Annotated[float, Meta(gt=0)] | None = None
    output: Output | None = None

    def check(self, where: str) -> None:
        if not self.channels:
            raise RecipeError(f"`{where}.channels` is empty; give at least one convolution, such as [32, 64, 128]")
        over = [place for place in self.pool_after or () if place > len(self.channels)]
        if over:
            raise RecipeError(
                f"`{where}.pool_after` names convolution {over[0]}, and there are {len(self.channels)}; "
                f"use numbers from 1 to {len(self.channels)}"
            )
        if self.init == "identity" and self.activation == "maxout":
            raise RecipeError(
                f"`{where}.init` is 'identity' and `{where}.activation` is 'maxout', whose two pieces would not be one "
                "channel any more; take another activation"
            )


class AlexNet(Model, frozen=True, kw_only=True):
    """AlexNet (Krizhevsky 2014, "One weird trick …"), as torchvision has it, for any image size and channel count."""

    name: Literal["alexnet"] = "alexnet"
    dropout: Probability = 0.5


class Unet(Model, frozen=True, kw_only=True):
    """U-Net, which gives a class for each pixel: down to features of 1 / 2^`depth` of the image's size and up again,
    with `width` channels at full size and twice as many after every halving.

    `encoder` is one of torchvision's classification networks, whose stages take the place of the way down; `weights`
    are then that network's. `depth: null` is 4, or all halvings of the encoder."""

    masks: ClassVar[bool] = True
    name: Literal["unet"] = "unet"
    depth: Count | None = None
    width: Count = 32
    up: Literal["transposed", "bilinear"] = "transposed"
    batch_norm: bool = True
    dropout: Probability = 0.0
    encoder: str | None = None


class TorchvisionModel(Model, frozen=True, kw_only=True):
    """Any classification or segmentation architecture of torchvision by its name there; `arguments` go to its
    constructor."""

    name: str
    arguments: dict[str, float | int | bool | str] = {}


class CustomModel(Model, frozen=True, kw_only=True):
    """The user's own `nn.Module`, given as an object; `type` is what its class is called."""

    name: Literal["custom"] = "custom"
    type: str = ""


class ModelKind(Kind):
    """The kinds of networks; a head may be given by its name alone."""

    def convert(self, value: object, where: str) -> Part:
        if isinstance(value, Mapping) and isinstance(value.get("head"), (str, Mapping)):
            head = value["head"]
            head = {"name": head} if isinstance(head, str) else head
            value = {**value, "head": convert_section(Head, head, f"{where}.head")}
        return super().convert(value, where)


MODELS = ModelKind("model", Linear, Mlp, TabularMlp, Cnn, AlexNet, Unet, CustomModel, fallback=TorchvisionModel)
_SEGMENTATION = ("deeplabv3_", "fcn_", "lraspp_")  # how torchvision's segmentation networks are called


def gives_masks(model: Model) -> bool:
    """Say whether a network is known to give a class for each pixel, and not one for the image."""
    return model.masks or (isinstance(model, TorchvisionModel) and model.name.startswith(_SEGMENTATION))
