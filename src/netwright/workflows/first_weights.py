"""What first weights take from train: a whitening layer its patches, a network for rows its linear model."""

import dataclasses

import torch
from torch import nn

from netwright.config.recipe import Recipe
from netwright.data.batches import Batches
from netwright.data.prepare import PreparedData
from netwright.models.row_output import begin_as_linear
from netwright.models.tabular_mlp import TabularNetwork
from netwright.models.whitening import whiten, whitening_of
from netwright.runtime.machine import Machine
from netwright.tasks.task import TrainTargets
from netwright.training.linear_start import linear_solution

WHITENING_IMAGES = 5000


def take_from_train(
    model: nn.Module, recipe: Recipe, prepared: PreparedData, train: TrainTargets, machine: Machine
) -> None:
    """Set what train says of the first weights, `train` being what it says of the targets."""
    _whiten(model, prepared, machine)
    _begin_as_linear(model, recipe, prepared, train)


def _whiten(model: nn.Module, prepared: PreparedData, machine: Machine) -> None:
    """Set a whitening layer, where the network has one, from images of train: evenly spaced ones, 5000 at most."""
    layer = whitening_of(model)
    if layer is None:
        return
    rows = prepared.rows["train"]
    some = dataclasses.replace(prepared, rows={"train": rows[:: -(-len(rows) // WHITENING_IMAGES)]})
    batches = Batches(some, "train", batch_size=500, device=machine.device)
    whiten(layer, (batch.images for batch in batches.epoch(0)))


def _begin_as_linear(model: nn.Module, recipe: Recipe, prepared: PreparedData, train: TrainTargets) -> None:
    """Let a network for rows that has a linear model in it begin as the best one for train.

    Means of 10 splits, accuracy on test, from random weights and so: pima_diabetes 75.7 and 77.5 %, titanic_train 81.9
    and 82.8 %; the linear model alone 77.5 and 80.8 %."""
    if not isinstance(model, TabularNetwork) or model.linear is None or not isinstance(model.head, nn.Linear):
        return
    rows = torch.from_numpy(prepared.rows["train"])
    with torch.no_grad():
        features = model.features(prepared.store.gather(rows))
    targets = prepared.store.targets[rows]
    found = linear_solution(features, targets, train, recipe.criterion, model.head.out_features)
    if found is not None:
        begin_as_linear(model, *found)
