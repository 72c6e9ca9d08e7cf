"""fastai on photographs: its own loaders from a folder, resizing and normalising, a Learner with its defaults."""

import torch
from fastai.callback.core import Callback
from fastai.data.transforms import Normalize
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.vision.augment import Resize
from fastai.vision.data import ImageDataLoaders, imagenet_stats

from benchmarks.sides.frozen import SIZE, build_network
from benchmarks.sides.frozen_arguments import arguments_of
from benchmarks.sides.report import report


class Best(Callback):
    """The best accuracy on val."""

    order = 99  # after the recorder
    value = 0.0

    def after_epoch(self) -> None:
        self.value = max(self.value, float(self.recorder.values[-1][2]))


def main() -> None:
    arguments = arguments_of(__doc__)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    data = ImageDataLoaders.from_folder(
        arguments.folder,
        train="train",
        valid="val",
        bs=arguments.batch_size,
        num_workers=arguments.workers,
        item_tfms=Resize(SIZE),
        batch_tfms=Normalize.from_stats(*imagenet_stats),
        device=torch.device("cpu"),
        seed=arguments.seed,
    )
    network, best = build_network(arguments.weights, data.c), Best()
    learner = Learner(data, network, loss_func=CrossEntropyLossFlat(), metrics=accuracy, cbs=[best])
    learner.fit(arguments.epochs, lr=arguments.lr)
    report(0.0, best.value, ("torch", "fastai"))


if __name__ == "__main__":
    main()
