"""`netwright predict --out`: as many images as there are -> one file of answers, in flat memory, resumable."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from netwright.config.engines import EngineName, Precision
from netwright.data.image_paths import image_paths
from netwright.deployment.answer_tables import Columns, check_suffix, write_answers
from netwright.deployment.engine_choice import EngineChoice
from netwright.deployment.journal import Journal
from netwright.deployment.prediction import ANSWERING
from netwright.deployment.predictor import Predictor
from netwright.deployment.stream import Source, predict_stream
from netwright.errors import DataError, InputError, Interrupted
from netwright.files.atomic import explained
from netwright.workflows.interrupt import StopSwitch, stop_switch
from netwright.workflows.own import Own
from netwright.workflows.predict import opened
from netwright.workflows.predict_masks import mask_files, predict_masks
from netwright.workflows.predict_rows import predict_rows

MOST_COLUMNS = 100  # with more classes than that a file has the five likeliest of each image, unless told otherwise
FEW = 5
Answered = Callable[[Iterator[Source]], Iterator[list[dict[str, Any]]]]


def predict_into(
    run: str | Path,
    paths: Sequence[str],
    out: Path,
    *,
    top: int | None = None,
    out_masks: Path | None = None,
    batch_size: int | None = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    overwrite: bool = False,
    quiet: bool = False,
    standard_input: BinaryIO | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Predict images into `out` (.csv, .jsonl or .parquet) and return how many there were and how quickly it went.

    `paths` are as in `data.image_paths`. What can't be read has its reason in the file. A prediction that was stopped
    or killed goes on with the same call; its answers so far are in OUT.part. Of a network that gives masks a line has
    each class's share of the pixels, and `out_masks` is the folder that the masks themselves are written into. `engine`
    and `precision` are as in `predict.opened`; `tell` gets what a user should know of them. Raises InputError when
    `out` is there already and not to be overwritten, Interrupted when asked to stop, DataError for no image."""
    _check_out(out, overwrite)
    sources: Iterator[Source] = ((path, path) for path in image_paths(paths, standard_input))
    with opened(run, Own(), engine, precision) as predictor, stop_switch() as switch:
        _make_folder(out)
        if predictor.transform.kind == "rows":
            return _rows_into(predictor, paths, out, top)
        first = next(sources, None)
        if first is None:
            raise DataError(f"there is no image in {', '.join(paths)}; give image files, or folders of them")
        sources = chain([first], sources)
        choice = EngineChoice(predictor, engine, tell)
        task = predictor.bundle.task
        top = top or (FEW if len(task.class_names) > MOST_COLUMNS else None)
        about = {"network": predictor.fingerprint(), "top": top, "precision": predictor.machine.precision}
        if out_masks is not None or ANSWERING[task.name].each_pixel:
            about |= {"masks": None if out_masks is None else str(out_masks)}
            sources, answered = _masks_of(predictor, sources, out_masks, tell)
        else:
            answered = _answers_of(choice, batch_size, top)
        with Journal(out, about) as journal:
            remaining = journal.remaining(sources)
            known = journal.num_done
            start = time.perf_counter()
            _predict(answered(remaining), journal, switch, quiet)
            seconds = time.perf_counter() - start
            num_errors = _finish(journal, out, ANSWERING[task.name].columns(task.class_names, top))
    return {
        "out": str(out),
        "takes": "images",
        "num_images": journal.num_done,
        "num_errors": num_errors,
        "num_already_done": known,
        "seconds": seconds,
        "images_per_second": (journal.num_done - known) / seconds or None,
        "engine": choice.to_mapping(),
        "calibrated": predictor.bundle.temperature is not None,
    }


def _check_out(out: Path, overwrite: bool) -> None:
    """Make room for what is to be written. Raises InputError for a file that is there and not to be overwritten."""
    check_suffix(out)
    if overwrite:
        out.with_name(out.name + ".part").unlink(missing_ok=True)
    elif out.exists():
        raise InputError(f"{out} is there already; give another name, or --overwrite")


def _make_folder(out: Path) -> None:
    with explained(out, 0):
        out.parent.mkdir(parents=True, exist_ok=True)


def _rows_into(predictor: Predictor, paths: Sequence[str], out: Path, top: int | None) -> dict[str, Any]:
    """Predict the rows of tables into `out`; they lie in memory and take seconds, so nothing is gone on with."""
    start = time.perf_counter()
    answers = [answer.to_mapping(top) for some in predict_rows(predictor, paths) for answer in some]
    task = predictor.bundle.task
    write_answers(out, answers, ANSWERING[task.name].columns(task.class_names, top))
    seconds = time.perf_counter() - start
    return {
        "out": str(out),
        "takes": "rows",
        "num_images": len(answers),
        "num_errors": 0,
        "num_already_done": 0,
        "seconds": seconds,
        "images_per_second": len(answers) / seconds,
        "engine": {"name": "torch", "asked": "auto"},
        "calibrated": predictor.bundle.temperature is not None,
    }


def _answers_of(choice: EngineChoice, batch_size: int | None, top: int | None) -> Answered:
    """Answer images in batches."""
    return lambda sources: (
        [answer.to_mapping(top) for answer in some]
        for some in predict_stream(choice.predictor, sources, batch_size, choice)
    )


def _masks_of(
    predictor: Predictor, sources: Iterator[Source], out_masks: Path | None, tell: Callable[[str], None]
) -> tuple[Iterator[Source], Answered]:
    """Return the sources again, and how pictures are answered one by one; masks are written into `out_masks`."""
    files = [path for path, _ in sources]
    names = None if out_masks is None else mask_files(files, out_masks)
    return iter((path, path) for path in files), lambda some: (
        [answer] for answer in predict_masks(predictor, (name for _, name in some), names, tell)
    )


def _predict(answered: Iterator[list[dict[str, Any]]], journal: Journal, switch: StopSwitch, quiet: bool) -> None:
    hidden = quiet or not sys.stderr.isatty()
    form = "{n_fmt} images, {rate_fmt}, {elapsed}"
    with tqdm(unit=" images", initial=journal.num_done, bar_format=form, disable=hidden, leave=False) as bar:
        for answers in answered:
            journal.add(answers)
            bar.update(len(answers))
            if switch.on:
                raise Interrupted(
                    f"stopped after {journal.num_done:,} images, which are in {journal.path}; the same command goes on"
                )


def _finish(journal: Journal, out: Path, columns: Columns) -> int:
    """Write the answers into their file and remove the journal; return how many are errors."""
    num_errors = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal num_errors
        for answer in journal.answers():
            num_errors += "error" in answer
            yield answer

    write_answers(out, counted(), columns)
    journal.remove()
    return num_errors
