"""The commands of a run, as a person would type them: how it was trained, how to do it again, how to go on."""

import shlex
from pathlib import Path

from netwright.report.records import Records
from netwright.report.wording import short


def trained_by(records: Records) -> str:
    """Return the command that began the run, without the path of the program; empty where it was Python."""
    words = [str(word) for word in records.environment.get("command", [])]
    if not words or Path(words[0]).name not in ("netwright", "__main__.py", "netwright.exe"):
        return ""
    return short(shlex.join(["netwright", *words[1:]]), 400)


def shown_commands(records: Records) -> list[tuple[str, str]]:
    """Return (what it does, command) to do the run again and to use it."""
    run = shlex.quote(str(records.path))
    if records.state != "done":
        return [("Go on with it", f"netwright resume {run}")]
    of_rows = records.recipe.get("data", {}).get("target") is not None
    things = "rows" if of_rows else "images"
    commands = [
        (f"Train it again: the same recipe, the same {things} in each split", f"netwright train {run}/recipe.yaml "
         f"--set split.manifest={run}/split.json"),
        ("Judge it on val again", f"netwright evaluate {run}"),
    ]  # fmt: skip
    if records.recipe.get("data", {}).get("source", "").startswith("<"):
        commands = []  # the data were objects of Python
    elif "val" not in records.judged:
        commands = commands[:1]
    if "test" in records.num_samples:
        commands.append(("Judge it on test; every look is recorded", f"netwright evaluate {run} --split test"))
    says = "Name what is on new images" if records.class_names and not of_rows else f"Ask it about new {things}"
    commands.append((says, f"netwright predict {run} {'ROWS.csv' if of_rows else 'IMAGE…'}"))
    commands.append(("Make this report again, with what is known by then", f"netwright report {run}"))
    return commands
