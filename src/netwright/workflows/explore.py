"""`netwright data`: what is in a labelled data set, before anything is trained on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netwright.data.explore import example_grid
from netwright.data.explore import explore as explore_data
from netwright.data.leaks.gate import said
from netwright.report.examples import plot_examples
from netwright.workflows.augmented import plot_augmented
from netwright.workflows.build import open_prepared
from netwright.workflows.own import Own
from netwright.workflows.plan import plan_recipe

EXAMPLES_PER_CLASS = 8


def explore(
    source: Any,
    settings: Sequence[tuple[str, Any]] = (),
    *,
    plot: str | Path | None = None,
    augmented: bool = False,
) -> dict[str, Any]:
    """Return samples per class and split, sizes and modes, the mean and standard deviation of train, warnings.

    `source` is what `train` takes; `plot` writes a grid of examples as PNG, with `augmented` of what
    training will see: several views of some images, from the batches that training uses."""
    named = isinstance(source, (str, Path))
    recipe = plan_recipe(str(source) if named else None, settings)
    prepared = open_prepared(recipe, Own(data=None if named else source), refuse=False)
    result: dict[str, Any] = explore_data(prepared, prepared.rows)
    result["leaks"] = {key: value for key, value in prepared.leaks.items() if key != "test_with_twin"}
    result["leaks"]["said"] = said(prepared.leaks)
    result["augmentation"] = [part.name for part in recipe.augmentation]
    if plot is not None and augmented:
        plot_augmented(recipe, prepared, Path(plot))
        result["plot"] = str(plot)
    elif plot is not None:
        pictures, labels = example_grid(prepared, EXAMPLES_PER_CLASS)
        plot_examples(
            list(pictures), labels, Path(plot), title=f"{prepared.labelled.name}: train", columns=EXAMPLES_PER_CLASS
        )
        result["plot"] = str(plot)
    return result
