"""Grad-CAM: where on an image a convolutional network sees what speaks for a class.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization". With A the
activations (C, h, w) of a layer and y the score of a class before any softmax: α_c is the mean over h and w of
∂y / ∂A_c, and the map is ReLU(Σ_c α_c A_c).
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.errors import InputError, did_you_mean, listed
from netwright.inspection.eval_mode import in_eval_mode, removing

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_LAST_LAYERS = (nn.LogSoftmax, nn.Softmax, nn.Sigmoid, nn.LogSigmoid)


@dataclass(frozen=True, eq=False)
class GradCam:
    """Maps of B images: `maps` (B, H, W) float32 on the CPU, in [0, 1], the highest place of each 1.

    A map is 0 everywhere when no place of its image speaks for the class. `classes` (B,) int64; `layer` is the name of
    the module whose activations were weighed."""

    layer: str
    classes: Tensor
    maps: Tensor


@dataclass
class _Pass:
    """What hooks kept of one forward pass."""

    activations: Tensor | None = None
    kind: str = "nothing: it is not used"
    last: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # input and output of softmax-like layers


def grad_cam(network: nn.Module, images: Tensor, *, classes: Tensor | None = None, layer: str | None = None) -> GradCam:
    """Explain the network's scores for images (B, C, H, W), as the network takes them, on the network's device.

    `classes` (B,) int64 are explained; None: those with the highest score. A network of one output has two classes, the
    output and its negative being their scores. A last softmax, log-softmax or sigmoid layer is left out of the score.
    `layer`: a module's name whose output is (B, C', H', W'); None is the last one with more than one place; of a module
    that is called several times the last call counts. Works on frozen networks too; modes, gradients and buffers stay
    as they are. Raises InputError where there is no such layer."""
    with torch.inference_mode(False), torch.enable_grad(), in_eval_mode(network):
        images = images.detach().clone()
        layer = last_spatial_layer(network, images[:1]) if layer is None else layer
        seen, outputs = _forward(network, images, layer)
        scores = _scores(seen, outputs, network)
        classes = scores.argmax(dim=1) if classes is None else classes.to(scores.device)
        assert seen.activations is not None
        chosen = scores.gather(1, classes[:, None]).sum()  # images do not touch each other in eval mode
        (gradients,) = torch.autograd.grad(chosen, seen.activations, allow_unused=True)
        if gradients is None:
            raise InputError(
                f"the class scores do not depend on the output of {layer!r}; choose a layer before the head"
            )
        weights = gradients.mean(dim=(2, 3), keepdim=True)
        maps = (weights * seen.activations.detach()).sum(dim=1, keepdim=True).relu().float()
    return GradCam(layer, classes.cpu(), _enlarged(maps, (images.shape[2], images.shape[3])).cpu())


def last_spatial_layer(network: nn.Module, images: Tensor) -> str:
    """Return the name of the last module, from the first convolution on, whose output (B, C, H, W) has several places.

    Raises InputError when the network has none, as linear and mlp have."""
    names = {id(module): name for name, module in network.named_modules()}
    found: list[str] = []
    convolved = False

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal convolved
        convolved = convolved or isinstance(module, _CONVOLUTIONS)
        if convolved and module is not network and is_spatial(output):
            found.append(names[id(module)])

    handles = [module.register_forward_hook(leave) for module in network.modules()]
    with removing(handles), in_eval_mode(network), torch.no_grad():
        network(images.clone())
    if not found:
        raise InputError(
            f"the network ({type(network).__name__}) has no spatial layer: no convolution whose output has height and "
            "width, so it has no places to show; take a convolutional network, such as cnn"
        )
    return found[-1]


def is_spatial(output: Any) -> bool:
    """Say whether a module's output is (B, C, H, W) with more than one place."""
    return isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1


def _forward(network: nn.Module, images: Tensor, layer: str) -> tuple[_Pass, Tensor]:
    """Run the network; the layer's output becomes the beginning of the graph, so that nothing need be trainable."""
    seen = _Pass()

    def keep(module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
        if not is_spatial(output):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            seen.kind, seen.activations = str(shape), None
            return None
        seen.activations = output.detach().requires_grad_()
        return seen.activations.clone()  # what follows may write into it, as ReLU(inplace=True) does

    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen.last.append((inputs[0], output))

    last = [each for each in network.modules() if isinstance(each, _LAST_LAYERS)]
    handles = [module_named(network, layer).register_forward_hook(keep)]
    with removing([*handles, *(each.register_forward_hook(note) for each in last)]):
        outputs = network(images)
    if seen.activations is None:
        raise InputError(
            f"the output of {layer!r} is {seen.kind}; Grad-CAM needs (B, C, H, W) with more than one place"
        )
    return seen, outputs


def module_named(network: nn.Module, name: str) -> nn.Module:
    """Return a module by its name. Raises InputError, with names like it, for one that is not there."""
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if name not in modules or not name:
        known = [each for each in modules if each]
        raise InputError(f"the network has no layer {name!r}{did_you_mean(name, known)}; it has: {listed(known, 40)}")
    return modules[name]


def _scores(seen: _Pass, outputs: Any, network: nn.Module) -> Tensor:
    """Return the scores (B, K) of the classes, before a last layer that turns them into probabilities."""
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"{type(network).__name__} answers with {shape}; Grad-CAM explains class scores (B, K)")
    scores = next((before for before, after in seen.last if after is outputs), outputs)
    return torch.cat([-scores, scores], dim=1) if scores.shape[1] == 1 else scores


def _enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring maps (B, 1, h, w) to the images' size, and the highest place of each to 1."""
    large = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)[:, 0]
    highest = large.amax(dim=(1, 2), keepdim=True)
    return torch.where(highest > 0, large / highest, torch.zeros_like(large))
