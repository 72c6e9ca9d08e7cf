"""The end of a training: bundle, metrics, plots and report of the best epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData
from netwright.data.views import NUM_VIEWS, with_views
from netwright.deployment.bundle import Bundle, save_bundle
from netwright.evaluation.outputs import Outputs, run_network
from netwright.files.sealed import write_sealed
from netwright.models.fitting import with_versions
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.history import best_record
from netwright.tasks.task import Task
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import eval_batches, train_targets
from netwright.workflows.golden import golden_kind, make_golden
from netwright.workflows.judging import JUDGINGS, in_words, keep_outputs
from netwright.workflows.judging_rows import for_rows
from netwright.workflows.own import Own
from netwright.workflows.skill import without_skill


def write_results(
    folder: RunFolder,
    plan: Plan,
    prepared: PreparedData,
    state: TrainingState,
    network: nn.Module,
    task: Task,
    own: Own,
    plots: bool,
) -> None:
    """Write bundle, metrics, plots and report of the best epoch; `state` may have the head of `network` alone."""
    best = best_record(state.history, plan.recipe.training.monitor)
    assert best is not None
    state.model.load_state_dict(with_versions(state.model, state.best_or_last()))
    weights = dict(network.state_dict())
    val = None if plan.val is None else _judge_on_val(plan, prepared, state, network, task)
    metrics: dict[str, Any] = {} if val is None else {"val": val.metrics}
    temperature = None if val is None else val.temperature
    bundle = _bundle(plan.recipe, prepared, task, best["epoch"], metrics, temperature)
    golden = make_golden(golden_kind(plan.recipe, own), prepared, network)
    if not save_bundle(folder.bundle, bundle, weights, golden):
        folder.outputs_of("test").unlink(missing_ok=True)
    elif folder.metrics.exists():
        known = read_json(folder.metrics)  # what was said of the same weights and recipe stays true
        metrics |= {key: known[key] for key in ("test", "folds") if key in known}
    if val is not None:
        keep_outputs(folder, "val", val.outputs, prepared, best["epoch"], task)
    diagnosis = _diagnosis(plan.recipe, state, metrics, best["epoch"], task)
    if prepared.transform.kind == "rows":
        diagnosis = for_rows(diagnosis, without_skill=val is not None and bool(val.without_skill))
    write_sealed(
        folder.metrics,
        {
            "best_epoch": best["epoch"],
            "num_epochs": len(state.history),  # a history that was cut is noticed
            "stopped_by": state.progress.finished,
            "seconds": state.progress.seconds,
            "diagnosis": diagnosis,
            **({"leaks_allowed": prepared.leaks["allowed"]} if prepared.leaks.get("allowed") else {}),
            **({"without_skill": val.without_skill} if val is not None and val.without_skill else {}),
            **metrics,
        },
    )
    if plots:
        draw_plots(folder, state, task, best["epoch"], metrics)
        from netwright.workflows.report import report_at_the_end  # as the plots: its template engine is loaded late

        report_at_the_end(folder, prepared, network, task, plan.machine)


@dataclass(frozen=True, slots=True)
class _JudgedVal:
    """What the best epoch is worth on val; `without_skill` says why a constant answer took the network's place."""

    outputs: Outputs
    temperature: float | None
    without_skill: str
    metrics: dict[str, Any]


def _judge_on_val(
    plan: Plan, prepared: PreparedData, state: TrainingState, network: nn.Module, task: Task
) -> _JudgedVal:
    """Run val, fit the temperature on it, and measure; a network without skill is replaced first."""
    network.eval()
    judged, batches = _on_val(plan, prepared, state, network)
    judging, criterion = JUDGINGS[task.name], plan.recipe.criterion
    outputs = run_network(judged, batches.epoch(0), task, plan.batch_loss, plan.machine)
    temperature, targets = judging.fit(outputs), train_targets(prepared)
    no_skill = without_skill(network, outputs, temperature, prepared, plan.recipe, task, targets)
    if no_skill:
        outputs = run_network(judged, batches.epoch(0), task, plan.batch_loss, plan.machine)
        temperature = judging.fit(outputs)
    metrics = judging.measure(outputs, task, criterion, targets, temperature=temperature, fitted_here=True)
    metrics |= judging.beside(outputs, prepared, "val", targets, temperature=temperature)
    metrics |= in_words(metrics, prepared) | {"views": NUM_VIEWS[prepared.transform.views]}
    return _JudgedVal(outputs, temperature, no_skill, metrics)


def _on_val(
    plan: Plan, prepared: PreparedData, state: TrainingState, network: nn.Module
) -> tuple[Callable[[Tensor], Tensor], Any]:
    """Return what is run on val, and val's batches: of images, or of features where the backbone's are known."""
    views = prepared.transform.views
    assert plan.val is not None
    if state.model is not network and views == "none":
        return state.model, plan.val
    if state.model is not network:
        return with_views(network, views), eval_batches(prepared, "val", plan.recipe, plan.machine)
    return with_views(network, views), plan.val


def _diagnosis(
    recipe: Recipe, state: TrainingState, metrics: dict[str, Any], best_epoch: int, task: Task
) -> dict[str, Any]:
    """Return what the history says; train's numbers are of augmented images where the recipe has augmentation."""
    val, stopped_by = metrics.get("val", {}), state.progress.finished
    return JUDGINGS[task.name].explain(state.history, val, best_epoch, stopped_by, bool(recipe.augmentation))


def _bundle(
    recipe: Recipe,
    prepared: PreparedData,
    task: Task,
    epoch: int,
    metrics: dict[str, Any],
    temperature: float | None,
) -> Bundle:
    """Return what the bundle says besides weights and golden samples."""
    labelled, num_train = prepared.labelled, len(prepared.rows["train"])
    called = {} if labelled.target is None else {"target": labelled.target}
    return Bundle(
        model=recipe.model,
        in_channels=prepared.input_shape[0],
        image_size=prepared.input_shape[1:],
        task=task,
        transform=prepared.transform,
        epoch=epoch,
        metrics={split: JUDGINGS[task.name].short(numbers) for split, numbers in metrics.items()},
        data={
            "name": labelled.name,
            "fingerprint": prepared.fingerprint,
            "num_train": num_train,
            **called,
            **_coding(prepared),
        },
        temperature=temperature,
    )


def _coding(prepared: PreparedData) -> dict[str, Any]:
    """Return which value of a mask's pixels means what, for a lone bundle to be judged on masks."""
    masks = prepared.labelled.masks
    if masks is None:
        return {}
    return {"mask_classes": masks.coding.said_classes, "mask_ignore": list(masks.coding.said_ignored)}


def draw_plots(folder: RunFolder, state: TrainingState, task: Task, best_epoch: int, metrics: dict[str, Any]) -> None:
    """Draw the curves, and, where there is a val split, what was said of it."""
    folder.plots.mkdir(exist_ok=True)
    from netwright.report.curves import plot_curves  # matplotlib takes 0.4 s to load, and is not needed before the end

    plot_curves(state.history, folder.plots / "curves.png", best_epoch=best_epoch, title=folder.path.name)
    if "val" in metrics:
        title = f"{folder.path.name}: val, epoch {best_epoch}"
        JUDGINGS[task.name].draw(folder, "val", metrics["val"], task, title)
