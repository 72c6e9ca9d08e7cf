"""Whatever computes, the server answers as `netwright predict` does."""

from pathlib import Path

import pytest

import netwright as nw
from netwright.config.engines import EngineName
from netwright.config.serving import Serving
from tests.web.conftest import serving


@pytest.mark.parametrize("engine", ["onnx", "auto"])
def test_other_engines_answer_alike(engine: EngineName, bundle: Path, pictures: list[Path]) -> None:
    expected = nw.predict(bundle, [str(path) for path in pictures], top=None)["predictions"]
    with serving(bundle, Serving(decoders=1, engine=engine)) as (client, service):
        files = [("images", (path.name, path.read_bytes())) for path in pictures]
        given = client.post("/predict", files=files).json()["predictions"]
        assert engine == "auto" or service.predictor.forward != service.predictor._plain
    for answer, wanted in zip(given, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
