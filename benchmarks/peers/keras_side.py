"""Keras on its torch backend: `compile` and `fit` with their defaults (bar), accuracy as the metric.

Seconds go from `on_epoch_begin` to `on_epoch_end`. With --in-memory: NumPy arrays, else torch's DataLoader, which its
guide passes to `fit`. Its own image format, channels last, both times."""

import os
from time import perf_counter
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras import layers

from benchmarks.peers.arrays import training_tensors
from benchmarks.sides.networks import to_images, warm_up
from benchmarks.sides.pictures import loader
from benchmarks.sides.report import arguments_of, read_arrays, report, work_of
from benchmarks.works import LEARNING_RATE, Work


def build_network(work: Work, format: str) -> keras.Sequential:
    """Build the recipe's network; `channels_first` where a DataLoader gives what torchvision makes."""
    start = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")  # torch's first weights; biases are 0 here
    size = (28, 28, 1) if work.data == "mnist" else (32, 32, 3)
    network = keras.Sequential([keras.Input(size if format == "channels_last" else (size[2], *size[:2]))])
    if work.recipe == "mnist-mlp":
        parts = [layers.Flatten(), layers.Dense(200, activation="relu", kernel_initializer=start)]
    else:
        channels, pools = ((5, 10), (False, True)) if work.recipe == "mnist-cnn" else ((32, 64, 128), (True,) * 3)
        parts = []
        for count, pool in zip(channels, pools, strict=True):
            given = {"activation": "relu", "data_format": format, "kernel_initializer": start}
            parts.append(layers.Conv2D(count, 3, padding="same", **given))
            parts += [layers.MaxPooling2D(2, data_format=format)] if pool else []
        parts.append(layers.Flatten())
    for part in [*parts, layers.Dense(10, kernel_initializer=start)]:
        network.add(part)
    return network


class Stopwatch(keras.callbacks.Callback):
    seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds = perf_counter() - self.start


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    torch.set_num_threads(arguments.threads)
    keras.utils.set_random_seed(arguments.seed)
    keras.config.disable_traceback_filtering()
    format = "channels_last" if arguments.in_memory else "channels_first"
    network = build_network(work, format)
    network.compile(
        keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    warm_up(work.recipe, (1, 28, 28) if work.data == "mnist" else (3, 32, 32), work.batch_size)
    stopwatch = Stopwatch()
    if arguments.in_memory:
        images, targets = training_tensors(work, arguments)
        arrays = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
        network.fit(arrays, targets.numpy(), batch_size=work.batch_size, epochs=1, callbacks=[stopwatch])
    else:
        train_loader = loader(work, *read_arrays(arguments.npz, "train"), training=True, workers=arguments.workers)
        network.fit(train_loader, epochs=1, callbacks=[stopwatch])
    pixels, targets = read_arrays(arguments.npz, "val")
    images = to_images(pixels, work.mean_std).numpy()
    images = images.transpose(0, 2, 3, 1) if format == "channels_last" else images
    accuracy = float(np.mean(network.predict(images, batch_size=500, verbose=0).argmax(1) == targets))
    report(stopwatch.seconds, accuracy, ("torch", "keras"), workers=arguments.workers)


if __name__ == "__main__":
    main()
