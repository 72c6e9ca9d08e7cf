"""Weights into a network that they were made for, but for its head: what fits is taken, what does not is named."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from netwright.errors import WeightsError
from netwright.models.backbone import find_head

# side exits of Inception, GoogLeNet and segmentation networks, for training them from nothing
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.", "aux_classifier.")
_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$"
)
_MOST = 4


@dataclass(frozen=True)
class Fit:
    """How weights went into a network: tensors taken, of how many; whether the head is new; what was left out."""

    num_taken: int
    num_tensors: int
    new_head: bool
    left_out: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return it as the summary says it: "60 of 62 tensors; the head is new; left out: fc.weight, fc.bias"."""
        head = "the head is new" if self.new_head else "its head too"
        left = f"; left out: {_some(self.left_out)}" if self.left_out else ""
        return f"{self.num_taken} of {self.num_tensors} tensors; {head}{left}"


def with_versions(network: nn.Module, weights: Mapping[str, Tensor]) -> "OrderedDict[str, Tensor]":
    """Return weights as a state dict of the network's own version: a file has tensors alone, and MNASNet takes weights
    without a version for those of an older one."""
    state = OrderedDict(weights)
    state._metadata = getattr(network.state_dict(), "_metadata", None)  # type: ignore[attr-defined]
    return state


def load_into(
    network: nn.Module,
    weights: "OrderedDict[str, Tensor]",
    source: str,
    *,
    keep_head: bool = True,
    named: str | None = None,
    made_for: str | None = None,
) -> Fit:
    """Load weights into a network, in place. Of its head they may have another shape: then it stays as it is.

    Messages call the weights `source` and the network `named`; `made_for` is the name of the weights' own, if it is
    known. Without `keep_head` the head stays as it is in any case. Raises WeightsError with the differences when
    anything else is missing, has no place or another shape."""
    own, place = network.state_dict(), find_head(network)
    given = _current_names(network, weights)
    of_head = [name for name in own if place.holds(name)]
    fits = all(name in given and given[name].shape == own[name].shape for name in of_head)
    new_head = not (keep_head and fits)
    left_out = [name for name in given if name.startswith(_AUXILIARY) and name not in own]
    left_out += [name for name in given if new_head and place.holds(name)]
    for name in left_out:
        del given[name]
    shapes = [name for name in given if name in own and given[name].shape != own[name].shape]
    known = [given.pop(name) for name in shapes]
    found = network.load_state_dict(given, strict=False)
    missing = [name for name in found.missing_keys if name not in shapes and not (new_head and place.holds(name))]
    missing = [name for name in missing if not name.endswith(".num_batches_tracked")]  # batch norm's, since torch 0.4.1
    if missing or found.unexpected_keys or shapes:
        texts = [
            f"{name} is {_shape(value)} in it and {_shape(own[name])} in the network"
            for name, value in zip(shapes, known, strict=True)
        ]
        raise _misfit(named or type(network).__name__, source, missing, list(found.unexpected_keys), texts, made_for)
    return Fit(len(own) - len(found.missing_keys), len(own), new_head, tuple(left_out))


def load_encoder(network: nn.Module, weights: "OrderedDict[str, Tensor]", source: str) -> Fit:
    """Load a classification network's weights into `network.encoder`, in place; all else stays as it is.

    Raises WeightsError when the encoder has tensors that are not in them, or of another shape."""
    encoder = network.get_submodule("encoder")
    own, given = encoder.state_dict(), _current_names(encoder, weights)
    missing = [name for name in own if name not in given and not name.endswith(".num_batches_tracked")]
    shapes = [
        f"{name} is {_shape(given[name])} in it and {_shape(own[name])} in the network"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    if missing or shapes:
        raise _misfit(type(network).__name__, source, missing, [], shapes)
    taken = {name: given[name] for name in own if name in given}
    encoder.load_state_dict(taken, strict=False)
    left_out = tuple(name for name in given if name not in own)
    return Fit(len(taken), len(network.state_dict()), True, left_out)


def _current_names(network: nn.Module, weights: "OrderedDict[str, Tensor]") -> "OrderedDict[str, Tensor]":
    """Return a copy with the names that torchvision's DenseNet has today: its published files have older ones."""
    given = OrderedDict(weights)
    if type(network).__name__ == "DenseNet":
        given = OrderedDict((_DENSENET.sub(r"\1\2", name), value) for name, value in weights.items())
    # safetensors have no versions: those are files of today
    versions = getattr(weights, "_metadata", None) or getattr(network.state_dict(), "_metadata", None)
    if versions is not None:
        given._metadata = versions  # type: ignore[attr-defined]
    return given


def _some(names: Sequence[str]) -> str:
    """Name the first ones and the last, where networks of one family differ most."""
    return ", ".join(names) if len(names) <= _MOST else f"{', '.join(names[: _MOST - 1])}, …, {names[-1]}"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"


def _misfit(
    network: str,
    source: str,
    missing: list[str],
    unexpected: list[str],
    shapes: list[str],
    made_for: str | None = None,
) -> WeightsError:
    known = f", made for {made_for}," if made_for else ""
    lines = [f"{source}{known} does not fit the network {network}:"]
    if shapes:
        lines.append(f"  {len(shapes)} tensors have another shape: {_some(shapes)}")
    if missing:
        lines.append(f"  {len(missing)} tensors of the network are not in it: {_some(missing)}")
    if unexpected:
        lines.append(f"  {len(unexpected)} of its tensors have no place in the network: {_some(unexpected)}")
    advice = (
        f"Name the network that it was made for with --model {made_for or ''}".rstrip() + ", or give other weights."
    )
    if made_for == network:
        advice = "Give the network the settings of the run that they are from, or leave them all out to take the run's."
    return WeightsError("\n".join([*lines, advice]))
