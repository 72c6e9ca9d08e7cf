"""Images -> logits: the built-in networks, torchvision's architectures, and the registry of both."""

from netwright.models.build import build_model

__all__ = ["build_model"]
