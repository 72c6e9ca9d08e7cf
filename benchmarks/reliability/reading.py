"""One verb on one run, with what it answered and which of the run's files it opened."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

from benchmarks.reliability.jobs import without_plots
from netwright.cli.main import run as run_words

# {run}: the run, {other}: an equal run that is whole, {image}: an image; of resume, --epochs trains a finished run on
WORDS = {
    "show": ("runs", "show", "{run}", "--json"),
    "compare": ("runs", "compare", "{run}", "{other}", "--split", "val", "--json"),
    "predict": ("predict", "{run}", "{image}", "--json"),
    "evaluate": ("evaluate", "{run}", "--json"),
    "resume": ("resume", "{run}", "--epochs", "8", "--json", "--quiet"),
}


def use_run(run: str, verb: str, answer: str) -> int:
    """Run a verb; write exit code, output, errors and the names of the opened files of the run to `answer`."""
    without_plots()
    folder = os.path.realpath(run)
    opened: set[str] = set()

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.startswith(folder + os.sep):
                opened.add(path[len(folder) + 1 :])

    sys.addaudithook(note)
    places = {"run": run, "other": str(Path(run).parent / "other"), "image": str(Path(run).parent / "image.png")}
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_words([word.format(**places) for word in WORDS[verb]])
    said = json.loads(out.getvalue()) if code == 0 else None
    found = {"code": code, "out": said, "err": err.getvalue(), "opened": sorted(opened)}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")
    return 0
