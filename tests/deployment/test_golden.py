"""Golden samples: what a network said of a few images when it was trained, so that it can be asked again elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

import netwright as nw
from netwright.deployment.bundle import load_bundle, load_golden
from netwright.deployment.golden import blends
from netwright.errors import WeightsError

Arrays = tuple[np.ndarray, np.ndarray]
FAST = {"model": "linear", "epochs": 1, "threads": 1, "device": "cpu", "quiet": True}


@pytest.fixture
def arrays() -> Arrays:
    found = load_digits()
    return np.asarray(np.rint(found.images * 255 / 16), dtype=np.uint8), found.target.astype(np.int64)


def logits_by_hand(run: nw.Run, images: torch.Tensor) -> torch.Tensor:
    """What plain PyTorch gives for pixels (N, h, w, C)."""
    described = json.loads((run.path / "bundle" / "bundle.json").read_text())["transform"]
    mean, std = torch.tensor(described["mean"]), torch.tensor(described["std"])
    with torch.no_grad():
        return run.network()(((images.float() / 255 - mean) / std).permute(0, 3, 1, 2))


def test_the_logits_are_the_networks(trained: nw.Run) -> None:
    golden = load_golden(trained.path / "bundle")
    assert golden is not None
    assert golden.images.dtype == torch.uint8
    torch.testing.assert_close(golden.logits, logits_by_hand(trained, golden.images), atol=1e-5, rtol=1e-5)
    assert len({tuple(row) for row in golden.logits.tolist()}) == len(golden.images) == 8


def test_a_public_set_gives_real_images_of_val(trained: nw.Run, arrays: Arrays) -> None:
    golden = load_golden(trained.path / "bundle")
    assert golden is not None
    assert golden.kind == "real"
    val = json.loads((trained.path / "split.json").read_text())["splits"]["val"]
    of_val = {arrays[0][row].tobytes() for row in val}
    assert all(image.numpy().tobytes() in of_val for image in golden.images)


@pytest.mark.parametrize(
    ("asked", "kind"), [("auto", "synthetic"), ("real", "real"), ("synthetic", "synthetic"), ("none", None)]
)
def test_private_images_go_in_only_when_asked_for(asked: str, kind: str | None, arrays: Arrays, tmp_path: Path) -> None:
    run = nw.train(arrays, golden=asked, out=tmp_path / "run", **FAST)
    golden = load_golden(run.path / "bundle")
    assert (None if golden is None else golden.kind) == kind
    card = (run.path / "bundle" / "card.md").read_text()
    assert ("real images" in card, "synthetic" in card) == (kind == "real", kind == "synthetic")
    if golden is None:
        assert not (run.path / "bundle" / "golden.safetensors").exists()
        return
    known = {image.tobytes() for image in arrays[0]}
    assert [image.numpy().tobytes() in known for image in golden.images] == [kind == "real"] * 8
    torch.testing.assert_close(golden.logits, logits_by_hand(run, golden.images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num", [1, 2, 100])
def test_no_blend_is_near_an_image(num: int) -> None:
    """Random photographs of 48 × 48: no blend correlates with one of them more than noise does with itself blurred."""
    drawn = np.random.default_rng(0).integers(0, 256, (num, 6, 6, 3), dtype=np.uint8)
    images = torch.from_numpy(drawn.repeat(8, axis=1).repeat(8, axis=2))
    fine = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    images = images // 2 + fine // 2
    made = blends(images)
    assert made.shape == (8, 48, 48, 3)
    assert made.dtype == torch.uint8
    assert torch.equal(made, blends(images))
    assert made.float().std() > 10  # something is to be seen on them
    if num == 100:
        flat = [part.flatten(1).float() for part in (made, images)]
        centred = [part - part.mean(dim=1, keepdim=True) for part in flat]
        normed = [part / part.norm(dim=1, keepdim=True) for part in centred]
        assert (normed[0] @ normed[1].T).max() < 0.5


def test_float_images_stay_floats() -> None:
    images = torch.rand(40, 16, 16, 1, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = blends(images)
    assert made.dtype == torch.float32
    assert images.min() <= made.min() <= made.max() <= images.max()


def test_one_float_more_makes_it_damaged(copied: Path) -> None:
    path = copied / "bundle" / "golden.safetensors"
    tensors = load_file(path)
    tensors["logits"][0, 0] += 1
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"golden\.safetensors does not match its checksum"):
        load_golden(copied / "bundle")
    load_bundle(copied / "bundle")  # the network itself is whole


def test_floats_and_own_transforms_have_theirs(arrays: Arrays, tmp_path: Path) -> None:
    """Images that are not bytes are kept as the numbers that they are."""
    floats = (arrays[0] / 255).astype(np.float32)
    run = nw.train((floats, arrays[1]), value_range=[0, 1], golden="real", out=tmp_path / "floats", **FAST)
    golden = load_golden(run.path / "bundle")
    assert golden is not None
    known = {image.tobytes() for image in floats}
    assert all(image.numpy().tobytes() in known for image in golden.images)

    def transform(image: torch.Tensor) -> torch.Tensor:
        return image.float().flip(-1) / 255

    run = nw.train(arrays, transform=transform, golden="real", out=tmp_path / "own", **FAST)
    golden = load_golden(run.path / "bundle")
    assert golden is not None
    with torch.no_grad():
        expected = run.network()(golden.images.permute(0, 3, 1, 2).flip(-1) / 255)
    torch.testing.assert_close(golden.logits, expected, atol=1e-5, rtol=1e-5)
