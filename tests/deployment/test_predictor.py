"""Predictions against the same network written by hand: PIL, NumPy and plain PyTorch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import netwright as nw
from netwright.config.sections import Runtime
from netwright.deployment.predictor import load_predictor
from netwright.deployment.readers import Readers
from netwright.deployment.stream import predict_stream
from netwright.errors import InputError
from netwright.runtime.machine import choose_machine

MACHINE = choose_machine(Runtime(device="cpu", threads=1, precision="fp32"))


def by_hand(run: nw.Run, pixels: np.ndarray) -> Tensor:
    """The calibrated probabilities (N, 10) of uint8 (N, 8, 8), with nothing of ours but the files of the bundle."""
    described = json.loads((run.path / "bundle" / "bundle.json").read_text())
    weights = load_file(run.path / "bundle" / "model.safetensors")
    mean, std = described["transform"]["mean"], described["transform"]["std"]
    features = ((torch.from_numpy(pixels).float() / 255 - mean[0]) / std[0]).flatten(1)
    (first,) = [name.removesuffix(".weight") for name in weights if name.startswith("hidden") and "weight" in name]
    features = torch.relu(features @ weights[f"{first}.weight"].T + weights[f"{first}.bias"])
    return ((features @ weights["head.weight"].T + weights["head.bias"]) / described["temperature"]).softmax(1)


def probabilities(answers: list[dict]) -> Tensor:
    return torch.tensor([[answer["probabilities"][str(digit)] for digit in range(10)] for answer in answers])


def test_arrays_tensors_and_pictures_give_what_plain_pytorch_gives(trained: nw.Run, digits: np.ndarray) -> None:
    expected = by_hand(trained, digits)
    given = [
        digits,
        digits[..., None],
        torch.from_numpy(digits),
        torch.from_numpy(digits)[:, None],
        [Image.fromarray(digit) for digit in digits],
        list(digits),
    ]
    for images in given:
        answers = trained.predict(images)
        torch.testing.assert_close(probabilities(answers), expected, atol=1e-5, rtol=1e-4)
        assert [answer["label"] for answer in answers] == [str(k) for k in expected.argmax(1).tolist()]
        assert [answer["source"] for answer in answers] == [str(place) for place in range(len(digits))]


def test_files_give_what_plain_pytorch_gives(trained: nw.Run, digits: np.ndarray, tmp_path: Path) -> None:
    paths = [tmp_path / f"{place:02d}.png" for place in range(len(digits))]
    for path, digit in zip(paths, digits, strict=True):
        Image.fromarray(digit).save(path)
    expected = by_hand(trained, digits)
    for images in (tmp_path, str(tmp_path), paths, [str(path) for path in paths]):
        answers = trained.predict(images)
        assert [answer["source"] for answer in answers] == [str(path) for path in paths]
        torch.testing.assert_close(probabilities(answers), expected, atol=1e-5, rtol=1e-4)


def test_another_mode_and_size_become_the_networks(trained: nw.Run, digits: np.ndarray) -> None:
    """RGB of a gray picture is that picture; a bigger one is resized as Pillow resizes it."""
    gray = Image.fromarray(digits[0])
    plain, rgb = trained.predict([gray, gray.convert("RGB")])
    assert plain["probabilities"] == pytest.approx(rgb["probabilities"], abs=2e-3)
    assert trained.predict([gray.resize((32, 32), Image.Resampling.NEAREST)])[0]["label"] == plain["label"]


@pytest.mark.parametrize(("seconds_of_one", "chosen"), [(1.0, 1), (9.0, 4)])
def test_as_many_threads_read_as_are_quickest(seconds_of_one: float, chosen: int) -> None:
    readers = Readers(4, timed=True)
    for _ in range(6):
        readers.took(seconds_of_one if readers.number == 1 else 3.0, 10)
    assert readers.number == chosen
    assert Readers(4, timed=False).number == 4


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batch_size_changes_nothing(batch_size: int, trained: nw.Run, digits: np.ndarray) -> None:
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    names = [str(place) for place in range(len(digits))]
    batches = list(predict_stream(predictor, zip(list(digits), names, strict=True), batch_size))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    answers = [answer for batch in batches for answer in batch]
    found = torch.tensor(
        np.stack([answer.probabilities for answer in answers if answer.probabilities is not None])
    ).float()
    torch.testing.assert_close(found, by_hand(trained, digits), atol=1e-5, rtol=1e-4)


def test_what_can_not_be_read_is_an_error_in_its_place(trained: nw.Run, digits: np.ndarray, tmp_path: Path) -> None:
    """The third, a broken file, does not stop the others, also across batches."""
    predictor = load_predictor(trained.path / "bundle", MACHINE)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    sources = [*digits[:2], broken, *digits[2:4], np.zeros((2, 2, 2, 2), np.uint8), digits[4].astype(np.float64)]
    batches = predict_stream(predictor, zip(sources, "abcdefg", strict=True), batch_size=2)
    answers = [answer.to_mapping() for batch in batches for answer in batch]
    assert [answer["source"] for answer in answers] == list("abcdefg")
    assert ["error" in answer for answer in answers] == [False, False, True, False, False, True, True]
    error = answers[2]["error"]
    assert error.keys() == {"code", "message"}
    assert "broken.png" in error["message"]
    assert "label" not in answers[2]
    assert "uint8" in answers[6]["error"]["message"]


def test_top_keeps_the_likeliest_in_order(trained: nw.Run, digits: np.ndarray) -> None:
    (whole,) = trained.predict(digits[:1])
    (top,) = trained.predict(digits[:1], top=3)
    ordered = sorted(whole["probabilities"].items(), key=lambda pair: -pair[1])
    assert list(whole["probabilities"].items()) == ordered
    assert list(top["probabilities"].items()) == ordered[:3]
    assert (top["label"], top["probability"]) == ordered[0]
    assert sum(whole["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (2, 3, 8, 8, 1)])
def test_one_image_is_not_a_batch(shape: tuple[int, ...], trained: nw.Run) -> None:
    with pytest.raises(nw.DataError, match=r"expected \(N, H, W\).*images\[None\]"):
        trained.predict(np.zeros(shape, np.uint8))


def test_an_own_network_must_be_given_again(tmp_path: Path, digits: np.ndarray) -> None:
    from torch import nn

    def own() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    run = nw.train("digits", model=own(), epochs=1, out=tmp_path / "run", threads=1, quiet=True)
    expected = run.predict(digits)
    with pytest.raises(InputError, match=r"your own Sequential; give it again: nw\.load\(path, model=Sequential\(\)\)"):
        nw.load(run.path).predict(digits)
    assert nw.load(run.path, model=own()).predict(digits) == expected


def test_a_network_whose_state_has_a_version_loads_again(tmp_path: Path) -> None:
    """MNASNet's weights have a version beside them, without which torchvision takes them for those of an older one."""
    settings = {"image_size": 32, "epochs": 1, "threads": 1, "quiet": True, "lr": 0.01}
    run = nw.train("digits", model="mnasnet0_5", out=tmp_path / "run", classes=["0", "1"], **settings)
    before = nw.load(run.path).evaluate("val")["metrics"]["accuracy"]
    assert before == run.metrics["val"]["accuracy"]
