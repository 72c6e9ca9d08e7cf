"""The road in one minute: train on the embedded digits, judge once on the test split, predict some images.

`make demo` runs this. No download; the run is kept under runs/, a new folder each time.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import netwright as nw

IMAGES = Path("runs/demo-images")
NUM_IMAGES = 6
TIMES = 8  # larger, so that a person sees something; the prediction scales it down again


def save_images(rows: Sequence[int]) -> list[Path]:
    """Write some digits as PNG files, as an image to predict would come: white on black, 64 x 64 pixels."""
    digits = load_digits()
    IMAGES.mkdir(parents=True, exist_ok=True)
    paths = []
    for row in rows:
        pixels = np.round(digits.images[row] * (255 / 16)).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((8 * TIMES, 8 * TIMES), Image.Resampling.NEAREST)
        path = IMAGES / f"digit-{digits.target[row]}-row-{row}.png"
        picture.save(path)
        paths.append(path)
    return paths


def main() -> None:
    run = nw.train("digits")
    test = run.evaluate("test")["metrics"]

    unseen = json.loads((run.path / "split.json").read_text())["splits"]["test"]
    print("\npredicted from image files that it was not trained on:")
    for prediction in run.predict(save_images(unseen[:: len(unseen) // NUM_IMAGES][:NUM_IMAGES])):
        print(f"  {prediction['source']:40} {prediction['label']}  {prediction['probability']:6.1%}")

    low, high = test["accuracy_interval"]
    print(
        f"\ntest accuracy {test['accuracy']:.1%} ({low:.1%} to {high:.1%}) on {test['num_samples']} images kept aside"
    )
    print(f"the run is in {run.path}: recipe, history, plots, and the network in {run.path / 'bundle'}")
    print("\nnext, with your own images, one folder a class:")
    print("  . .venv/bin/activate")
    print("  netwright train FOLDER")
    print(f"  netwright predict {run.path} {IMAGES}")


if __name__ == "__main__":
    main()
