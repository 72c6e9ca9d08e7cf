"""Lightning: a LightningModule that logs loss and accuracy, and a Trainer with its defaults (bar, log, checkpoint).

Seconds go from `on_train_epoch_start` to `on_train_epoch_end`. --in-memory: TensorDataset; --tuned: whole batches of
it and fused Adam, which its documentation does not speak of."""

from time import perf_counter

import lightning
import torch
from torch import Tensor, nn

from benchmarks.peers.arrays import training_loader
from benchmarks.sides.networks import accuracy_of, build_network, warm_up
from benchmarks.sides.report import arguments_of, read_arrays, report, work_of
from benchmarks.works import LEARNING_RATE


class Classifier(lightning.LightningModule):
    def __init__(self, network: nn.Module, fused: bool) -> None:
        super().__init__()
        self.network, self.fused = network, fused

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        images, targets = batch
        logits = self.network(images)
        loss = nn.functional.cross_entropy(logits, targets)
        self.log("train_loss", loss, prog_bar=True)
        accuracy = (logits.argmax(1) == targets).float().mean()
        self.log("train_accuracy", accuracy, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE, fused=self.fused or None)


class Stopwatch(lightning.Callback):
    seconds = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.start = perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.seconds = perf_counter() - self.start


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    torch.set_num_threads(arguments.threads)
    lightning.seed_everything(arguments.seed)
    train_loader = training_loader(work, arguments)
    network = build_network(work.recipe)
    warm_up(work.recipe, tuple(train_loader.dataset[0][0].shape), work.batch_size)
    stopwatch = Stopwatch()
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[stopwatch])
    trainer.fit(Classifier(network, arguments.tuned), train_loader)
    accuracy = accuracy_of(network, *read_arrays(arguments.npz, "val"), work.mean_std)
    report(stopwatch.seconds, accuracy, ("torch", "lightning"), workers=arguments.workers)


if __name__ == "__main__":
    main()
