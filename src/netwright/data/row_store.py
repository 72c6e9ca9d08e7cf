"""From the rows of a table to the store: what train says of the columns, and every row read so."""

import numpy as np
import torch

from netwright.config.recipe import Recipe
from netwright.data.labelled import LabelledData, RowImages, Rows
from netwright.data.row_transform import fit_rows
from netwright.data.store import Store, as_targets
from netwright.data.transform import EvalTransform
from netwright.errors import DataError, RecipeError, listed


def rows_transform(labelled: LabelledData, train: Rows, recipe: Recipe) -> EvalTransform:
    """Learn from the rows of train how rows are read.

    Raises RecipeError for what is for images, DataError when no column, or no class, differs between train's rows."""
    if recipe.augmentation:
        names = listed(part.name for part in recipe.augmentation)
        raise RecipeError(f"`augmentation` has {names}, which is for images, and these are rows; leave it out")
    if recipe.transform.normalize not in (None, "computed", "decorrelated"):
        raise RecipeError(
            f"`transform.normalize` is {recipe.transform.normalize!r}, and the columns of a table are computed or "
            "decorrelated; leave it out"
        )
    images = labelled.images
    assert isinstance(images, RowImages)
    known = np.unique(labelled.targets[train])
    if labelled.class_names and len(known) < 2:
        raise DataError(
            f"the rows of train in {labelled.name} are all {labelled.class_names[known[0]]!r}, so there is nothing to "
            "learn; split them otherwise, or give more rows"
        )
    table = fit_rows(images.values, images.kinds, train, decorrelate=recipe.transform.normalize == "decorrelated")
    if not table.num_features:
        raise DataError(f"no column of {labelled.name} differs between the rows of train; there is nothing to learn")
    return EvalTransform(channels=table.num_features, image_size=(1, 1), store_size=(1, 1), kind="rows", table=table)


def rows_store(labelled: LabelledData, transform: EvalTransform) -> Store:
    """Return the store of a table's rows, read as a network was trained to: (N, 1, 1, D) float32.

    Raises DataError for data that are no rows, or lack a column."""
    images, table = labelled.images, transform.table
    if not isinstance(images, RowImages) or table is None:
        raise DataError(f"the network was trained on rows of a table, and {labelled.name} has images")
    missing = [column.name for column in table.columns if column.name not in images.values]
    if missing:
        raise DataError(f"{labelled.name} does not have the columns {listed(missing, 10)}, which the network takes")
    features = table.encode(images.values)
    return Store(torch.from_numpy(features)[:, None, None, :], as_targets(labelled))
