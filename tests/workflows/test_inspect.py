"""`netwright inspect` on a run: its table, its pictures and its maps against the network called by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import netwright as nw
from netwright.errors import DataError, InputError
from netwright.inspection.grad_cam import grad_cam
from netwright.runs.folder import read_json
from netwright.runs.outputs import load_outputs
from netwright.workflows.explain import explain_mistakes, explain_pixels
from netwright.workflows.inspect import inspect, summarize_run
from netwright.workflows.own import Own
from netwright.workflows.predict import opened

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, no_plots: None) -> nw.Run:
    """One epoch of a small cnn: enough mistakes on val to explain."""
    out = tmp_path_factory.mktemp("cnn") / "run"
    model = {"name": "cnn", "channels": [6, 8]}
    return nw.train("digits", model=model, epochs=1, lr=0.01, out=out, quiet=True, runtime={"threads": 1})


@pytest.fixture
def files(digits: Arrays, tmp_path: Path) -> list[str]:
    """Three digits as files, one of them broken."""
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(digits[0][number]).save(path)
    paths[1].write_bytes(b"no image")
    return [str(path) for path in paths]


def test_the_table_adds_up_to_the_network(run: nw.Run) -> None:
    summary = inspect(run.path)["summary"]
    total = sum(each.numel() for each in run.network().parameters())
    assert sum(layer["num_parameters"] for layer in summary["layers"]) == total == summary["num_parameters"]
    assert summary["input_shape"] == [1, 8, 8]
    assert summary["layers"][-1]["output_shapes"] == [[None, 10]]
    assert summarize_run(run.path / "bundle") == summary | {"stages": []}  # which a bundle does not know


def test_pictures_of_images(run: nw.Run, files: list[str], tmp_path: Path) -> None:
    found = inspect(run.path, files, out=tmp_path / "pictures")
    kinds = [picture["kind"] for picture in found["pictures"]]
    assert kinds == ["filters", "grad_cam", *["feature_maps"] * 3]
    assert all(Path(picture["path"]).stat().st_size > 1000 for picture in found["pictures"])
    assert [each["source"] for each in found["images"]] == [files[0], *files[2:]]
    assert [each["source"] for each in found["errors"]] == [files[1]]
    answers = {each["source"]: each for each in nw.predict(run.path, [files[0], *files[2:]])["predictions"]}
    for each in found["images"]:
        assert each["label"] == each["predicted"] == answers[each["source"]]["label"]
        assert each["probability"] == pytest.approx(answers[each["source"]]["probability"], rel=1e-5)


def test_maps_are_those_of_the_network_on_its_own_input(run: nw.Run, digits: Arrays) -> None:
    pixels = torch.from_numpy(digits[0][:5])[..., None]
    with opened(run.path, Own()) as predictor:
        found = explain_pixels(predictor, pixels, ["a"] * 5, label="3")
    transform = read_json(run.path / "bundle" / "bundle.json")["transform"]
    images = (pixels.permute(0, 3, 1, 2) / 255 - transform["mean"][0]) / transform["std"][0]
    network, classes = run.network().cpu(), torch.full((5,), 3)
    expected = grad_cam(network, images, classes=classes, layer="features")
    assert found.layer == "features"
    for place, each in enumerate(found.images):
        np.testing.assert_allclose(each.heat, expected.maps[place].numpy(), atol=1e-4)
        assert np.array_equal(each.pixels[..., 0], digits[0][place]) and each.label == "3"


def test_the_most_confident_mistakes_on_val(run: nw.Run, digits: Arrays) -> None:
    kept = load_outputs(run.folder.outputs_of("val"))
    wrong = kept.predictions != kept.targets
    assert wrong.sum() > 4
    order = np.argsort(-np.where(wrong, np.exp(kept.answers).max(axis=1), -1))[:4]
    found = explain_mistakes(run.folder, Own(), most=4)
    assert [each.label for each in found.images] == [str(kept.predictions[place]) for place in order]
    assert [each.truth for each in found.images] == [str(kept.targets[place]) for place in order]
    for each, place in zip(found.images, order, strict=True):
        assert np.array_equal(each.pixels[..., 0], digits[0][kept.rows[place]])
    assert len(explain_mistakes(run.folder, Own(), most=10_000).images) == wrong.sum()


def test_a_run_without_mistakes(run: nw.Run) -> None:
    assert explain_mistakes(run.folder, Own(), most=0).images == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "33"}, "no class '33' .did you mean \"3\"."),
        ({"layer": "featuers"}, 'did you mean "features"'),
        ({"layer": "head"}, "output of 'head'"),
    ],
)
def test_what_is_not_there_is_named(run: nw.Run, files: list[str], options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        inspect(run.path, files, out=tmp_path / "pictures", **options)


def test_no_image_at_all(run: nw.Run, files: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image could be read"):
        inspect(run.path, files[1:2], out=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image in"):
        inspect(run.path, [str(tmp_path / "empty")], out=tmp_path)


def test_a_network_without_convolution_has_a_table_and_no_map(trained: nw.Run, files: list[str]) -> None:
    assert inspect(trained.path)["summary"]["layers"][0]["kind"] == "Flatten"
    with pytest.raises(InputError, match="no convolution"):
        inspect(trained.path, files)
    assert not Path("inspection").exists()


def test_from_python(run: nw.Run, digits: Arrays, files: list[str]) -> None:
    found = run.explain(digits[0][:3], label="7")
    assert [(each.source, each.label) for each in found.images] == [("0", "7"), ("1", "7"), ("2", "7")]
    assert np.array_equal(run.explain(files[:1], label="7").images[0].heat, found.images[0].heat)
    assert found._repr_png_().startswith(b"\x89PNG")
    assert run.layers(depth=1)["layers"][0]["name"] == "features"
    with pytest.raises(DataError, match="no image to explain"):
        run.explain(digits[0][:0])


def test_a_network_of_the_users_own(two_digits: Arrays, tmp_path: Path) -> None:
    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 3, 3)
            self.head = torch.nn.Linear(3, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.conv(images).relu().mean(dim=(2, 3)))

    run = nw.train(
        two_digits, model=Small(), criterion="bce_with_logits", epochs=1, out=tmp_path / "own", quiet=True,
        runtime={"threads": 1},
    )  # fmt: skip
    assert [layer["name"] for layer in run.layers()["layers"]] == ["conv", "head"]
    found = run.explain(two_digits[0][:2])
    assert found.layer == "conv" and found.images[0].heat.shape == (8, 8)


def test_stages_say_what_was_trained(digits: Arrays, files: list[str], tmp_path: Path) -> None:
    """Also beside Grad-CAM, which needs gradients where the training had none."""
    model = {"name": "cnn", "channels": [4, 8]}
    training = {"freeze": "backbone", "unfreeze": {"features.1": 2}}
    run = nw.train("digits", model=model, epochs=1, training=training, out=tmp_path / "run", quiet=True, threads=1)
    result = inspect(run.path, files[:1], out=tmp_path / "pictures")
    summary = result["summary"]
    assert [(stage["name"], stage["begins"]) for stage in summary["stages"]] == [
        ("features.0", None),
        ("features.1", 2),
        ("head", 1),
    ]
    assert [stage["num_parameters"] for stage in summary["stages"]] == [4 * 9 + 4 + 8, 8 * 4 * 9 + 8 + 16, 330]
    assert summary["num_frozen"] == 4 * 9 + 4 + 8
    assert result["images"][0]["peak"] is not None
