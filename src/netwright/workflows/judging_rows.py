"""What stands beside a result on the rows of a table: other models on the same split, and what that says in words."""

from collections.abc import Mapping
from typing import Any

from netwright.data.labelled import Array
from netwright.data.prepare import PreparedData


def beside_rows(
    answers: Array, prepared: PreparedData, split: str, train: PreparedData | None = None
) -> dict[str, dict[str, Any]]:
    """Return what a linear model and boosted trees reach on a split of rows; nothing of images, or without train's.

    `answers` (N,) are the network's, in the order of the split's rows."""
    known = train or prepared
    if prepared.transform.kind != "rows" or "train" not in known.rows or not len(prepared.rows[split]):
        return {}
    from netwright.evaluation.row_baselines import row_baselines  # scikit-learn's models: 0.5 s to load

    return row_baselines(prepared, split, known, answers)


def for_rows(diagnosis: dict[str, Any], *, without_skill: bool = False) -> dict[str, Any]:
    """Return a diagnosis whose advice is for rows, which are not augmented; none where there is nothing to learn."""
    if "advice" not in diagnosis:
        return diagnosis
    advice = str(diagnosis["advice"]).replace("augmentation, more images", "more rows")
    advice = advice.replace("less augmentation, dropout", "less dropout")
    return diagnosis | {"advice": "" if without_skill else advice}


def verdicts(metrics: Mapping[str, Any]) -> list[str]:
    """Return in words whether the network says more than guessing, and whether boosted trees say more than it."""
    found = metrics.get("baselines") or {}
    return [text for text in (_against_guessing(metrics, found), _against_boosting(metrics, found)) if text]


def _against_guessing(metrics: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if "r2" in metrics:
        ends = metrics["r2_interval"]
        return "There is nothing to see: always saying the mean does as well." if ends and ends[0] <= 0 else ""
    label, share = _best_guess(metrics, found.get("majority") or {})
    low, high = metrics["accuracy_interval"]
    if label is None or low > share:
        return ""
    place = "inside the interval" if share <= high else "above the interval"
    return f"There is nothing to see: always saying {label!r} does as well ({100 * share:.1f} %, {place})."


def _best_guess(metrics: Mapping[str, Any], majority: Mapping[str, Any]) -> tuple[str | None, float]:
    """Return the class that is right most often when it is always said, train's majority or the split's own.

    What is most frequent may change between the two, and luck with that is no skill either."""
    guesses = [(majority["accuracy"], majority["label"])] if majority.get("accuracy") is not None else []
    total = metrics.get("num_samples") or 0
    guesses += [(each["num_samples"] / total, each["label"]) for each in metrics.get("per_class") or () if total]
    share, label = max(guesses, default=(0.0, None))
    return label, share


def _against_boosting(metrics: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    trees = found.get("boosting") or {}
    if "verdict" not in trees:
        return ""
    numbers = "r2" in metrics
    scale, unit = (1, "of R²") if numbers else (100, "points")
    low, high = sorted(abs(scale * end) for end in trees["difference_interval"])
    apart = f"{abs(scale * trees['difference']):.3g} {unit} ({low:.3g} to {high:.3g})"
    if trees["verdict"] == "worse":
        return f"Boosted trees are better on the same rows, by {apart}: use them, or find what they see."
    if trees["verdict"] == "better":
        return f"It is better than boosted trees on the same rows, by {apart}."
    return "Boosted trees are neither better nor worse on these rows."
