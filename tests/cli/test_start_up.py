"""Quick answers: what needs no network loads no torch, and --json prints one object."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import netwright
from netwright.cli.main import VERBS, LazyVerbs, run
from netwright.cli.options import SHORT_OPTIONS
from netwright.config.overrides import SHORT_NAMES

HEAVY = {"torch", "torchvision", "numpy", "sklearn", "scipy", "matplotlib", "PIL", "tqdm"}
SOURCE = str(Path(netwright.__file__).parents[1])


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a fresh Python that has our package, also where it is not installed."""
    line = [sys.executable, *arguments]
    environment = os.environ | {"PYTHONPATH": SOURCE}
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "--version",
        *(f"{verb} --help" for verb in VERBS),
        "train --dry-run",
        "train digits --dry-run --json --lr 3e-4 --set training.patience=3",
        "runs",
        "runs --json",
        "transforms",
        "optimizers --json",
    ],
)
def test_answers_load_nothing_heavy(line: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom netwright.cli.main import run\n"
        f"code = run({line.split()!r})\n"
        f"print('loaded:', *sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\nsys.exit(code)"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "loaded:\n"
    assert done.stdout.strip()
    if "--json" in line:
        assert isinstance(json.loads(done.stdout), dict)
    assert not list(tmp_path.iterdir())


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = python("-m", "netwright", "--version", cwd=tmp_path)
    assert done.stdout == f"netwright {netwright.__version__}\n"


def test_no_arguments_show_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_lines_of_the_help_are_those_of_the_verbs(verb: str) -> None:
    command = LazyVerbs("netwright").get_command(None, verb)
    assert command is not None
    assert command.name == verb
    assert command.short_help == VERBS[verb]
    assert {"as_json", "quiet"} <= {parameter.name for parameter in command.params}


def test_train_has_every_short_name_of_the_recipe() -> None:
    assert set(SHORT_OPTIONS) == set(SHORT_NAMES)


def test_the_table_of_the_package_is_lazy_and_small(tmp_path: Path) -> None:
    assert len(netwright.__all__) <= 30
    assert sorted(netwright.__all__) == dir(netwright)
    code = "import sys, netwright\nassert not [m for m in sys.modules if m.startswith('netwright.')]"
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_names_that_type_checkers_read_are_those_of_the_table() -> None:
    source = Path(netwright.__file__).read_text(encoding="utf-8")
    read = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("netwright."):
            read |= {alias.asname: f"{node.module}.{alias.name}" for alias in node.names if alias.asname}
    assert len(read) >= 15
    assert read.items() <= netwright._TABLE.items()


def test_an_absent_name_of_the_package_says_what_was_meant() -> None:
    with pytest.raises(AttributeError, match=r'\'trian\' \(did you mean "train"\?\)'):
        _ = netwright.trian


FIRST_STEP = """
import sys
import netwright as nw
from netwright.workflows.sitting import Watcher

def step(self, *arguments):
    late = {"torch._dynamo", "torch._inductor", "matplotlib", "scipy", "sklearn", "torchvision", "pandas"}
    print("loaded:", *sorted(late & set(sys.modules)), file=sys.stderr)
    sys.exit(0)

Watcher.step = step
nw.train("some.npz", model="mlp", epochs=1, quiet=True, runtime={"device": "cpu", "threads": 1})
"""


def test_nothing_is_loaded_before_the_first_step_that_it_does_not_need(tmp_path: Path) -> None:
    """torch's compiler takes 1.8 s of processor time, which its optimizers load by themselves; plots and scipy 0.6."""
    pixels = np.random.default_rng(0).integers(0, 256, (100, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "some.npz", x=pixels, y=np.arange(100) % 2)
    done = python("-c", FIRST_STEP, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "loaded:", done.stderr
