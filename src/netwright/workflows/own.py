"""What the Python user gave as objects in place of names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Own:
    """The user's own parts: none of them is in any file, so resuming or loading needs them again.

    `data`: arrays (X, y), a dict of splits of them, or a map-style Dataset; `model`: an `nn.Module`; `criterion`:
    (outputs, targets) -> mean loss; `optimizer`: parameters -> torch optimizer; `transform`: one (C, H, W) uint8 tensor
    -> float tensor; `metrics`: name -> (log_probabilities, targets) -> number; `on_epoch`: (record, model) -> None."""

    data: Any = None
    model: Any = None
    criterion: Callable[..., Any] | None = None
    optimizer: Callable[..., Any] | None = None
    transform: Callable[..., Any] | None = None
    metrics: Mapping[str, Callable[..., float]] = field(default_factory=dict)
    on_epoch: Callable[..., None] | None = None
