"""torchvision's own segmentation networks by name, with their names of weights, as plain images -> logits."""

from functools import cache

from torch import Tensor, nn
from torch.nn import functional

from netwright.config.models import TorchvisionModel
from netwright.errors import RecipeError
from netwright.models.request import Request
from netwright.models.torchvision_models import construct, needs_logits

RESERVED = ("num_classes", "weights", "weights_backbone", "aux_loss")


@cache
def segmentation_names() -> tuple[str, ...]:
    """Return the names of torchvision's segmentation networks, sorted."""
    import torchvision.models  # takes about a second, which the built-ins need not wait for

    return tuple(sorted(torchvision.models.list_models(module=torchvision.models.segmentation)))


class SegmentationNetwork(nn.Module):
    """Images (B, C, H, W) -> logits (B, K, H, W): what torchvision's network gives as `out`, and nothing else."""

    encoder_path = "backbone"  # what is frozen as the backbone

    def __init__(self, network: nn.Module, *, takes_all: bool) -> None:
        """`takes_all`: the classifier is given features of two sizes (LR-ASPP)."""
        super().__init__()
        self.backbone = network.get_submodule("backbone")
        self.classifier = network.get_submodule("classifier")
        self.takes_all = takes_all

    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images)
        scores: Tensor = self.classifier(features if self.takes_all else features["out"])
        return functional.interpolate(scores, size=images.shape[2:], mode="bilinear", align_corners=False)


def build_segmentation(model: TorchvisionModel, request: Request) -> nn.Module:
    """Build a segmentation network by its name in torchvision, without weights.

    Raises RecipeError for arguments that its constructor does not take."""
    needs_logits(model.name, request)
    reserved = [name for name in model.arguments if name in RESERVED]
    if reserved:
        raise RecipeError(
            f"`model.arguments.{reserved[0]}` is worked out from the data and the recipe and can't be set; leave it out"
        )
    network = construct(model, request, {"weights_backbone": None})
    return SegmentationNetwork(network, takes_all=model.name.startswith("lraspp"))
