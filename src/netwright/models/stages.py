"""A network in stages, from the input to the head: what freezing, unfreezing and lrs a stage speak of.

A stage is a direct part of the network with weights; parts that only hold others (`features`, `layers`, `encoder`, …)
are opened: `layer3` of a ResNet, `features.denseblock2` of a DenseNet, `encoder.layers.encoder_layer_4` of a ViT.
A norm layer, and what has no weights (dropout, pooling), belong to the stage before them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from netwright.errors import RecipeError, did_you_mean, listed
from netwright.models.backbone import HeadPlace, find_head

HEAD = "head"
_OPENED = ("features", "layers", "blocks", "stages", "encoder", "trunk_output", "hidden")
_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm")


@dataclass(frozen=True)
class Stage:
    """A part of a network: the paths of its modules, and of parameters that a module around them holds itself.

    `decodes`: it lies between encoder and head of a network that gives masks, and is no part of the backbone."""

    name: str
    modules: tuple[str, ...]
    own_parameters: tuple[str, ...] = ()
    decodes: bool = False

    def holds(self, name: str) -> bool:
        """Say whether a parameter of this name is the stage's."""
        return name in self.own_parameters or any(name.startswith(f"{path}.") for path in self.modules)


def stages_of(network: nn.Module) -> tuple[Stage, ...]:
    """Return the network's stages in order, the last one being `head`. Raises RecipeError when it has no head."""
    place = find_head(network)
    stages: list[Stage] = []
    early: list[str] = []  # before the first stage: without weights of their own
    own: list[str] = []
    for path, module in _pieces(network, "", place):
        if module is None:
            own.append(path)
        elif stages and not _begins_stage(module):
            stages[-1] = replace(stages[-1], modules=(*stages[-1].modules, path))
        elif not _begins_stage(module):
            early.append(path)
        else:
            stages.append(Stage(path, (*early, path), decodes=_decodes(network, path)))
            early = []
    if stages:  # a class token, position embeddings: they belong to the beginning
        stages[0] = replace(stages[0], own_parameters=tuple(own))
    return (*stages, Stage(HEAD, place.paths, () if stages else tuple(own)))


def find_stage(stages: tuple[Stage, ...], name: str, where: str) -> int:
    """Return the place of the stage with this name, or of the only one whose name ends so.

    Raises RecipeError, naming the field `where`, when there is none."""
    names = [stage.name for stage in stages]
    ends = [place for place, known in enumerate(names) if known == name or known.endswith(f".{name}")]
    if name in names:
        return names.index(name)
    if len(ends) == 1:
        return ends[0]
    raise RecipeError(
        f"`{where}` names {name!r}{did_you_mean(name, names)}; the network's stages are, in order: {listed(names, 40)}"
    )


def _pieces(module: nn.Module, path: str, place: HeadPlace) -> Iterator[tuple[str, nn.Module | None]]:
    """Give the parts in order, without the head; None in the place of a module for a parameter beside modules."""
    prefix = f"{path}." if path else ""
    for name, _ in module.named_parameters(recurse=False):
        yield f"{prefix}{name}", None
    for name, child in module.named_children():
        inner = f"{prefix}{name}"
        if place.holds(inner):
            continue
        holds_head = place.parent == inner or place.parent.startswith(f"{inner}.")
        if holds_head or (name in _OPENED and next(child.children(), None) is not None):
            yield from _pieces(child, inner, place)
        else:
            yield inner, child


def _decodes(network: nn.Module, path: str) -> bool:
    """Say whether a part lies behind the encoder, which networks that give masks name as `encoder_path`."""
    encoder = getattr(network, "encoder_path", None)
    return isinstance(encoder, str) and path.partition(".")[0] != encoder


def _begins_stage(module: nn.Module) -> bool:
    is_norm = any(kind in type(module).__name__ for kind in _NORMS)
    return not is_norm and next(module.parameters(), None) is not None
