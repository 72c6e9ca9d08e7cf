"""The runs that are killed: small, quick, and with everything in them that a resumed run could get wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from sklearn.datasets import load_digits

TRAINING: dict[str, Any] = {"epochs": 4, "batch_size": 32, "checkpoint_seconds": 0.05, "seed": 3}
RUNTIME = {"device": "cpu", "threads": 1}

RECIPES: dict[str, dict[str, Any]] = {
    "mlp": {
        "data": {"source": "digits"},
        "model": {"name": "mlp", "hidden_sizes": [64, 32], "dropout": 0.1},
        "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
        "lr_scheduler": {"name": "cosine", "warmup_steps": 20},
        "training": TRAINING | {"eval_every_steps": 15, "patience": 3},
    },
    "cnn": {
        "data": {"source": "pictures"},
        "augmentation": [
            {"name": "random_resized_crop", "scale": [0.5, 1.0]},
            {"name": "horizontal_flip"},
            {"name": "cutout", "size": 4},
            {"name": "mixup"},
        ],
        "model": {"name": "cnn", "channels": [8, 16], "batch_norm": True, "dropout": 0.3},
        "optimizer": {"name": "adam", "lr": 0.01},
        "lr_scheduler": {"name": "one_cycle"},
        "training": TRAINING | {"accumulation_steps": 2, "averaging": "ema", "clip_norm": 1.0},
    },
    # what the backbone says of the images is computed once and kept; only the head is trained
    "features": {
        "data": {"source": "pictures", "image_size": 64},
        "model": {"name": "squeezenet1_1", "head": {"name": "linear", "dropout": 0.2}},
        "optimizer": {"name": "adamw", "lr": 0.01},
        "lr_scheduler": {"name": "plateau", "patience": 0, "factor": 0.5, "threshold": 0.5},
        "training": TRAINING | {"freeze": "backbone"},
    },
}


def write_recipes(folder: Path, weights: Path | None = None) -> dict[str, Path]:
    """Write the recipes and the pictures that two of them are trained on; return the recipes' files by name.

    `weights` is a state dict of torchvision's squeezenet1_1; the recipe that needs it is left out without."""
    write_pictures(folder / "pictures")
    paths = {}
    for name, mapping in RECIPES.items():
        data, model = dict(mapping["data"]), dict(mapping["model"])
        if data["source"] == "pictures":
            data["source"] = str(folder / "pictures")
        if model["name"] == "squeezenet1_1":
            if weights is None:
                continue
            model["weights"] = str(weights)
        paths[name] = folder / f"{name}.yaml"
        whole = mapping | {"data": data, "model": model, "runtime": RUNTIME}
        paths[name].write_text(yaml.safe_dump(whole), encoding="utf-8")
    return paths


def write_pictures(folder: Path, num_images: int = 400) -> None:
    """Write some digits as PNG files of 16 × 16 in class folders."""
    images, targets = load_digits(return_X_y=True)
    for number, (image, target) in enumerate(zip(images[:num_images], targets, strict=False)):
        place = folder / f"digit {target}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = (image.reshape(8, 8) * 15.9).astype(np.uint8)
        Image.fromarray(pixels).resize((16, 16), Image.Resampling.BILINEAR).save(place / f"{number}.png")
