"""The ejected script of a U-Net: plain PyTorch that gives the run's masks, has its criteria, and learns as well."""

import dataclasses
import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import netwright as nw
from netwright.cli.main import run as netwright
from netwright.config.optimization import CRITERIA, Criterion, LinearLr
from netwright.config.recipe import Recipe
from netwright.deployment.bundle import Bundle, load_bundle, load_golden
from netwright.deployment.eject.mask_script import write_mask_script
from netwright.errors import InputError
from netwright.models import build_model
from netwright.tasks.mask_losses import build_mask_loss
from netwright.tasks.segmentation import Segmentation
from netwright.tasks.task import TrainTargets
from netwright.workflows.console import Console
from netwright.workflows.plan import plan_recipe
from netwright.workflows.train import train_recipe

RUFF = Path(sys.executable).with_name("ruff")
SIDE = 40
SETTINGS: list[tuple[str, Any]] = [
    ("data.mask_classes", {"ground": 0, "square": 1}),
    ("data.mask_ignore", [9]),
    ("model", {"name": "unet", "depth": 2, "width": 6}),
    ("optimizer", {"name": "adam", "lr": 0.01}),
    (
        "augmentation",
        [
            {"name": "random_window", "size": 32},
            {"name": "horizontal_flip"},
            {"name": "rotation", "degrees": 10},
            {"name": "color_jitter", "brightness": 0.1},
        ],
    ),
    *{
        "training.epochs": 12,
        "training.batch_size": 4,
        "training.monitor": "val_mean_dice",
        "runtime.device": "cpu",
        "runtime.trial": False,
        "runtime.threads": 1,
        "runtime.precision": "fp32",
    }.items(),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 images of a bright square on noise, their masks, and a frame of pixels without a class."""
    root = tmp_path_factory.mktemp("squares")
    random = np.random.default_rng(5)
    for name in ("images", "masks"):
        (root / name).mkdir()
    for place in range(20):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        top, left, side = (*random.integers(5, 20, 2), random.integers(8, 15))
        mask[top : top + side, left : left + side] = 1
        pixels = np.clip(random.normal(80, 15, mask.shape) + 100 * mask, 0, 255).astype(np.uint8)
        mask[0] = 9
        Image.fromarray(pixels).save(root / "images" / f"{place}.png")
        Image.fromarray(mask).save(root / "masks" / f"{place}.png")
    return root


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> nw.Run:
    recipe = plan_recipe(str(data), SETTINGS)
    return train_recipe(recipe, out=tmp_path_factory.mktemp("runs") / "squares", console=Console(quiet=True))


@pytest.fixture(scope="module")
def script(trained: nw.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "unet.py"
    assert netwright(["eject", str(trained.path), "--out", str(path)]) == 0
    return path


def module_of(text: str) -> Any:
    module = types.ModuleType("script")
    exec(compile(text, "script.py", "exec"), module.__dict__)
    return module


def check_layout(path: Path) -> None:
    """Under 200 lines, and nothing that ruff would change or complain of."""
    text = re.sub(r"^IMAGES, MASKS = Path.*$", 'IMAGES, MASKS = Path("a"), Path("b")', path.read_text(), flags=re.M)
    text = re.sub(r'^IMAGES, MASKS = ".*$', 'IMAGES, MASKS = "a/{}", "b/{}"', text, flags=re.M)
    text = re.sub(r'^BUNDLE, WEIGHTS = ".*"$', 'BUNDLE, WEIGHTS = "a", "b"', text, flags=re.M)
    assert text.count("\n") < 200
    assert "netwright" not in re.sub(r'""".*?"""', "", text, count=1, flags=re.DOTALL)
    short = path.with_name("short_paths.py")
    short.write_text(text)
    if RUFF.exists():
        for arguments in (["check", "--isolated"], ["format", "--isolated", "--diff"]):
            done = subprocess.run([RUFF, *arguments, short], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def written(run: nw.Run, recipe: Recipe, bundle: Bundle, network: torch.nn.Module, folder: Path) -> Any:
    """Write the script of another recipe, task or network than the run's; return it as a module."""
    sizes = {"train": 14, "val": 3, "test": 3}
    made = write_mask_script(recipe, bundle, network, sizes, [300, 100], bundle_path=run.path / "bundle", file="x.py")
    (folder / "x.py").write_text(made.text)
    check_layout(folder / "x.py")
    return module_of(made.text)


def test_it_gives_the_runs_logits_and_masks(trained: nw.Run, script: Path, data: Path, tmp_path: Path) -> None:
    check_layout(script)
    golden = load_golden(trained.path / "bundle")
    assert golden is not None
    plain = module_of(script.read_text())
    for place, image in enumerate(golden.images):
        Image.fromarray(image.numpy().squeeze()).save(tmp_path / f"{place}.png")
    images = torch.stack([plain.read_image(tmp_path / f"{place}.png") for place in range(len(golden.images))])
    with torch.no_grad():
        network = plain.UNet().eval()
        network.load_state_dict(load_file(f"{plain.BUNDLE}/model.safetensors"))
        logits = network(images)
    torch.testing.assert_close(logits[..., ::7, ::7], golden.logits, atol=1e-4, rtol=1e-4)
    picture = data / "images" / "3.png"
    odd = tmp_path / "odd.png"
    Image.open(picture).crop((0, 0, 37, 31)).save(odd)  # what the halvings do not divide
    done = subprocess.run(
        [sys.executable, script, picture, odd], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    for path in (picture, odd):
        (found,) = trained.predict([path])
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{path.stem}-mask.png")), found["mask"])
    assert "ground" in done.stdout


def test_it_learns_as_well(trained: nw.Run, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module_of(script.read_text())
    splits = plain.open_splits()
    known = json.loads((trained.path / "split.json").read_text())["splits"]
    assert {name: len(part) for name, part in splits.items()} == {name: len(part) for name, part in known.items()}
    images, masks = plain.read(splits["train"][:3], plain.augment)
    assert (images.shape, masks.shape) == ((3, 1, 32, 32), (3, 32, 32))
    assert set(plain.read_mask(plain.MASKS / "0.png").unique().tolist()) == {0, 1, 255}
    monkeypatch.chdir(tmp_path)
    state = torch.get_rng_state()
    plain.train()
    torch.set_rng_state(state)
    network = plain.UNet()
    network.load_state_dict(torch.load("weights.pt", weights_only=True))
    assert plain.run_epoch("on val", network, plain.DataLoader(splits["val"], collate_fn=plain.read)) > 0.9
    assert trained.metrics["val"]["mean_dice"] > 0.9


@pytest.mark.parametrize(
    "criterion",
    [
        {"name": "cross_entropy", "class_weights": [1.0, 3.0], "label_smoothing": 0.1},
        {"name": "dice", "smooth": 2.0},
        {"name": "cross_entropy_dice", "dice_weight": 0.5},
        {"name": "focal", "gamma": 1.5},
        {"name": "bce_with_logits"},
        {"name": "bce_dice"},
    ],
    ids=lambda criterion: criterion["name"],
)
@pytest.mark.parametrize("weights", [None, "balanced", [0.5, 2.0]], ids=str)
def test_its_criteria_are_ours(criterion: dict[str, Any], weights: Any, trained: nw.Run, tmp_path: Path) -> None:
    bundle, _ = load_bundle(trained.path / "bundle")
    part = CRITERIA.convert({"class_weights": weights, **criterion}, "criterion")
    assert isinstance(part, Criterion)
    task = Segmentation(bundle.task.class_names, 1 if "bce" in criterion["name"] else 2)
    network = build_model(
        bundle.model, in_channels=1, image_size=(SIDE, SIDE), num_outputs=task.num_outputs, output="logits"
    )
    recipe, bundle = trained.recipe.replace(criterion=part), dataclasses.replace(bundle, task=task)
    plain = written(trained, recipe, bundle, network, tmp_path)
    outputs = torch.randn(3, task.num_outputs, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = torch.randint(0, 2, (3, 8, 8), generator=torch.Generator().manual_seed(1))
    targets[:, 0] = 255
    ours = build_mask_loss(part, TrainTargets(task.class_names, torch.tensor([300, 100])), torch.device("cpu"))
    expected, _ = ours(outputs, targets.to(torch.uint8))
    plain.DEVICE = torch.device("cpu")
    torch.testing.assert_close(plain.criterion(outputs, targets), expected)
    nothing = plain.criterion(outputs.requires_grad_(), torch.full_like(targets, 255))  # 9 is ignored
    nothing.backward()
    assert nothing == 0
    assert outputs.grad is not None
    assert not outputs.grad.any()
    plain.UNet().load_state_dict(network.state_dict())


class Caught(Exception):
    pass


def lrs_of(plain: Any) -> Any:
    """The lr of every step of its training, and after the last."""

    def caught(name: str, model: Any, loader: Any, optimizer: Any, scheduler: Any) -> None:
        raise Caught(optimizer, scheduler)

    plain.run_epoch = caught
    with pytest.raises(Caught) as found:
        plain.train()
    optimizer, scheduler = found.value.args
    lrs = [optimizer.param_groups[0]["lr"]]
    for _ in range(48):
        optimizer.step()
        scheduler.step()
        lrs.append(optimizer.param_groups[0]["lr"])
    return np.array(lrs)


def test_its_schedule_and_masks_with_transparency(trained: nw.Run, data: Path, tmp_path: Path) -> None:
    bundle, _ = load_bundle(trained.path / "bundle")
    schedule = LinearLr(start_fraction=0.1, up_fraction=0.25, final_fraction=0.5)
    recipe = trained.recipe.replace(lr_scheduler=schedule)  # 12 epochs of 4 steps
    plain = written(trained, recipe, bundle, torch.nn.Identity(), tmp_path)
    assert lrs_of(plain)[[0, 6, 12, 30, 48]] == pytest.approx([0.001, 0.0055, 0.01, 0.0075, 0.005])
    warm = LinearLr(warmup_steps=5, final_fraction=0.5)
    plain = written(trained, recipe.replace(lr_scheduler=warm), bundle, torch.nn.Identity(), tmp_path)
    assert lrs_of(plain)[[0, 1, 4, 5, 48]] == pytest.approx([0.002, 0.004, 0.01, 0.01, 0.005])
    mask = Image.open(data / "masks" / "0.png")
    mask.convert("LA").save(tmp_path / "0.png")
    assert torch.equal(plain.read_mask(tmp_path / "0.png"), plain.read_mask(data / "masks" / "0.png"))


def test_what_it_has_no_words_for_is_refused(trained: nw.Run, tmp_path: Path) -> None:
    bundle, _ = load_bundle(trained.path / "bundle")
    recipe = trained.recipe
    arrays = recipe.replace(data=msgspec.structs.replace(recipe.data, source="<tuple>", masks="<tuple>"))
    with pytest.raises(InputError, match="from two folders"):
        write_mask_script(
            arrays, bundle, torch.nn.Identity(), {"train": 14}, [9, 5], bundle_path=tmp_path / "bundle", file="x.py"
        )
