"""`netwright eject`: leave with one plain PyTorch script that trains the same network and uses its weights."""

from pathlib import Path
from typing import Any

from netwright.config.sections import Runtime
from netwright.deployment.eject.mask_script import write_mask_script
from netwright.deployment.eject.script import write_script
from netwright.deployment.eject.template import MOST_LINES
from netwright.deployment.predictor import load_predictor
from netwright.errors import InputError
from netwright.files.atomic import write_atomic
from netwright.runs.folder import find_run, read_json
from netwright.runtime.machine import choose_machine

WRITERS = {"classification": write_script, "segmentation": write_mask_script}  # by task


def eject(run: str | Path, out: str | Path | None = None) -> dict[str, Any]:
    """Write the script; return what `netwright eject --json` prints.

    Raises InputError for a run with parts of the user's own, or that plain PyTorch has no short words for."""
    folder = find_run(run)
    path = Path(out) if out is not None else Path(f"{folder.path.resolve().name}.py")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} can't be written: --out is a file in a folder that is there, such as train.py")
    if path.exists():
        raise InputError(f"{path} exists already; nothing was overwritten: choose another --out")
    bundle_path = folder.finished_bundle()
    predictor = load_predictor(bundle_path, choose_machine(Runtime(device="cpu", precision="fp32")))
    write = WRITERS.get(predictor.bundle.task.name)
    if write is None or predictor.transform.kind == "rows":
        raise InputError(
            "scripts are written for image classifiers and U-Nets, and this network is neither; keep the bundle"
        )
    data = read_json(folder.data)
    of_class = data.get("pixels", data["counts"]["train"])
    made = write(
        folder.read_recipe(),
        predictor.bundle,
        predictor.network,
        {split: sum(each.values()) for split, each in data["counts"].items()},
        list(of_class.values()),
        bundle_path=bundle_path.resolve(),
        file=path.name,
    )
    lines = made.text.count("\n")
    if lines >= MOST_LINES:
        raise InputError(f"the script would have {lines} lines, and a readable one has {MOST_LINES}; keep the bundle")
    write_atomic(path, made.text.encode())
    return {"run": str(folder.path), "script": str(path), "lines": lines, "left_out": list(made.left_out)}
