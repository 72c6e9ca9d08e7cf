"""Lightning on photographs: the classic loaders and network, a Trainer with its defaults, val after every epoch."""

import lightning
import torch
from torch import Tensor, nn

from benchmarks.sides.frozen import build_network, loaders
from benchmarks.sides.frozen_arguments import arguments_of
from benchmarks.sides.report import report


class Classifier(lightning.LightningModule):
    def __init__(self, network: nn.Module, lr: float) -> None:
        super().__init__()
        self.network, self.lr, self.best = network, lr, 0.0
        self.correct = self.seen = 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        images, targets = batch
        loss = nn.functional.cross_entropy(self.network(images), targets)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        images, targets = batch
        logits = self.network(images)
        self.log("val_loss", nn.functional.cross_entropy(logits, targets), prog_bar=True)
        self.correct += int((logits.argmax(1) == targets).sum())
        self.seen += len(targets)

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.best = max(self.best, self.correct / self.seen)
        self.correct = self.seen = 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.classifier.parameters(), lr=self.lr)


def main() -> None:
    arguments = arguments_of(__doc__)
    torch.set_num_threads(arguments.threads)
    lightning.seed_everything(arguments.seed)
    train_loader, val_loader = loaders(arguments)
    network = Classifier(build_network(arguments.weights, len(train_loader.dataset.classes)), arguments.lr)
    lightning.Trainer(max_epochs=arguments.epochs, accelerator="cpu").fit(network, train_loader, val_loader)
    report(0.0, network.best, ("torch", "lightning"))


if __name__ == "__main__":
    main()
