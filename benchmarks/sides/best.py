"""The best loop that an expert writes by hand for one work: no framework, but all that a training needs."""

from time import perf_counter

from benchmarks.sides.freed_memory import keep_freed_memory
from benchmarks.sides.report import arguments_of, read_arrays, report, work_of


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    keep_freed_memory()  # before torch loads
    import torch

    from benchmarks.sides.best_loop import CropAndFlip, Plain, build, train_epoch
    from benchmarks.sides.networks import accuracy_of, warm_up

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    pixels, targets = read_arrays(arguments.npz, "train")
    make_images = (CropAndFlip if work.augment else Plain)(pixels, work.mean_std)
    model, optimizer = build(work.recipe)
    warm_up(work.recipe, (make_images.channels, *pixels.shape[1:3]), work.batch_size)
    bf16 = arguments.precision == "bf16"
    start = perf_counter()
    loss, accuracy = train_epoch(model, optimizer, make_images, torch.from_numpy(targets), work.batch_size, bf16)
    seconds = perf_counter() - start
    if arguments.save_weights:
        torch.save(model.state_dict(), arguments.save_weights)
    val_accuracy = accuracy_of(model, *read_arrays(arguments.npz, "val"), work.mean_std)
    report(seconds, val_accuracy, precision=arguments.precision, train_loss=loss, train_accuracy=accuracy)


if __name__ == "__main__":
    main()
