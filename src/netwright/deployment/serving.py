"""Which service answers for a bundle: by what it is given, and by its task."""

from collections.abc import Callable

from netwright.config.serving import Serving
from netwright.deployment.predictor import Predictor
from netwright.deployment.service import Service
from netwright.deployment.service_images import ImageService
from netwright.deployment.service_masks import MaskService
from netwright.deployment.service_rows import RowService

OF_IMAGES: dict[str, type[Service]] = {
    "classification": ImageService,
    "regression": ImageService,
    "segmentation": MaskService,
}


def build_service(predictor: Predictor, limits: Serving, told_batch: Callable[[int], None]) -> Service:
    """Begin to answer. Raises InputError for a network that can't be asked over HTTP."""
    kind = RowService if predictor.transform.kind == "rows" else OF_IMAGES[predictor.bundle.task.name]
    return kind(predictor, limits, told_batch)
