"""The run folder: how a run comes to be, is found again, and is never overwritten."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netwright.config.recipe import Recipe, build_recipe
from netwright.errors import InputError, MachineError
from netwright.runs.folder import RunFolder, create_run, find_run, read_json, recipe_text


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_are_numbered() -> None:
    made = [create_run(Recipe(), None, "digits").path.as_posix() for _ in range(3)]
    assert made == ["runs/digits-1", "runs/digits-2", "runs/digits-3"]
    (Path("runs") / "digits-9").mkdir()
    assert create_run(Recipe(), None, "digits").path.name == "digits-10"
    assert create_run(Recipe(), None, "digits-9").path.name == "digits-9-1"


def test_runs_that_start_together_get_numbers_of_their_own() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create_run(Recipe(), None, "digits").path.name, range(24)))
    assert len(set(made)) == 24


@pytest.mark.parametrize("name", ["../up", "a/b", "ü b", "", "..", "x" * 40])
def test_a_name_makes_one_folder_under_runs(name: str, here: Path) -> None:
    made = create_run(Recipe(), None, name).path
    assert made.parent == Path("runs")
    assert made.resolve().parent == here / "runs"


def test_out_is_made_with_its_parents() -> None:
    folder = create_run(Recipe(), Path("a/b/c"), "digits")
    assert folder.path == Path("a/b/c")
    assert folder.recipe.is_file()


def test_an_empty_folder_can_be_given() -> None:
    Path("out").mkdir()
    assert create_run(Recipe(), Path("out"), "digits").recipe.is_file()


def test_a_folder_with_anything_in_it_is_refused() -> None:
    Path("out").mkdir()
    (Path("out") / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="out exists already; nothing was overwritten"):
        create_run(Recipe(), Path("out"), "digits")
    assert [path.name for path in Path("out").iterdir()] == ["letter.txt"]


def test_what_a_kill_left_before_there_was_a_recipe_is_no_run() -> None:
    """Such a folder can't be resumed, so the same command has to work again."""
    (Path("here") / "sub").mkdir(parents=True)
    for left in (".recipe.yaml.abc123.part", "sub/.recipe.yaml.abc123.part"):
        (Path("here") / left).write_bytes(b"data: {sour")
    with pytest.raises(InputError, match="exists already"):
        create_run(Recipe(), Path("here"), "digits")
    (Path("here") / "sub" / ".recipe.yaml.abc123.part").unlink()
    (Path("here") / "sub").rmdir()
    create_run(Recipe(), Path("here"), "digits")
    assert sorted(path.name for path in Path("here").iterdir()) == ["checkpoints", "plots", "recipe.yaml"]


def test_the_recipe_is_the_first_thing_in_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    plain = RunFolder.write_recipe

    def look(folder: RunFolder, recipe: Recipe) -> None:
        seen.append([path.name for path in folder.path.iterdir()])
        plain(folder, recipe)

    monkeypatch.setattr(RunFolder, "write_recipe", look)
    create_run(Recipe(), Path("here"), "digits")
    assert seen == [[]]


def test_a_file_in_the_way_is_refused() -> None:
    Path("out").write_text("dear")
    with pytest.raises(InputError, match="out exists already"):
        create_run(Recipe(), Path("out"), "digits")
    with pytest.raises(InputError, match="lies under a file"):
        create_run(Recipe(), Path("out/run"), "digits")
    Path("runs").write_text("dear")
    with pytest.raises(MachineError, match="is a file, and runs are kept in a folder of that name; use --out"):
        create_run(Recipe(), None, "digits")
    assert Path("out").read_text() == Path("runs").read_text() == "dear"


def test_a_run_is_found_by_folder_and_by_name() -> None:
    made = create_run(Recipe(), None, "digits")
    assert find_run(made.path) == find_run("digits-1") == made
    with pytest.raises(InputError, match=r"there is no run 'digts-1' \(did you mean \"digits-1\"\?\)"):
        find_run("digts-1")


def test_the_recipe_comes_back() -> None:
    recipe = build_recipe({"model": {"name": "mlp", "hidden_sizes": [3, 4]}, "augmentation": ["cutout"]})
    folder = create_run(recipe, Path("out"), "digits")
    assert folder.read_recipe() == recipe
    assert folder.recipe.read_text().startswith(recipe_text(folder.read_recipe()) + "# ")


@pytest.mark.parametrize(
    "content", ["{", "[1", "\0", "- a\n- b", "model: {name: [}", "modle: cnn", "training: {epochs: 0}"]
)
def test_a_damaged_recipe_is_bad_input(content: str) -> None:
    folder = create_run(Recipe(), Path("out"), "digits")
    folder.recipe.write_text(content)
    with pytest.raises(InputError, match=r"out/recipe\.yaml"):
        folder.read_recipe()


def test_a_damaged_json_file_is_named() -> None:
    Path("metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json is damaged"):
        read_json(Path("metrics.json"))


def test_all_files_lie_in_the_folder() -> None:
    folder = RunFolder(Path("run"))
    names = ["recipe", "environment", "data", "split", "history", "metrics", "state", "checkpoints", "events", "bundle"]
    assert all(getattr(folder, name).parent == Path("run") for name in (*names, "plots", "log"))
