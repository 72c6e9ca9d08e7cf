"""The whole road from pixels to probabilities as one `nn.Module`: what an export holds."""

import copy

import torch
from torch import Tensor, nn

from netwright.data.transform import EvalTransform
from netwright.data.views import with_views
from netwright.deployment.bundle import Bundle
from netwright.deployment.prediction import ANSWERING
from netwright.errors import InputError

USUAL_MULTIPLE = 32  # five halvings, as in torchvision's segmentation networks


class WholeNetwork(nn.Module):
    """Pixels (B, H, W, C) of the bundle's input size -> logits (B, num_outputs), probabilities (B, K) or, without
    classes, numbers (B, 1). Of masks both are (B, …, H, W), and the size is what the network takes.

    uint8 from 0 to 255; float32 where the network was trained on floats (`value_range`, or ready tensors). `logits` are
    the network's outputs as its criterion takes them, their mean where the bundle has views; probabilities have gone
    through the bundle's temperature. Numbers are those of `EvalTransform.finish` and `Predictor.rows`."""

    def __init__(self, network: nn.Module, bundle: Bundle) -> None:
        super().__init__()
        self.network = network
        self.bundle = bundle
        self.input_dtype = input_dtype(bundle.transform)
        scale, bias = _affine(bundle.transform, self.input_dtype)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.scale: Tensor
        self.bias: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        floats = images.to(torch.float32)
        if self.bundle.transform.kind == "images":
            floats = floats * self.scale + self.bias
        logits = with_views(self.network, self.bundle.transform.views)(floats.permute(0, 3, 1, 2))
        if not self.bundle.task.class_names:
            return logits, self.bundle.task.answers(logits)[:, None]
        return logits, self._probabilities(logits)

    def _probabilities(self, logits: Tensor) -> Tensor:
        temperature = self.bundle.temperature or 1.0
        if self.bundle.task.num_outputs > 1 and self.bundle.task.output != "probabilities":
            return torch.softmax(logits / temperature, dim=1)  # also right for log-probabilities
        return torch.softmax(self.bundle.task.answers(logits) / temperature, dim=1)


def build_whole(network: nn.Module, bundle: Bundle) -> WholeNetwork:
    """Build the module from a network, on the CPU in eval mode; the network itself stays as it is.

    Raises InputError for a transform of the user's own, which can be any code."""
    if bundle.transform.kind == "custom":
        raise InputError(
            "the transform is your own, any code, and can't be put into an exported file; train with one of "
            "netwright's, or export run.network() alone with torch.onnx.export"
        )
    if bundle.transform.kind == "rows":
        raise InputError(
            "an exported file takes pixels, and this network the rows of a table; keep the bundle (--format bundle), "
            "which reads tables itself"
        )
    own = copy.deepcopy(network).to("cpu").to(memory_format=torch.contiguous_format)
    for parameter in own.parameters():
        parameter.requires_grad_(False)
    return WholeNetwork(own, bundle).eval()


def input_dtype(transform: EvalTransform) -> torch.dtype:
    """Return the dtype of the pixels that an export takes."""
    return torch.uint8 if transform.kind == "images" and transform.value_range in (None, (0, 255)) else torch.float32


def size_multiple(whole: WholeNetwork) -> int | None:
    """Return what height and width have to be multiples of, so that the network's halvings lose no row; None for a
    network of one size: one without masks, or whose own images are no such multiples."""
    multiple = getattr(whole.network, "multiple", USUAL_MULTIPLE)
    fits = all(side % multiple == 0 for side in whole.bundle.image_size)
    return multiple if fits and ANSWERING[whole.bundle.task.name].each_pixel else None


def example_images(bundle: Bundle, num: int, seed: int = 0, size: tuple[int, int] | None = None) -> Tensor:
    """Return noise (num, H, W, C) of the kind that the network takes; of `size`, null: the bundle's input size."""
    shape = (num, *(size or bundle.image_size), bundle.transform.channels)
    generator = torch.Generator().manual_seed(seed)
    if input_dtype(bundle.transform) == torch.uint8:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    black, white = bundle.transform.value_range or (0.0, 1.0)
    return torch.rand(shape, generator=generator) * (white - black) + black


def _affine(transform: EvalTransform, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return scale and bias (C,), of pixels x: x · scale + bias == ((x - black) / (white - black) - mean) / std."""
    black, white = (0.0, 255.0) if dtype == torch.uint8 else transform.value_range or (0.0, 1.0)
    means = torch.tensor(transform.mean, dtype=torch.float64).expand(transform.channels)
    stds = torch.tensor(transform.std, dtype=torch.float64).expand(transform.channels)
    scale = 1 / ((white - black) * stds)
    return scale.to(torch.float32), (-black * scale - means / stds).to(torch.float32)
