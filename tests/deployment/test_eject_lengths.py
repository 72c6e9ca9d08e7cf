"""Every ejected script is under 200 lines in all, whatever the run had: choices drawn at random, and all at once."""

import random
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from netwright.config.optimization import CRITERIA
from netwright.config.recipe import build_recipe
from netwright.config.tasks import criteria_for
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle, save_bundle
from netwright.deployment.eject.mask_script import write_mask_script
from netwright.deployment.eject.script import write_script
from netwright.models import build_model
from netwright.tasks.classification import Classification
from netwright.tasks.segmentation import Segmentation

RUFF = Path(sys.executable).with_name("ruff")
TWO = {"ground": 0, "square": 1}
VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)
MANY = {name: f"#{7919 * place:06x}" for place, name in enumerate(VOC.split())}
PARTS: list[dict[str, Any]] = [
    {"name": "random_window", "size": 32},
    {"name": "horizontal_flip", "alternating": True},
    {"name": "affine", "shear": 5},
    *({"name": name} for name in ("vertical_flip", "rotation", "color_jitter", "grayscale", "gaussian_blur")),
    *({"name": name} for name in ("cutout", "random_erasing", "random_crop")),
]
# of each field the longest choice last
CHOICES: dict[str, list[Any]] = {
    "classes": [TWO, MANY],
    "criterion": [name for name in criteria_for("segmentation") if name != "custom"],
    "weights": [None, "balanced"],
    "ignored": [False, True],
    "augmentation": [0.0, 0.5, 1.0],
    "batch_norm": [False, True],
    "dropout": [0.0, 0.1],
    "up": ["bilinear", "transposed"],
    "folders": ["flat", "train alone", "splits"],
    "begun": ["none", "/some/weights.pth"],
    "optimizer": [
        {"name": "adam"},
        {"name": "muon"},
        {"name": "adamw", "betas": [0.8, 0.99], "weight_decay": 0.1},
        {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
    ],
    "lr_scheduler": [
        {"name": "constant"},
        {"name": "constant", "warmup_steps": 10},
        {"name": "step", "warmup_steps": 10},
        {"name": "plateau", "warmup_steps": 5},
        {"name": "linear", "up_fraction": 0.3, "start_fraction": 0.1},
        {"name": "linear", "warmup_steps": 20, "final_fraction": 0.1},
        {"name": "cosine", "warmup_steps": 20, "final_fraction": 0.1},
        {"name": "one_cycle", "up_fraction": 0.2, "start_division": 10, "end_division": 100},
    ],
    "monitor": ["val_loss", "val_accuracy", "val_mean_dice"],
    "patience": [None, 3],
    "clip_norm": [None, 1.0],
    "accumulation_steps": [1, 2],
    "averaging": ["none", "ema"],
    "max_minutes": [None, 3],
    "freeze": ["none", "backbone"],
    "channels": [1, 3],
    "resize": [None, (74, 74), (74, 93)],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folders")
    for name in ("images", "masks"):
        (root / "flat" / name).mkdir(parents=True)
        (root / "train alone" / "train" / name).mkdir(parents=True)
        for split in ("train", "valid", "test"):
            (root / "splits" / split / name).mkdir(parents=True)
    return root


def script(root: Path, chosen: dict[str, Any], encoder: str | None, seed: int) -> str:
    """Write the script of a run that never was."""
    draw = random.Random(seed)
    classes = chosen["classes"]
    binary = "bce" in chosen["criterion"]
    classes = TWO if binary else classes
    parts = [part for part in PARTS if draw.random() < chosen["augmentation"]]
    model: dict[str, Any] = {name: chosen[name] for name in ("batch_norm", "dropout", "up")}
    model |= {"name": "unet", "weights": chosen["begun"]}
    model |= {"depth": 5} if encoder is None else {"encoder": encoder}
    source = str(root / chosen["folders"])
    ignored = [255] if classes is TWO else ["#ffffff"]
    training = ("monitor", "patience", "clip_norm", "accumulation_steps", "averaging", "max_minutes", "freeze")
    recipe = build_recipe(
        {
            "data": {
                **{"source": source, "masks": source, "task": "segmentation", "mask_classes": classes},
                "mask_ignore": ignored if chosen["ignored"] else [],
            },
            "model": model,
            "criterion": {"name": chosen["criterion"], "class_weights": chosen["weights"]},
            "augmentation": parts,
            "optimizer": chosen["optimizer"],
            "lr_scheduler": chosen["lr_scheduler"],
            "training": {name: chosen[name] for name in training},
        }
    )
    num_outputs = 1 if binary else len(classes)
    store = chosen["resize"] or (64, 64)
    size = (64, 64) if store[0] == store[1] else (64, 80)
    statistics = {"mean": (0.48123456789,) * chosen["channels"], "std": (0.3123456789,) * chosen["channels"]}
    resize = None if chosen["resize"] is None else 74
    transform = EvalTransform(
        channels=chosen["channels"], image_size=size, store_size=store, resize=resize, **statistics
    )
    task = Segmentation(tuple(classes), num_outputs)
    about: dict[str, Any] = {"epoch": 1, "metrics": {}, "data": {"name": "squares"}, "temperature": None}
    bundle = Bundle(recipe.model, chosen["channels"], size, task, transform, **about)
    network: nn.Module = nn.Identity()
    if encoder is not None:
        network = build_model(
            recipe.model, in_channels=chosen["channels"], image_size=size, num_outputs=num_outputs, output="logits"
        )
    sizes, counts = {"train": 41, "val": 3, "test": 3}, [100 + place for place in range(len(classes))]
    made = write_mask_script(recipe, bundle, network, sizes, counts, bundle_path=Path("b"), file="x.py")
    compile(made.text, "x.py", "exec")
    return made.text


def check(text: str, path: Path) -> None:
    assert text.count("\n") < 200
    text = re.sub(r"^IMAGES, MASKS = Path.*$", 'IMAGES, MASKS = Path("a"), Path("b")', text, flags=re.M)
    path.write_text(re.sub(r'^IMAGES, MASKS = ".*$', 'IMAGES, MASKS = "a/{}", "b/{}"', text, flags=re.M))
    if RUFF.exists():
        for arguments in (["check", "--isolated"], ["format", "--isolated", "--diff"]):
            done = subprocess.run([RUFF, *arguments, path], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", range(60))
def test_a_script_for_masks(seed: int, root: Path, tmp_path: Path) -> None:
    draw = random.Random(seed)
    chosen = {field: draw.choice(choices) for field, choices in CHOICES.items()}
    check(script(root, chosen, None, seed), tmp_path / "x.py")


@pytest.mark.parametrize("scheduler", CHOICES["lr_scheduler"], ids=lambda scheduler: scheduler["name"])
@pytest.mark.parametrize("criterion", CHOICES["criterion"])
def test_everything_at_once(criterion: str, scheduler: dict[str, Any], root: Path, tmp_path: Path) -> None:
    chosen = {field: choices[-1] for field, choices in CHOICES.items()} | {"classes": TWO}
    chosen |= {"criterion": criterion, "lr_scheduler": scheduler}
    text = script(root, chosen, None, 0)
    check(text, tmp_path / "x.py")
    assert "RandomRotation" in text


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "vgg11", "regnet_y_400mf", "densenet121"])
def test_a_script_with_an_encoder(encoder: str, seed: int, root: Path, tmp_path: Path) -> None:
    draw = random.Random(seed)
    chosen = {field: draw.choice(choices) for field, choices in CHOICES.items()}
    chosen["begun"] = draw.choice([*CHOICES["begun"], "default"])
    check(script(root, chosen, encoder, seed), tmp_path / "x.py")


@pytest.mark.parametrize("encoder", ["resnet18", "regnet_y_400mf", "efficientnet_b0"])
def test_everything_at_once_with_an_encoder(encoder: str, root: Path, tmp_path: Path) -> None:
    chosen = {field: choices[-1] for field, choices in CHOICES.items()} | {"classes": TWO}
    check(script(root, chosen, encoder, 0), tmp_path / "x.py")


def test_all_criteria_are_among_the_choices() -> None:
    assert {*CHOICES["criterion"], "custom"} == {
        name for name in CRITERIA.parts if name in criteria_for("segmentation")
    }


@pytest.mark.parametrize("number", [10, 100, 1000])
def test_a_script_of_many_classes(number: int, tmp_path: Path) -> None:
    names = tuple(f"class number {place}" for place in range(number))
    (tmp_path / "data" / "train" / names[0]).mkdir(parents=True)
    mapping = {
        "data": {"source": str(tmp_path / "data")},
        "model": "linear",
        "criterion": {"name": "cross_entropy", "class_weights": "balanced" if number < 1000 else None},
        "training": {"patience": 3, "clip_norm": 1.0, "accumulation_steps": 2},
    }
    recipe = build_recipe({key: {"name": value} if isinstance(value, str) else value for key, value in mapping.items()})
    network = build_model(recipe.model, in_channels=1, image_size=(8, 8), num_outputs=number, output="logits")
    transform = EvalTransform(channels=1, image_size=(8, 8), store_size=(8, 8), mean=(0.4,), std=(0.3,))
    about: dict[str, Any] = {"epoch": 1, "metrics": {}, "data": {"name": "many"}, "temperature": None}
    bundle = Bundle(recipe.model, 1, (8, 8), Classification(names, "logits", number), transform, **about)
    save_bundle(tmp_path / "bundle", bundle, network.state_dict())
    sizes, counts = {"train": 90 * number}, [90 + place for place in range(number)]
    made = write_script(recipe, bundle, network, sizes, counts, bundle_path=tmp_path / "bundle", file="x.py")
    assert made.text.count("\n") < 200
    module = types.ModuleType("script")
    exec(compile(made.text, "x.py", "exec"), module.__dict__)
    assert module.CLASSES == list(names)
