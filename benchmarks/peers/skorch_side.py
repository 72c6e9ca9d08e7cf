"""skorch: NeuralNetClassifier with its defaults (printed log), without its inner validation.

Seconds go from `on_epoch_begin` to `on_epoch_end`. --in-memory: TensorDataset, as its page on speed says; --tuned:
whole batches of it and fused Adam, of which that page does not speak."""

from time import perf_counter
from typing import Any

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.peers.arrays import training_tensors, whole_batches
from benchmarks.sides.networks import accuracy_of, build_network, warm_up
from benchmarks.sides.pictures import Pictures, build_transform
from benchmarks.sides.report import arguments_of, read_arrays, report, work_of
from benchmarks.works import LEARNING_RATE


class Stopwatch(Callback):
    seconds = 0.0

    def on_epoch_begin(self, net: Any, **given: Any) -> None:
        self.start = perf_counter()

    def on_epoch_end(self, net: Any, **given: Any) -> None:
        self.seconds = perf_counter() - self.start


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    network = build_network(work.recipe)
    stopwatch = Stopwatch()
    given: dict[str, Any] = {"iterator_train__shuffle": True, "iterator_train__num_workers": arguments.workers}
    if arguments.in_memory:
        images, targets = training_tensors(work, arguments)
        fit, shape = (TensorDataset(images, targets), None), tuple(images.shape[1:])
    else:
        dataset = Pictures(*read_arrays(arguments.npz, "train"), build_transform(work, training=True))
        fit, shape = (dataset, None), tuple(dataset[0][0].shape)
    if arguments.tuned:
        given = {"iterator_train": lambda dataset, **_: whole_batches(dataset, len(dataset), work.batch_size)}
        given["optimizer__fused"] = True
    warm_up(work.recipe, shape, work.batch_size)
    net = NeuralNetClassifier(
        network,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LEARNING_RATE,
        batch_size=work.batch_size,
        max_epochs=1,
        train_split=None,
        classes=list(range(10)),
        callbacks=[("stopwatch", stopwatch)],
        **given,
    )
    net.fit(*fit)
    accuracy = accuracy_of(net.module_, *read_arrays(arguments.npz, "val"), work.mean_std)
    report(stopwatch.seconds, accuracy, ("torch", "skorch"), workers=arguments.workers)


if __name__ == "__main__":
    main()
