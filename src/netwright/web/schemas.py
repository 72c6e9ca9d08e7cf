"""The answers' shapes, for the OpenAPI document."""

from typing import Any

from pydantic import BaseModel


class Problem(BaseModel):
    """A code for programs and a sentence for people."""

    code: str
    message: str


class Refusal(BaseModel):
    """The body of every answer that is no success."""

    error: Problem


class PredictedImage(BaseModel):
    """One image's label with all probabilities (or its number, `value`), or why there is none."""

    source: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    value: float | None = None
    error: Problem | None = None


class Predictions(BaseModel):
    """One answer an image, in their order; `calibrated`: the probabilities went through a temperature fitted on val."""

    predictions: list[PredictedImage]
    calibrated: bool


class Explanation(BaseModel):
    """The likeliest class and where it is seen: `overlay` is a PNG as a data URL."""

    label: str
    probability: float
    layer: str
    overlay: str


class Model(BaseModel):
    """The model: its card (Markdown), the classes in the order of the network's outputs, what it was trained with."""

    name: str | None
    card: str
    class_names: list[str]
    image_size: list[int]
    channels: int
    calibrated: bool
    metrics: dict[str, Any]
    trained_with: dict[str, Any]
    running: dict[str, Any]


class Status(BaseModel):
    status: str
