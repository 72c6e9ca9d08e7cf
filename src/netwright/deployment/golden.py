"""Golden samples: a few images with the logits that the network gave for them when it was trained.

They travel in the bundle, so that wherever it goes (another machine, another version, an export) its answers can be
compared with the first ones. Real images, or synthetic ones that nobody is recognisable in, made from real ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import Tensor, nn

from netwright.data.custom import apply_custom, custom_input
from netwright.data.transform import EvalTransform
from netwright.data.views import with_views

NUM_GOLDEN = 8
BLENDED = 8  # real images in a synthetic one, equally strong
COARSE_PIXELS = 12  # a blend keeps so many places a side, whatever its size
MOST_STRETCH = 4.0
MOST_BYTES = 2**20  # of images with an answer for each pixel: fewer than 8 of them where they are large
KEPT_PIXELS = (
    7  # of masks the logits of every 7th pixel down and across: odd, so that all of a network's phases are met
)
_PIXELS_AT_ONCE = 2**21  # 8 images of 512 × 512: what a U-Net trains on at once
NOISE = 0.2  # of the images' standard deviation: edges, without which filters would see next to nothing


@dataclass(frozen=True)
class Golden:
    """`images` (N, h, w, C) as the network sees them before scaling, uint8 or float32; `logits` (N, num_outputs)
    float32, the network's outputs for them (the mean over the bundle's views). Of masks those of some pixels,
    (N, num_outputs, ⌈h/7⌉, ⌈w/7⌉): see `kept_logits`."""

    kind: Literal["real", "synthetic"]
    images: Tensor
    logits: Tensor

    def to_bytes(self) -> bytes:
        """Return the safetensors file: lossless, the same bytes for the same samples."""
        return save({"images": self.images.contiguous(), "logits": self.logits.contiguous()}, {"kind": self.kind})


def read_golden(content: bytes, kind: Any) -> Golden:
    """Read golden samples. Raises ValueError, KeyError or SafetensorError when they are not such."""
    tensors = load(content)
    images, logits = tensors["images"], tensors["logits"]
    shaped = images.dim() == 4 and logits.dim() in (2, 4) and len(images) == len(logits)
    if kind not in ("real", "synthetic") or not shaped:
        raise ValueError("the golden samples are not images and their logits")
    return Golden(kind, images, logits.to(torch.float32))


def kept_logits(outputs: Tensor) -> Tensor:
    """Return of outputs (N, K) or (N, K, h, w) what golden samples keep."""
    return outputs[:, :, ::KEPT_PIXELS, ::KEPT_PIXELS].contiguous() if outputs.dim() == 4 else outputs


def num_golden(each_pixel: bool, image_bytes: int) -> int:
    """Return how many golden samples there are: with an answer for each pixel as many as 1 MiB holds, one at least."""
    return max(1, min(NUM_GOLDEN, MOST_BYTES // image_bytes)) if each_pixel else NUM_GOLDEN


def images_at_once(size: Sequence[int], most: int = 64) -> int:
    """Return how many images of (height, width) go through a network at once."""
    return max(1, min(most, _PIXELS_AT_ONCE // max(1, size[0] * size[1])))


def golden_outputs(network: nn.Module, transform: EvalTransform, own_transform: Any, images: Tensor) -> Tensor:
    """Run the network in eval mode on images (N, h, w, C) as golden samples have them -> (N, num_outputs[, h, w])
    float32.

    On the CPU, in fp32, one thread: the reference that nothing of a machine's own choices is in."""
    at_once = images_at_once(images.shape[1:3])
    if len(images) > at_once:
        parts = torch.split(images, at_once)
        return torch.cat([golden_outputs(network, transform, own_transform, part) for part in parts])
    if transform.kind == "images" and own_transform is None:  # masks: of any size, not cut
        transform = msgspec.structs.replace(transform, image_size=(images.shape[1], images.shape[2]))
    if own_transform is not None:
        ready = apply_custom(own_transform, custom_input(transform, images), 0, 0, torch.arange(len(images)))
    else:
        ready = transform.finish(images)
    with _plainly(network), torch.inference_mode():
        outputs: Tensor = with_views(network, transform.views)(ready.contiguous())
    return outputs.float().clone()


@contextmanager
def _plainly(network: nn.Module) -> Iterator[None]:
    """Have the network on the CPU in eval mode, and torch in one thread, for a while."""
    state = next(iter(network.state_dict().values()), None)
    device = torch.device("cpu") if state is None else state.device
    threads, training = torch.get_num_threads(), network.training
    torch.set_num_threads(1)
    try:
        network.eval().to("cpu")
        yield
    finally:
        torch.set_num_threads(threads)
        network.to(device).train(training)


def shuffled_columns(rows: Tensor, num: int = NUM_GOLDEN) -> Tensor:
    """Make `num` synthetic rows from rows (M, 1, 1, D): each column from another row, so that nobody is in them."""
    generator = torch.Generator().manual_seed(0)
    places = torch.stack([torch.randperm(len(rows), generator=generator) for _ in range(rows.shape[3])])
    return rows[places[:, :num].T, 0, 0, torch.arange(rows.shape[3])][:, None, None, :].contiguous()


def blends(images: Tensor, num: int = NUM_GOLDEN) -> Tensor:
    """Make `num` synthetic images from images (M, h, w, C): same size and dtype, nobody recognisable.

    Each is the mean of 8 of them, reduced to 12 × 12 places and enlarged again, its contrast brought near theirs, with
    noise. What is drawn is drawn under a seed of its own: the same images give the same blends."""
    generator = torch.Generator().manual_seed(0)
    planes = images.to(torch.float32).permute(0, 3, 1, 2)
    mean, std = planes.mean(), planes.std().clamp(min=1e-6)
    drawn = [torch.randperm(len(images), generator=generator)[:BLENDED] for _ in range(num)]
    mixed = torch.stack([planes[rows].mean(dim=0) for rows in drawn])
    size = (planes.shape[2], planes.shape[3])
    coarse = (max(1, min(COARSE_PIXELS, size[0] // 2)), max(1, min(COARSE_PIXELS, size[1] // 2)))
    mixed = F.interpolate(F.adaptive_avg_pool2d(mixed, coarse), size, mode="bilinear")
    stretch = (std / mixed.std().clamp(min=1e-6)).clamp(max=MOST_STRETCH)
    noise = torch.randn(mixed.shape, generator=generator)
    made = ((mixed - mixed.mean()) * stretch + mean + NOISE * std * noise).permute(0, 2, 3, 1)
    low, high = planes.min(), planes.max()
    if images.dtype == torch.uint8:
        return made.round().clamp(0, 255).to(torch.uint8).contiguous()
    return made.clamp(low, high).contiguous()
