"""How the source is written: names of files, their size, and the words of the vocabulary."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "netwright"
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60

# The "not" column of the vocabulary, as far as a parameter's name alone tells: `data`, `label` and `outputs` have right
# uses too. `labels` is right for what stands on disk (the room data) and for words (Sequence[str]).
NOT_PARAMETERS = {
    *("x", "y", "gt", "labels", "preds", "n_classes", "valid", "dev", "aug", "tfm", "trunk", "fc", "opt"),
    *("learning_rate", "iteration", "global_step", "exp", "job"),
}
NOT_VERBS = ("do_", "process_", "handle_")
FIXED_BY_SCIKIT_LEARN = {"X", "y"}
PATHS = sorted(SOURCE.rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """The parameters' names and annotations."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {each.arg: ast.unparse(each.annotation) if each.annotation else "" for each in every if each is not None}


def wrong_words(path: Path, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """What a function calls by another word than the vocabulary's: parameters, and its own verb."""
    allowed = FIXED_BY_SCIKIT_LEARN if path.name.startswith("estimator") else set()
    found = {name: text for name, text in parameters(function).items() if name in NOT_PARAMETERS - allowed}
    if "data" in path.parts or "str" in found.get("labels", ""):
        found.pop("labels", None)
    if "models" in path.parts and function.name == "forward":
        found = {}  # inside a layer, x is right
    return [*found, *([function.name] if function.name.startswith(NOT_VERBS) else [])]


def test_there_is_source() -> None:
    assert len(PATHS) > 20


def test_no_file_is_called_what_holds_anything() -> None:
    banned = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
    places = [path for path in SOURCE.rglob("*") if path.stem in banned]
    places += [path for path in Path(__file__).parents[1].rglob("*.py") if path.stem in banned]
    assert not places, f"name these after what they do: {places}"


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in PATHS}
    long = {name: length for name, length in lengths.items() if length >= MOST_LINES_OF_A_FILE}
    assert not long, f"split these by what they do: {long}"


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(SOURCE)}: {function.name}": length
        for path in PATHS
        for function in functions(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) >= MOST_LINES_OF_A_FUNCTION
    }
    assert not long, f"split these: {long}"


def test_the_words_are_those_of_the_vocabulary() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}, line {function.lineno}: {name}"
        for path in PATHS
        for function in functions(path)
        for name in wrong_words(path.relative_to(SOURCE), function)
    ]
    assert not wrong, "see the vocabulary in ARCHITECTURE.md:\n" + "\n".join(wrong)


def test_the_reader_of_words_sees() -> None:
    tree = ast.parse("def process_batch(x, y: int, labels: Tensor, images): ...\ndef forward(self, x): ...")
    batch, forward = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert wrong_words(Path("training/fit.py"), batch) == ["x", "y", "labels", "process_batch"]
    assert wrong_words(Path("training/fit.py"), forward) == ["x"]
    assert not wrong_words(Path("models/cnn.py"), forward)


def test_the_command_line_prints_through_one_filter() -> None:
    """`cli.text.say`: names of files and classes may hold what moves a terminal's cursor."""
    cli = [path for path in PATHS if path.parent.name == "cli"]
    printing = {
        path.name for path in cli if re.search(r"click\.s?echo\(|(?<!\w)print\(", path.read_text(encoding="utf-8"))
    }
    assert printing == {"text.py"}
