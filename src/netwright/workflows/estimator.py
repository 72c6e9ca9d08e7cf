"""`nw.ImageClassifier`: the same training as a scikit-learn estimator, for pipelines, searches and cross-validation."""

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from netwright.config.overrides import override
from netwright.config.recipe import Recipe, build_recipe
from netwright.data.given import as_pixels
from netwright.data.labelled import Array
from netwright.deployment.predictor import Predictor, load_predictor
from netwright.runs.folder import RunFolder
from netwright.runtime.machine import Machine, applied, machine_for_predictions
from netwright.tasks.temperature import tempered
from netwright.workflows.console import Console
from netwright.workflows.own import Own
from netwright.workflows.run import Run
from netwright.workflows.train import train_recipe

PREDICT_BATCH = 256
SMALLEST_FOR_CNN = 8  # pixels: the default cnn halves the image three times
# what travels with a pickled estimator; plots, events and checkpoints stay behind
_TRAVELS = ("recipe.yaml", "*.json", "history.jsonl", "bundle/*")
# torch's seeds and thread counts are the process's: two fits in two threads would disturb each other
_ONE_AT_A_TIME = threading.RLock()


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network that classifies images or rows of numbers, with scikit-learn's interface.

    X: images (N, H, W) or (N, H, W, C), C 1 or 3 (tensors: (N, C, H, W)), or rows (N, D): with `image_shape`,
    (H, W) or (H, W, C), they are reshaped to images, else each is an image of one line. uint8 means 0 (black) to 255;
    other numbers are scaled from `value_range`, (black, white), by default X's least and greatest value in `fit`.
    Features of very different size want a StandardScaler before. y: any labels that can be sorted.

    `model`, `optimizer`: a name or a mapping as in a recipe ({"name": "mlp", "hidden_sizes": [64]}); model "auto" is an
    mlp for rows and for images under 8 pixels, else the cnn. `settings`: any other field of the recipe, by section or
    dotted ({"training": {"patience": 3}} or {"training.patience": 3}); they win over the rest. `validation_fraction`
    of the samples is held out to watch the training (0: none), and the best epoch's weights are kept in place of the
    last one's. `random_state`: the same int gives the same weights; None draws a new seed. Arithmetic is fp32, on as
    many threads as torch has here, unless `settings` say otherwise. `out`: the run's folder, for one `fit`; without it
    the run lives in a temporary folder as long as `run_` does.

    Fitted: `classes_` (K,), `n_features_in_` (numbers in one sample), `image_shape_` (H, W, C), `run_` (the netwright
    Run; its `evaluate` takes `data=`). A pickle holds weights, history and metrics, and never the training data."""

    def __init__(
        self,
        model: str | Mapping[str, Any] = "auto",
        *,
        epochs: int = 10,
        batch_size: int = 64,
        lr: float = 3e-4,
        optimizer: str | Mapping[str, Any] = "adam",
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        validation_fraction: float = 0.0,
        random_state: Any = None,
        device: str = "auto",
        settings: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.image_shape = image_shape
        self.value_range = value_range
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.settings = settings
        self.out = out
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> "ImageClassifier":
        """Train anew on samples X with labels y (N,).

        Raises ValueError for X and y that are no samples of two or more classes, RecipeError for parameters that make
        no sense, DataError for an `out` that holds a run, WorkFailed for a loss that is not finite."""
        flat, shape = _flatten(X)
        flat, y = validate_data(self, flat, y, dtype=[np.float32, np.uint8])
        check_classification_targets(y)
        encoder = LabelEncoder()
        targets = encoder.fit_transform(y)
        if len(encoder.classes_) < 2:
            raise ValueError(
                f"ImageClassifier needs samples of two or more classes, and y has one class: {encoder.classes_[0]!r}"
            )
        self.classes_ = encoder.classes_
        self.image_shape_ = self._image_shape(shape, flat.shape[1])
        images = flat.reshape(-1, *self.image_shape_)
        recipe = self._recipe(images, rows=shape is None and self.image_shape is None)
        if self.classes_.tolist() != list(range(len(self.classes_))):
            targets = np.asarray(_names(self.classes_))[targets]  # the run knows the classes by their labels
        self._open(self._train(recipe, images, targets))
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities (N, K) float64 of `classes_`; a row adds up to 1."""
        check_is_fitted(self)
        flat, shape = _flatten(X)
        if shape is not None and shape != self.image_shape_:
            raise ValueError(f"X has images of shape {shape}, and the network was fitted on {self.image_shape_}")
        flat = validate_data(self, flat, dtype=[np.float32, np.uint8], reset=False)
        images = flat.reshape(-1, *self.image_shape_)
        with _ONE_AT_A_TIME, applied(self._predictor.machine):
            parts = [
                _log_probabilities(self._predictor, images[start : start + PREDICT_BATCH])
                for start in range(0, len(images), PREDICT_BATCH)
            ]
        # in float64, and normalised there: float32 rows add up to 1 only within 1e-6
        scores = torch.cat(parts).numpy()
        probabilities: Array = np.exp(tempered(scores, self._predictor.bundle.temperature or 1.0))
        place = {name: column for column, name in enumerate(self._predictor.bundle.task.class_names)}
        return probabilities[:, [place[name] for name in _names(self.classes_)]]

    def predict(self, X: Any) -> Array:
        """Return the likeliest label (N,) of each sample."""
        probabilities = self.predict_proba(X)
        labels: Array = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def _image_shape(self, given: tuple[int, ...] | None, num_features: int) -> tuple[int, ...]:
        """Return (H, W, C) of a sample. Raises ValueError when `image_shape` does not fit."""
        if self.image_shape is None:
            return given or (1, num_features, 1)
        wanted = (*map(int, self.image_shape), 1)[:3]
        if len(self.image_shape) not in (2, 3) or np.prod(wanted) != num_features or given not in (None, wanted):
            raise ValueError(
                f"image_shape is {self.image_shape}, and X has samples of "
                f"{f'{num_features} features' if given is None else f'shape {given}'}; expected (H, W) or (H, W, C) of "
                "that many numbers"
            )
        return wanted

    def _recipe(self, images: Array, rows: bool) -> Recipe:
        model = self.model
        if model == "auto":
            model = "mlp" if rows or min(images.shape[1:3]) < SMALLEST_FOR_CNN else "cnn"
        value_range = self.value_range
        if value_range is None and images.dtype != np.uint8:
            value_range = _range_of(images)
        seed = _seed(self.random_state)
        sections: dict[str, Any] = {
            "data": {"source": "<ndarray>", "value_range": value_range},
            "split": {"val": self.validation_fraction, "test": 0.0},
            "training": {"epochs": self.epochs, "batch_size": self.batch_size},
            # fp32, as scikit-learn's users expect of equal fits on different machines; and joblib tells its workers
            # through torch's own number how many threads each may use
            "runtime": {"device": self.device, "precision": "fp32", "threads": torch.get_num_threads()},
            "lr": self.lr,
            "seed": seed,
            "split.seed": seed,
            "model": model,
            "optimizer": self.optimizer,
        }
        pairs = [pair for name, value in sections.items() for pair in _pairs(name, value)]
        pairs += [pair for name, value in (self.settings or {}).items() for pair in _pairs(name, value)]
        return build_recipe(override({}, pairs))

    def _train(self, recipe: Recipe, images: Array, targets: Array) -> Run:
        """Train in `out` or in a temporary folder. Raises KeyboardInterrupt when asked to stop, as a loop in Python."""
        temporary = None if self.out is not None else Path(tempfile.mkdtemp(prefix="netwright-"))
        out = Path(self.out) if self.out is not None else temporary
        try:
            with _ONE_AT_A_TIME:
                own = Own(data={"train": (images, targets)})
                console = Console(quiet=not self.verbose)
                # curves take longer to draw than a small network to train, and a temporary run's are never seen
                run = train_recipe(recipe, out=out, console=console, name="arrays", own=own, plots=temporary is None)
            if run.interrupted:
                raise KeyboardInterrupt
        except BaseException:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            raise
        return _without_data(run.path, temporary)

    def _open(self, run: Run) -> None:
        """Keep a finished run: as an object, as bytes to pickle, as a predictor in memory."""
        self.run_ = run
        paths = sorted(path for pattern in _TRAVELS for path in run.path.glob(pattern))
        self._run_files = {path.relative_to(run.path).as_posix(): path.read_bytes() for path in paths}
        self._predictor = load_predictor(run.folder.bundle, _machine_of(run))

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("run_", "_predictor")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_run_files" not in state:
            return
        folder = Path(tempfile.mkdtemp(prefix="netwright-"))
        for name, content in state["_run_files"].items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        self._open(_without_data(folder, folder))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "run_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _flatten(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Return samples as rows, and the shape (H, W, C) that each had when they were images. Raises ValueError."""
    if isinstance(X, torch.Tensor):
        X = as_pixels(X, "X")
    elif isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) >= 2:
        X = np.stack(X)
    if getattr(X, "ndim", 2) <= 2:
        return X, None
    if X.ndim > 4 or len(X) == 0:
        raise ValueError(f"X has shape {X.shape}; expected images (N, H, W) or (N, H, W, C), or rows (N, D)")
    return np.asarray(X).reshape(len(X), -1), (*X.shape[1:], 1)[:3]


