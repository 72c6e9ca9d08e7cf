"""Ejected scripts for masks of pictures of several sizes, of folders of splits, and of U-Nets with an encoder."""

import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision import models

import netwright as nw
from netwright.cli.main import run as netwright
from netwright.deployment.bundle import load_golden

SETTINGS: dict[str, Any] = {
    "model": {"name": "unet", "depth": 2, "width": 6},
    "epochs": 8,
    "batch_size": 4,
    "lr": 0.01,
    "monitor": "val_mean_dice",
    "runtime": {"threads": 1, "device": "cpu", "precision": "fp32", "trial": False},
    "quiet": True,
}
LARGE = ("densenet121", "convnext_tiny", "vgg11")  # 5 to 8 s each


def draw(folder: Path, number: int, sizes: list[tuple[int, int]], seed: int = 3) -> None:
    """Write images of a bright square on noise, and their masks, into images/ and masks/."""
    random = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for place in range(number):
        height, width = sizes[place % len(sizes)]
        mask = np.zeros((height, width), np.uint8)
        top, left, side = (*random.integers(3, 14, 2), random.integers(12, 18))
        mask[top : top + side, left : left + side] = 255
        pixels = np.clip(random.normal(80, 15, mask.shape) + 100 * (mask > 0), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{place}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{place}.png")


def ejected(run: nw.Run, folder: Path) -> Any:
    """Eject a run and return its script as a module, on the CPU."""
    path = folder / "script.py"
    assert netwright(["eject", str(run.path), "--out", str(path)]) == 0
    assert path.read_text().count("\n") < 200
    module: Any = types.ModuleType("script")
    exec(compile(path.read_text(), "script.py", "exec"), module.__dict__)
    module.DEVICE = torch.device("cpu")
    return module


def check_logits(run: nw.Run, plain: Any) -> None:
    golden = load_golden(run.path / "bundle")
    assert golden is not None
    network = plain.UNet().eval()
    network.load_state_dict(load_file(f"{plain.BUNDLE}/model.safetensors"))
    with torch.no_grad():
        logits = network(golden.images.movedim(3, 1) / 255)
    torch.testing.assert_close(logits[..., ::7, ::7], golden.logits, atol=1e-4, rtol=1e-4)


def check_masks(run: nw.Run, plain: Any, pictures: list[Path], most_others: float = 1e-3) -> None:
    """Whole pictures, in the working folder; a pixel may lie on the border between two classes."""
    plain.predict([str(picture) for picture in pictures])
    for picture in pictures:
        (found,) = run.predict([picture])
        mask = np.asarray(Image.open(f"{picture.stem}-mask.png"))
        assert mask.shape == found["mask"].shape
        assert (mask != found["mask"]).mean() < most_others


def check_training(plain: Any) -> None:
    plain.train()
    network = plain.UNet()
    network.load_state_dict(torch.load("weights.pt", weights_only=True))
    splits = plain.open_splits()
    with torch.no_grad():
        assert plain.run_epoch("val", network, plain.DataLoader(splits["val"], collate_fn=plain.read)) > 0.8


@pytest.mark.parametrize("size", [32, [32, 40]], ids=str)
def test_pictures_of_several_sizes(size: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "data", 18, [(40, 40), (36, 50), (60, 44)])
    parts = [{"name": "horizontal_flip"}, {"name": "rotation", "degrees": 5}]
    run = nw.train(str(tmp_path / "data"), image_size=size, augmentation=parts, out=tmp_path / "run", **SETTINGS)
    plain = ejected(run, tmp_path)
    monkeypatch.chdir(tmp_path)
    check_logits(run, plain)
    pictures = [tmp_path / "data" / "images" / f"{place}.png" for place in range(3)]
    # Pillow rounds the longer side of what covers a size, and we cut its fraction off
    check_masks(run, plain, pictures, 1e-3 if size == 32 else 0.02)
    images, masks = plain.read(plain.open_splits()["train"][:4])
    assert tuple(images.shape[2:]) == tuple(masks.shape[1:]) == tuple(run.recipe.data.image_size or (size, size))
    check_training(plain)


@pytest.mark.parametrize("inside", ["images in splits", "splits in images", "no val"])
def test_folders_of_splits(inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"train": 14, "valid": 4, "test": 3}
    numbers = {split: number for split, number in numbers.items() if inside != "no val" or split != "valid"}
    for seed, (split, number) in enumerate(numbers.items()):
        draw(tmp_path / "drawn" / split, number, [(32, 32)], seed)
    data = tmp_path / "data"
    for split in numbers:
        for name in ("images", "masks"):
            there = data / name / split if inside == "splits in images" else data / split / name
            there.parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "drawn" / split / name).rename(there)
    run = nw.train(str(data), out=tmp_path / "run", **SETTINGS)
    plain = ejected(run, tmp_path)
    monkeypatch.chdir(tmp_path)
    check_logits(run, plain)
    splits = plain.open_splits()
    known = {
        split: sum(each.values()) for split, each in json.loads((run.path / "data.json").read_text())["counts"].items()
    }
    assert {split: len(pairs) for split, pairs in splits.items()} == known
    if inside != "no val":
        assert len(splits["val"]) == 4
        assert all("valid" in image.parts and "valid" in mask.parts for image, mask in splits["val"])
    assert all(image.name == mask.name and image != mask for pairs in splits.values() for image, mask in pairs)
    check_training(plain)


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenet_v2", *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)],
)
def test_an_encoder_of_torchvisions(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "data", 10, [(64, 64)])
    model = {"name": "unet", "width": 4, "encoder": name, "up": "bilinear" if name == "mobilenet_v2" else "transposed"}
    run = nw.train(
        str(tmp_path / "data"), out=tmp_path / "run", **{**SETTINGS, "model": model, "epochs": 1, "lr": 0.001}
    )
    plain = ejected(run, tmp_path)
    monkeypatch.chdir(tmp_path)
    check_logits(run, plain)
    odd = tmp_path / "odd.png"
    Image.open(tmp_path / "data" / "images" / "0.png").resize((61, 83)).save(odd)
    check_masks(run, plain, [odd])
    plain.EPOCHS = 1
    plain.train()
    assert "model.safetensors" not in {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "weights.pt").exists()


def test_a_frozen_encoder_is_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the weights of a file, which a script has not: they are in the bundle as the run began with them."""
    draw(tmp_path / "data", 10, [(64, 64)])
    for path in (tmp_path / "data" / "images").iterdir():
        Image.merge("RGB", [Image.open(path).copy()] * 3).point([*range(256), *range(256), *range(255, -1, -1)]).save(
            path
        )
    torch.manual_seed(7)
    theirs = models.resnet18().state_dict()
    torch.save(theirs, tmp_path / "theirs.pth")
    model = {"name": "unet", "width": 4, "encoder": "resnet18", "weights": str(tmp_path / "theirs.pth")}
    run = nw.train(
        str(tmp_path / "data"),
        out=tmp_path / "run",
        freeze="backbone",
        **{**SETTINGS, "model": model, "epochs": 1},
    )
    plain = ejected(run, tmp_path)
    monkeypatch.chdir(tmp_path)
    check_logits(run, plain)
    plain.train()
    trained = torch.load("weights.pt", weights_only=True)
    kept = {name.removeprefix("encoder."): values for name, values in trained.items() if name.startswith("encoder.")}
    assert kept
    for name, values in kept.items():
        torch.testing.assert_close(values, theirs[name], atol=0, rtol=0)
    assert "random" not in (tmp_path / "script.py").read_text().split('"""')[1]
