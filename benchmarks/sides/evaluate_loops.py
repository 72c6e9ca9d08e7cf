"""One pass over 10,000 images by hand: the classic way (DataLoader, PIL), or with --in-memory the best one.

Both give the accuracy, the mean loss and every image's log-probabilities, as ours does."""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.sides.freed_memory import keep_freed_memory
from benchmarks.sides.report import arguments_of, read_arrays, report, work_of

if TYPE_CHECKING:
    from torch import Tensor, nn

BEST_BATCH = 256  # an expert's choice where no gradients are kept


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    if arguments.in_memory:
        keep_freed_memory()  # before torch loads
    import torch

    from benchmarks.sides.networks import build_network

    torch.set_num_threads(arguments.threads)
    model = build_network(work.recipe).eval()
    model.load_state_dict(torch.load(arguments.weights, weights_only=True))
    pixels, targets = read_arrays(arguments.npz, "test")
    evaluate: Callable[[], tuple[float, float]]
    if arguments.in_memory:
        from benchmarks.sides.best_loop import Plain

        model = model.to(memory_format=torch.channels_last)
        make_images, all_targets = Plain(pixels, work.mean_std), torch.from_numpy(targets)
        batches = lambda: in_memory(make_images, all_targets)
        model(next(batches())[0])  # the first call is slower for every side
        evaluate = lambda: best_pass(model, batches(), arguments.precision == "bf16", len(targets))
    else:
        from benchmarks.sides.pictures import loader

        test_loader = loader(work, pixels, targets, training=False, workers=arguments.workers)
        with torch.no_grad():
            model(torch.zeros(work.batch_size, 3, 32, 32))
        evaluate = lambda: classic_pass(model, test_loader)
    start = perf_counter()
    loss, accuracy = evaluate()
    report(perf_counter() - start, accuracy, workers=arguments.workers, precision=arguments.precision, loss=loss)


def classic_pass(model: "nn.Module", test_loader: "object") -> tuple[float, float]:
    """Evaluate as courses do: `.item()` in every batch."""
    import torch
    from torch.nn import functional

    loss_sum, correct, total, answers = 0.0, 0, 0, []
    with torch.no_grad():
        for images, targets in test_loader:  # type: ignore[attr-defined]
            logits = model(images)
            loss_sum += functional.cross_entropy(logits, targets).item() * len(targets)
            correct += (logits.argmax(1) == targets).sum().item()
            total += len(targets)
            answers.append(logits.log_softmax(1))
    return loss_sum / total, correct / total


def in_memory(make_images: "Callable[[Tensor], Tensor]", targets: "Tensor") -> "Iterator[tuple[Tensor, Tensor]]":
    """Yield batches of normalised images and targets, in order."""
    import torch

    for rows in torch.arange(len(targets)).split(BEST_BATCH):
        yield make_images(rows), targets[rows[0] : rows[-1] + 1]


def best_pass(
    model: "nn.Module", batches: "Iterator[tuple[Tensor, Tensor]]", bf16: bool, num_images: int
) -> tuple[float, float]:
    """Evaluate with the sums on tensors."""
    import torch
    from torch.nn import functional

    loss_sum, correct, answers = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64), []
    with torch.inference_mode():
        for images, targets in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(images)
            log_probabilities = logits.float().log_softmax(1)
            loss_sum += functional.nll_loss(log_probabilities, targets) * len(targets)
            correct += (log_probabilities.argmax(1) == targets).sum()
            answers.append(log_probabilities)
    return float(loss_sum) / num_images, int(correct) / num_images


if __name__ == "__main__":
    main()
