"""The answers' shapes, for the OpenAPI document."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

Answer = TypeVar("Answer", bound=BaseModel)


class Problem(BaseModel):
    """A code for programs and a sentence for people."""

    code: str
    message: str


class Refusal(BaseModel):
    """The body of every answer that is no success."""

    error: Problem


class PredictedLabel(BaseModel):
    """A label with all probabilities, or why there is none."""

    source: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    error: Problem | None = None


class PredictedNumber(BaseModel):
    """A number in the unit of the targets, or why there is none."""

    source: str
    value: float | None = None
    error: Problem | None = None


class PredictedMask(BaseModel):
    """Each class's share of the pixels, and the mask, as large as the upright image, as a PNG (a data URL): the number
    of a class in each pixel, shown in the colour that /model says. Asked for, the mask over the image, too. Or why
    there is none."""

    source: str
    shares: dict[str, float] | None = None
    width: int | None = None
    height: int | None = None
    mask: str | None = None
    overlay: str | None = None
    error: Problem | None = None


class Predictions(BaseModel, Generic[Answer]):
    """One answer an image or row, in their order; `calibrated`: the probabilities went through a temperature fitted on
    val."""

    predictions: list[Answer]
    calibrated: bool


class Explanation(BaseModel):
    """The likeliest class and where it is seen: `overlay` is a PNG as a data URL."""

    label: str
    probability: float
    layer: str
    overlay: str


class Column(BaseModel):
    """A column that a row has: `middle` is train's median (of a date days since 1970), `categories` the words that
    train had."""

    name: str
    kind: str
    middle: float | None = None
    categories: list[str] | None = None


class Model(BaseModel):
    """The model: its task, its card (Markdown), the classes in the order of the network's outputs, what it was trained
    with. `target` is what a table called what was learnt; `colours` those of masks, by class; `columns` those of rows;
    `engine` what computes."""

    name: str | None
    task: Literal["classification", "regression", "segmentation"]
    takes: Literal["images", "rows"]
    target: str | None
    card: str
    class_names: list[str]
    colours: dict[str, str] | None
    columns: list[Column] | None
    image_size: list[int]
    channels: int
    calibrated: bool
    metrics: dict[str, Any]
    engine: dict[str, Any]
    trained_with: dict[str, Any]
    running: dict[str, Any]


class Status(BaseModel):
    status: str
