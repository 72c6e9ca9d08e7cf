"""What `import netwright` gives: a small table, loaded lazily, and quick answers without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

HEAVY = ("torch", "torchvision", "sklearn", "matplotlib", "scipy", "numpy", "pandas")


def heavy_after(statement: str) -> str:
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    return run_python(code, Path.cwd()).strip().splitlines()[-1]


def run_python(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import netwright",
        "import netwright.config.recipe, netwright.config.overrides, netwright.config.library",
        "import netwright.cli.main",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert heavy_after(statement) == "[]"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["train", "digits", "--dry-run"]]
)
def test_quick_answers_do_not_load_torch(arguments: list[str], tmp_path: Path) -> None:
    code = f"import sys\nsys.argv = ['netwright', *{arguments}]\nfrom netwright.cli.main import main\n"
    code += "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
    code += "assert 'torch' not in sys.modules"
    run_python(code, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_public_table_is_small_and_every_name_is_there() -> None:
    import netwright

    assert 1 <= len(netwright.__all__) <= 30
    assert len(set(netwright.__all__)) == len(netwright.__all__)
    assert set(netwright.__all__) <= set(dir(netwright))
    for name in netwright.__all__:
        assert getattr(netwright, name) is not None


def test_public_names_live_in_the_workflows_or_need_no_torch() -> None:
    import netwright

    for name in netwright.__all__:
        home = getattr(getattr(netwright, name), "__module__", "netwright")
        assert (
            home.startswith(("netwright.workflows.", "netwright.config.", "netwright.errors"))
            or home == "builtins"
            or home == "netwright"
        )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import netwright

    with pytest.raises(AttributeError, match="trian"):
        _ = netwright.trian