def _names(classes: Array) -> list[str]:
    return [str(label) for label in classes.tolist()]


def _range_of(images: Array) -> tuple[float, float]:
    """Return the least and the greatest value; of a constant, that and something above it."""
    low, high = float(images.min()), float(images.max())
    return low, high if high > low else low + max(1.0, abs(low))


def _seed(random_state: Any) -> int:
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _pairs(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return the settings of a section, a part or a field, as plain Python numbers (a search gives NumPy's)."""
    if isinstance(value, Mapping):
        return [(f"{name}.{field}", _plain(inner)) for field, inner in value.items()]
    return [(name, _plain(value))]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value


def _log_probabilities(predictor: Predictor, images: Array) -> torch.Tensor:
    """Run the network on images (B, H, W, C) of the fitted shape -> (B, K) float32.

    Values outside `value_range` are taken as they come: for rows of numbers that is nothing wrong."""
    transform = predictor.transform
    if transform.value_range is not None or images.dtype != np.uint8:
        images = images.astype(np.float32, copy=False)
        if transform.value_range is None:  # fitted on bytes, asked with the same numbers as floats
            transform = msgspec.structs.replace(transform, value_range=(0.0, 255.0))
    if transform.whole or images.shape[1:] != (*transform.store_size, transform.channels):
        images = np.stack([transform.view(transform.decode(image)) for image in images])
    return predictor.answers(transform.finish(torch.tensor(images)))


def _machine_of(run: Run) -> Machine:
    """Return the machine that the run was trained on, or, where there is no such device, the best one here."""
    return machine_for_predictions(run.recipe.runtime)


def _without_data(path: Path, temporary: Path | None) -> Run:
    """Open a run that does not hold on to the training arrays; a temporary folder goes when the object does."""
    run = Run(RunFolder(path))
    if temporary is not None:
        weakref.finalize(run, _remove, temporary, os.getpid())
    return run


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child, whose parent still reads it
        shutil.rmtree(folder, ignore_errors=True)
