"""The import table of ARCHITECTURE.md, read from the source with `ast`: no room may look up, none may look aside.

`files` is the ground floor, open to every room but those that only talk to people (`cli`, `web`)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "netwright"

GROUND = {"files", "config"}
BELOW_TRAINING = GROUND | {"runtime", "runs", "tasks", "data", "models", "evaluation"}
BELOW_WORKFLOWS = BELOW_TRAINING | {"training", "inspection", "deployment", "report"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "config": set(),
    "runtime": GROUND,
    "runs": GROUND,
    "tasks": GROUND,
    "data": GROUND | {"runtime"},
    "models": GROUND | {"runtime"},
    "evaluation": GROUND | {"runtime", "tasks", "data"},
    "training": BELOW_TRAINING,
    "inspection": GROUND | {"runtime", "models"},
    "deployment": GROUND | {"runtime", "tasks", "data", "models"},
    "report": GROUND | {"runs", "evaluation", "inspection"},
    "workflows": BELOW_WORKFLOWS,
    "cli": {"config", "workflows", "web"},  # for `serve`
    "web": {"config", "workflows"},
    "__init__": {"config", "workflows"},  # the public table
    "__main__": {"cli"},
}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a package goes by its own name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(module: str, tree: ast.AST, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """Every module of ours that is imported anywhere in `module`, also inside functions, with the line."""
    package = module if known[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
                base = ".".join([*above, *([base] if base else [])])
            # `from netwright.data import splits` imports a module, `from netwright.data.splits import manifest` a name
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            given = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            names = [name for name in given if isinstance(name, str)]
        for name in names:
            if name == "netwright" or name.startswith("netwright."):
                yield name, node.lineno


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def graph() -> dict[str, list[tuple[str, int]]]:
    known = modules()
    return {
        module: list(imports_of(module, ast.parse(path.read_text(encoding="utf-8")), known))
        for module, path in known.items()
    }


def violations(found: dict[str, list[tuple[str, int]]]) -> list[str]:
    wrong = []
    for module, imported in found.items():
        room = room_of(module)
        for name, line in imported:
            other = room_of(name)
            allowed = MAY_IMPORT.get(room, set()) | {room, "errors"}
            if other not in allowed:
                wrong.append(f"{module}, line {line}: {room} may not import {other} ({name})")
    return wrong


def test_every_room_is_in_the_table() -> None:
    assert {room_of(module) for module in modules()} <= set(MAY_IMPORT)


def test_rooms_import_only_what_the_table_allows() -> None:
    wrong = violations(graph())
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = {module: {name for name, _ in imported} - {module} for module, imported in graph().items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "a circle of imports: " + " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        for other in sorted(edges.get(module, ())):
            visit(other, (*path, module))
        done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize(
    "source",
    [
        "import netwright.models.registry",
        "from netwright import models",
        "from netwright.models.registry import build",
        "from ..models import registry",
        "from .. import models",
        "def late():\n    from netwright.models import registry",
        "import importlib\nimportlib.import_module('netwright.models.registry')",
    ],
)
def test_the_reader_of_imports_sees(source: str) -> None:
    known = {"netwright": SOURCE / "__init__.py", "netwright.models": SOURCE / "models/__init__.py"}
    known |= {
        "netwright.models.registry": SOURCE / "models/registry.py",
        "netwright.data.store": SOURCE / "data/store.py",
    }
    imported = list(imports_of("netwright.data.store", ast.parse(source), known))
    assert [room_of(name) for name, _ in imported] == ["models"]
    assert violations({"netwright.data.store": imported})
