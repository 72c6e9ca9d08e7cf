"""Does an exported file answer as its bundle? On golden samples, noise and images of val, before it is written."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from netwright.deployment.golden import Golden, golden_outputs, kept_logits
from netwright.deployment.parity import Array, Engine, Judge
from netwright.deployment.prediction import ANSWERING
from netwright.deployment.predictor import Predictor
from netwright.deployment.whole import example_images
from netwright.runs.folder import RunFolder
from netwright.workflows.own import Own
from netwright.workflows.split_images import SplitImages, open_split

MOST_COMPARED = 256  # images of val
MOST_LOGITS = 2**25  # of masks, 128 MB: 64 images of 512 × 512 with two classes
SOURCES = {
    "golden": "golden sample",
    "noise": "image of noise",
    "other_size": "image of noise of another size",
    "val": "val image",
}
NUM_NOISE = 16  # for a bundle without golden samples


@dataclass(frozen=True)
class Given:
    """What is to be exported, and what it is compared on."""

    predictor: Predictor
    folder: RunFolder | None
    own: Own
    golden: Golden | None

    def expected(self, images: torch.Tensor) -> Array:
        """Return the bundle's logits for images (N, h, w, C), on the way that a prediction goes."""
        transform = self.predictor.transform
        return golden_outputs(self.predictor.network, transform, self.own.transform, images).numpy()

    def judge(self, who: str) -> Judge:
        task, temperature = self.predictor.bundle.task, self.predictor.bundle.temperature

        def read(logits: Array) -> Array:
            scores = task.answers(torch.from_numpy(np.asarray(logits, dtype=np.float32)))
            return ANSWERING[task.name].beside_logits(scores, temperature)

        return Judge(task.class_names, read, who)

    def samples(self) -> tuple[torch.Tensor, str]:
        """Return what is always there to compare on, and what it is called."""
        if self.golden is not None:
            return self.golden.images, "golden"
        return example_images(self.predictor.bundle, NUM_NOISE, seed=1), "noise"

    @property
    def each_pixel(self) -> bool:
        return ANSWERING[self.predictor.bundle.task.name].each_pixel

    def split(self, name: str, most: int) -> SplitImages:
        """Return at most so many images of a split, fewer where their logits, one for each pixel, would fill memory."""
        bundle = self.predictor.bundle
        if self.each_pixel:
            most = max(1, min(most, MOST_LOGITS // (bundle.task.num_outputs * prod(bundle.image_size))))
        return open_split(self.folder, self.own, self.predictor, name, most)


def prove(given: Given, engine: Engine, multiple: int | None = None) -> dict[str, Any]:
    """Compare an engine with the bundle on the golden samples and on images of val, and where it takes images of any
    size, multiples of `multiple`, on noise of another size than theirs. Raises WorkFailed."""
    images, kind = given.samples()
    expected = given.expected(images)
    compared = {kind: _compare(given, engine, images, SOURCES[kind], expected)}
    _check_kept(given, expected)
    if multiple is not None:
        others = example_images(given.predictor.bundle, NUM_NOISE // 4, seed=1, size=(2 * multiple, 5 * multiple))
        compared["other_size"] = _compare(given, engine, others, SOURCES["other_size"], given.expected(others))
    val = given.split("val", MOST_COMPARED)
    if val.images is not None:
        compared["val"] = _compare(given, engine, val.images, SOURCES["val"], given.expected(val.images), val.names)
    return {"compared": compared, **({"not_compared": val.why_not} if val.why_not else {})}


def _compare(
    given: Given, engine: Engine, images: torch.Tensor, kind: str, expected: Array, names: tuple[str, ...] = ()
) -> dict[str, Any]:
    sources = [f"{kind} {name}" for name in names or range(len(images))]
    # one image alone, and several at once: the number of images in a batch must not matter
    alone, together = engine(images[:1].numpy()), engine(images.numpy())
    judge = given.judge("the export")
    judge.compare(expected[:1], alone, sources[:1])
    return judge.compare(expected, together, sources).to_mapping()


def _check_kept(given: Given, expected: Array) -> None:
    """Raise WorkFailed where the bundle itself answers otherwise than when it was made: another torch or processor."""
    if given.golden is None:
        return
    judge = given.judge("the bundle as it is computed here")
    kept, expected = given.golden.logits.numpy(), kept_logits(torch.from_numpy(expected)).numpy()
    sources = [f"golden sample {number}" for number in range(len(kept))]
    judge.compare(kept, (expected, judge.read(expected)), sources)
