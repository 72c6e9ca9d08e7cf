"""Make the README's picture again: what a run on the digits says of test images, three right and three wrong.

python examples/readme_picture.py [RUN]     a finished run on digits; without RUN one is trained
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import netwright as nw
from netwright.cli.main import run as netwright

IMAGES = Path("runs/readme-images")
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "predictions.png"
EACH = 3


def main() -> None:
    run = nw.load(sys.argv[1]) if len(sys.argv) > 1 else nw.train("digits")
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    rows = np.array(json.loads((run.path / "split.json").read_text())["splits"]["test"])
    said = np.array([int(answer["label"]) for answer in run.predict(pixels[rows])])
    right = said == digits.target[rows]
    first = np.unique(digits.target[rows[right]], return_index=True)[1]  # of each class
    IMAGES.mkdir(parents=True, exist_ok=True)
    paths = []
    for row in [*rows[right][first[:EACH]], *rows[~right][:EACH]]:
        paths.append(str(IMAGES / f"truth {digits.target[row]}, row {row}.png"))
        Image.fromarray(pixels[row]).save(paths[-1])
    PICTURE.parent.mkdir(exist_ok=True)
    sys.exit(netwright(["predict", str(run.path), *paths, "--plot", str(PICTURE)]))


if __name__ == "__main__":
    main()
