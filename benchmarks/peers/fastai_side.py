"""fastai: a Learner with its defaults (bar, recorder), accuracy as the metric, no validation within the time.

Seconds go from `before_train` to `after_train`. --in-memory: TensorDataset, and its channels-last callback for
convolutions; --tuned: whole batches of it and torch's fused Adam, which its documentation does not speak of."""

from functools import partial
from time import perf_counter

import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy as fastai_accuracy
from fastai.optimizer import Adam, OptimWrapper

from benchmarks.peers.arrays import training_loader
from benchmarks.sides.networks import accuracy_of, build_network, warm_up
from benchmarks.sides.report import arguments_of, read_arrays, report, work_of
from benchmarks.works import LEARNING_RATE


class Stopwatch(Callback):
    order = 99
    seconds = 0.0

    def before_train(self) -> None:
        self.start = perf_counter()

    def after_train(self) -> None:
        self.seconds = perf_counter() - self.start


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    train_loader = training_loader(work, arguments)
    shape = tuple(train_loader.dataset[0][0].shape)
    network = build_network(work.recipe)
    warm_up(work.recipe, shape, work.batch_size)
    optimizer = partial(OptimWrapper, opt=torch.optim.Adam, fused=True) if arguments.tuned else Adam
    stopwatch = Stopwatch()
    callbacks = [stopwatch]
    if arguments.in_memory and "cnn" in work.recipe:
        callbacks.append(ChannelsLast())
    learner = Learner(
        DataLoaders(train_loader, [], device=torch.device("cpu")),
        network,
        loss_func=CrossEntropyLossFlat(),
        opt_func=optimizer,
        metrics=fastai_accuracy,
        cbs=callbacks,
    )
    learner.fit(1, lr=LEARNING_RATE)
    accuracy = accuracy_of(network, *read_arrays(arguments.npz, "val"), work.mean_std)
    report(stopwatch.seconds, accuracy, ("torch", "fastai"), workers=arguments.workers)


if __name__ == "__main__":
    main()
