"""The end of a training: bundle, metrics, plots and report of the best epoch."""

from typing import Any

from torch import nn

from netwright.config.recipe import Recipe
from netwright.data.prepare import PreparedData
from netwright.data.views import NUM_VIEWS, with_views
from netwright.deployment.bundle import Bundle, save_bundle
from netwright.evaluation.baselines import baselines
from netwright.evaluation.calibration import fit_temperature
from netwright.evaluation.diagnosis import diagnose
from netwright.evaluation.outputs import run_network
from netwright.files.sealed import write_sealed
from netwright.models.fitting import with_versions
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.history import best_record
from netwright.tasks.classification import Classification
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import count_classes, eval_batches
from netwright.workflows.golden import golden_kind, make_golden
from netwright.workflows.judging import keep_outputs, measure, suspect_images
from netwright.workflows.own import Own


def write_results(
    folder: RunFolder,
    plan: Plan,
    prepared: PreparedData,
    state: TrainingState,
    network: nn.Module,
    task: Classification,
    own: Own,
    plots: bool,
) -> None:
    """Write bundle, metrics, plots and report of the best epoch; `state` may have the head of `network` alone."""
    best = best_record(state.history, plan.recipe.training.monitor)
    assert best is not None
    state.model.load_state_dict(with_versions(state.model, state.best_or_last()))
    weights = dict(network.state_dict())
    metrics: dict[str, Any] = {}
    temperature, outputs = None, None
    if plan.val is not None:
        network.eval()
        views = prepared.transform.views
        judged, batches = with_views(network, views), plan.val
        if state.model is not network and views == "none":
            judged = state.model  # what the backbone says of val is known
        elif state.model is not network:
            batches = eval_batches(prepared, "val", plan.recipe, plan.machine)
        outputs = run_network(judged, batches.epoch(0), task, plan.batch_loss, plan.machine)
        temperature = fit_temperature(outputs.log_probabilities.numpy(), outputs.targets.numpy())
        counts = count_classes(prepared, "train")
        criterion = plan.recipe.criterion
        metrics["val"] = measure(outputs, task, criterion, counts, temperature=temperature, fitted_here=True)
        metrics["val"]["baselines"] = baselines(prepared, "val", counts)
        metrics["val"]["suspects"] = suspect_images(outputs, prepared, temperature)
        metrics["val"]["views"] = NUM_VIEWS[views]
    bundle = _bundle(plan.recipe, prepared, task, best["epoch"], metrics, temperature)
    golden = make_golden(golden_kind(plan.recipe, own), prepared, network)
    if not save_bundle(folder.bundle, bundle, weights, golden):
        folder.outputs_of("test").unlink(missing_ok=True)
    elif folder.metrics.exists():
        known = read_json(folder.metrics)  # what was said of the same weights and recipe stays true
        metrics |= {key: known[key] for key in ("test", "folds") if key in known}
    if outputs is not None:
        keep_outputs(folder, "val", outputs, prepared, best["epoch"])
    write_sealed(
        folder.metrics,
        {
            "best_epoch": best["epoch"],
            "num_epochs": len(state.history),  # a history that was cut is noticed
            "stopped_by": state.progress.finished,
            "seconds": state.progress.seconds,
            "diagnosis": diagnosis(state, metrics, best["epoch"]),
            **({"leaks_allowed": prepared.leaks["allowed"]} if prepared.leaks.get("allowed") else {}),
            **metrics,
        },
    )
    if plots:
        draw_plots(folder, state, task, best["epoch"], metrics)
        from netwright.workflows.report import report_at_the_end  # as the plots: its template engine is loaded late

        report_at_the_end(folder, prepared, network)


def _bundle(
    recipe: Recipe,
    prepared: PreparedData,
    task: Classification,
    epoch: int,
    metrics: dict[str, Any],
    temperature: float | None,
) -> Bundle:
    """Return what the bundle says besides weights and golden samples."""
    name, num_train = prepared.labelled.name, len(prepared.rows["train"])
    return Bundle(
        model=recipe.model,
        in_channels=prepared.input_shape[0],
        image_size=prepared.input_shape[1:],
        task=task,
        transform=prepared.transform,
        epoch=epoch,
        metrics={split: short(numbers) for split, numbers in metrics.items()},
        data={"name": name, "fingerprint": prepared.fingerprint, "num_train": num_train},
        temperature=temperature,
    )


def diagnosis(state: TrainingState, metrics: dict[str, Any], best_epoch: int) -> dict[str, Any]:
    """Say from the history whether the run over- or underfits."""
    val = metrics.get("val", {})
    return diagnose(
        state.history,
        num_val=val.get("num_samples", 0),
        best_epoch=best_epoch,
        majority=val["baselines"]["majority"]["accuracy"] if val else 0.0,
        stopped_by=state.progress.finished,
    )


def draw_plots(
    folder: RunFolder, state: TrainingState, task: Classification, best_epoch: int, metrics: dict[str, Any]
) -> None:
    """Draw the curves, and, where there is a val split, its confusion matrix and reliability."""
    folder.plots.mkdir(exist_ok=True)
    # matplotlib takes 0.4 s to load, and is not needed before the first step
    from netwright.report.confusion import plot_confusion
    from netwright.report.curves import plot_curves
    from netwright.report.reliability import plot_reliability

    plot_curves(state.history, folder.plots / "curves.png", best_epoch=best_epoch, title=folder.path.name)
    if "val" in metrics:
        plot_confusion(
            metrics["val"]["confusion_matrix"],
            task.class_names,
            folder.plots / "confusion-val.png",
            title=f"{folder.path.name}: val, epoch {best_epoch}",
        )
        title = f"{folder.path.name}: how sure, how right; val"
        plot_reliability(metrics["val"]["calibration"], folder.plots / "reliability-val.png", title=title)


def short(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a split that decide: accuracy, its interval, loss, how many samples and views."""
    return {key: metrics[key] for key in ("accuracy", "accuracy_interval", "loss", "num_samples", "views")}
