"""The ejected script: plain PyTorch that loads the run's weights, answers as the run does, and learns as well."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision import models, transforms

import netwright as nw
from netwright.cli.main import run as netwright
from netwright.config.library import read_recipe_file, shipped_recipes
from netwright.config.recipe import Recipe, build_recipe, num_outputs_for, output_for
from netwright.data.transform import EvalTransform
from netwright.deployment.bundle import Bundle, load_golden, save_bundle
from netwright.deployment.eject.script import write_script
from netwright.deployment.golden import Golden, blends, golden_outputs
from netwright.errors import InputError
from netwright.models import build_model
from netwright.tasks.classification import Classification, build_batch_loss
from netwright.workflows.eject import eject

SHAPES = {"digits": (1, 8), "mnist": (1, 28), "fashion-mnist": (1, 28), "cifar10": (3, 32)}
QUICK: dict[str, Any] = {"epochs": 1, "threads": 1, "device": "cpu", "quiet": True}
RUFF = Path(sys.executable).with_name("ruff")


def script_of(recipe: Recipe, folder: Path, *, shape: tuple[int, int] | None = None) -> str:
    """Write the script of a recipe with random weights, and the bundle beside it."""
    channels, side = shape or SHAPES.get(recipe.data.source, (3, 32))
    side = recipe.data.image_size or side
    assert isinstance(side, int)
    names = recipe.data.classes or tuple(str(k) for k in range(10))
    num_outputs, output = num_outputs_for(recipe.criterion, len(names)), output_for(recipe.criterion)
    torch.manual_seed(0)
    network = build_model(
        recipe.model, in_channels=channels, image_size=(side, side), num_outputs=num_outputs, output=output
    ).eval()
    geometry = {"image_size": (side, side), "store_size": (recipe.transform.resize or side,) * 2}
    transform = EvalTransform(
        channels=channels,
        **geometry,
        mean=(0.4,),
        std=(0.3,),
        views=recipe.transform.views,
        resize=recipe.transform.resize,
    )
    images = blends(torch.randint(0, 256, (64, side, side, channels), dtype=torch.uint8))
    golden = Golden("synthetic", images, golden_outputs(network, transform, None, images))
    task = Classification(names, output, num_outputs)
    about = {"epoch": 1, "metrics": {}, "data": {"name": recipe.data.source}, "temperature": 1.3}
    bundle = Bundle(recipe.model, channels, (side, side), task, transform, **about)
    save_bundle(folder / "bundle", bundle, network.state_dict(), golden)
    sizes = {"train": 90 * len(names), "val": 10 * len(names), "test": 10 * len(names)}
    if recipe.split.val == 0:
        del sizes["val"]
    of_class = [90] * len(names)
    made = write_script(recipe, bundle, network, sizes, of_class, bundle_path=folder / "bundle", file="script.py")
    (folder / "script.py").write_text(made.text)
    return made.text


def run_script(text: str) -> types.ModuleType:
    module = types.ModuleType("script")
    exec(compile(text, "script.py", "exec"), module.__dict__)
    module.DEVICE = torch.device("cpu")  # type: ignore[attr-defined]  # as the golden logits were computed
    return module


def answers(script: Any, images: torch.Tensor) -> torch.Tensor:
    """What the script says of golden images, through its own transforms."""
    ready = transforms.Compose(script.to_tensor)
    batch = torch.stack([ready(Image.fromarray(image.numpy().squeeze())) for image in images])
    return script.outputs_of(script.load_bundle(script.build_model()), batch)


def check_layout(path: Path) -> None:
    """Under 200 lines, and nothing that ruff would change or complain of; it is there where there is lint."""
    text = re.sub(r'^(ROOT|BUNDLE) = ".*"$', r'\1 = "a folder"', path.read_text(), flags=re.MULTILINE)
    path = path.with_name("short_paths.py")  # ruff would lay out long ones otherwise
    path.write_text(text)
    assert text.count("\n") < 200
    assert "netwright" not in re.sub(r'""".*?"""', "", text, count=1, flags=re.DOTALL)
    if RUFF.exists():
        for arguments in (["check", "--isolated"], ["format", "--isolated", "--check"]):
            done = subprocess.run([RUFF, *arguments, path], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


OF_IMAGES = sorted(
    name for name, path in shipped_recipes().items() if not {"target", "masks"} & read_recipe_file(path)["data"].keys()
)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_recipe_becomes_a_script_that_answers_alike(name: str, tmp_path: Path) -> None:
    recipe = build_recipe(read_recipe_file(shipped_recipes()[name]))
    script = run_script(script_of(recipe, tmp_path))
    check_layout(tmp_path / "script.py")
    golden = load_golden(tmp_path / "bundle")
    assert golden is not None
    torch.testing.assert_close(answers(script, golden.images), golden.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 80, 84, 200])
def test_the_script_is_as_long_wherever_the_bundle_lies(length: int, tmp_path: Path) -> None:
    recipe = build_recipe({"data": {"source": "mnist"}, "model": {"name": "linear"}})
    network = build_model(recipe.model, in_channels=1, image_size=(28, 28), num_outputs=10, output="logits")
    transform = EvalTransform(channels=1, image_size=(28, 28), store_size=(28, 28), mean=(0.4,), std=(0.3,))
    task = Classification(tuple("0123456789"), "logits", 10)
    bundle = Bundle(recipe.model, 1, (28, 28), task, transform, epoch=1, metrics={}, data={}, temperature=None)

    def num_lines(path: str) -> int:
        there = build_recipe({"data": {"source": "mnist", "root": path}, "model": {"name": "linear"}})
        made = write_script(there, bundle, network, {"train": 90}, [9] * 10, bundle_path=Path(path), file="script.py")
        return made.text.count("\n")

    assert num_lines("b" * length) == num_lines("b")


OTHERS: dict[str, dict[str, Any]] = {
    "binary": {"criterion": "bce", "model": {"name": "mlp", "activation": "maxout"}, "data": {"classes": ["3", "5"]}},
    "binary logits": {"criterion": "bce_with_logits", "data": {"classes": ["3", "5"]}, "model": "linear"},
    "weighted": {
        "criterion": {"name": "bce", "class_weights": [1, 3]},
        "data": {"classes": ["3", "5"]},
        "model": {"name": "mlp"},
    },
    "weighted logits": {
        "criterion": {"name": "bce_with_logits", "class_weights": "balanced"},
        "data": {"classes": ["3", "5"]},
        "model": "linear",
    },
    "even": {
        "model": {"name": "cnn", "channels": [4, 6], "kernel_size": 4, "pooling": "average", "classifier_sizes": [9]},
        "transform": {"views": "mirror"},
        "lr_scheduler": {"name": "cosine", "warmup_steps": 20},
        "criterion": {"name": "cross_entropy", "class_weights": "balanced"},
    },
    "every part": {
        "augmentation": [
            *({"name": name} for name in ("random_crop", "horizontal_flip", "vertical_flip", "rotation", "affine")),
            *({"name": name} for name in ("color_jitter", "grayscale", "gaussian_blur", "cutout", "random_erasing")),
            *({"name": name} for name in ("rand_augment", "trivial_augment_wide")),
        ],
        "training": {"accumulation_steps": 2, "clip_norm": 1.0, "patience": 3, "monitor": "val_accuracy"},
        "lr_scheduler": {"name": "plateau"},
        "model": "linear",
    },
    "stepped": {"lr_scheduler": {"name": "step", "warmup_steps": 5}, "optimizer": "rmsprop", "model": "linear"},
    "triangle": {"lr_scheduler": {"name": "linear", "up_fraction": 0.2}, "optimizer": "adagrad", "model": "linear"},
    "small alexnet": {"model": "alexnet", "criterion": "nll"},
    "mnasnet": {"model": "mnasnet0_5", "data": {"image_size": 32}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_parts_too(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written, run for an epoch in this process, and compared on the golden samples."""
    given = {key: {"name": value} if isinstance(value, str) else value for key, value in OTHERS[name].items()}
    given["training"] = {"epochs": 1, "batch_size": 64, **given.get("training", {})}
    recipe = build_recipe({"data": {"source": "digits"} | given.pop("data", {}), **given})
    script = run_script(script_of(recipe, tmp_path))
    check_layout(tmp_path / "script.py")
    golden = load_golden(tmp_path / "bundle")
    assert golden is not None
    torch.testing.assert_close(answers(script, golden.images), golden.logits, atol=1e-5, rtol=1e-5)
    if name in ("small alexnet", "mnasnet"):
        return  # 57 million parameters; many layers
    monkeypatch.chdir(tmp_path)
    before = {key: value.clone() for key, value in script.build_model().state_dict().items()}
    trained = script.train().state_dict()
    assert trained.keys() == before.keys()
    assert any(not torch.equal(trained[key], before[key]) for key in before)


@pytest.mark.parametrize(("monitor", "mode"), [("val_loss", "min"), ("val_accuracy", "max")])
def test_plateau_waits_for_what_is_watched(
    monitor: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"epochs": 1, "monitor": monitor}
    mapping = {"data": {"source": "digits"}, "model": {"name": "linear"}, "lr_scheduler": {"name": "plateau"}}
    script: Any = run_script(script_of(build_recipe({**mapping, "training": training}), tmp_path))
    made = []

    class Recorded(torch.optim.lr_scheduler.ReduceLROnPlateau):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            made.append(self.mode)

    monkeypatch.setattr(torch.optim.lr_scheduler, "ReduceLROnPlateau", Recorded)
    monkeypatch.chdir(tmp_path)
    script.train()
    assert made == [mode]


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_the_weights_of_two_classes_are_the_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its criterion, caught where training begins, against ours."""
    criterion = {"name": name, "class_weights": [0.5, 3.0]}
    recipe = build_recipe(
        {"data": {"source": "digits", "classes": ["3", "5"]}, "model": "linear", "criterion": criterion}
    )
    script: Any = run_script(script_of(recipe, tmp_path))

    class Caught(Exception):
        pass

    def caught(model: Any, loader: Any, criterion: Any, *others: Any) -> None:
        raise Caught(criterion)

    script.run_epoch = caught
    with pytest.raises(Caught) as found:
        script.train()
    outputs, targets = torch.rand(9, 1), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])
    expected, _ = build_batch_loss(recipe.criterion, torch.tensor([90, 90]), torch.device("cpu"))(outputs, targets)
    torch.testing.assert_close(found.value.args[0](outputs[:, 0], targets.float()), expected)


@pytest.mark.parametrize(
    ("name", "head"),
    [("squeezenet1_1", head) for head in ("linear", "hidden", "concat_pool")]
    + [("mobilenet_v3_small", "hidden"), ("resnet18", "concat_pool")],
)
def test_another_head_takes_the_place_of_the_networks_own(name: str, head: str, tmp_path: Path) -> None:
    model = {"name": name, "head": head}
    recipe = build_recipe({"data": {"source": "cifar10"}, "model": model, "training": {"freeze": "backbone"}})
    script = run_script(script_of(recipe, tmp_path, shape=(3, 32)))
    check_layout(tmp_path / "script.py")
    golden = load_golden(tmp_path / "bundle")
    assert golden is not None
    torch.testing.assert_close(answers(script, golden.images), golden.logits, atol=1e-5, rtol=1e-5)


def test_a_frozen_backbone_of_ones_own_file_is_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linear layer on random features learns nothing of what the run did."""
    draw = np.random.default_rng(0)
    for label in ("ants", "bees"):
        (tmp_path / "insects" / label).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "insects" / label / f"{number}.png")
    torch.manual_seed(7)
    theirs = models.squeezenet1_1().state_dict()
    torch.save(theirs, tmp_path / "theirs.pth")
    model = {"name": "squeezenet1_1", "weights": str(tmp_path / "theirs.pth"), "head": "linear"}
    run = nw.train(
        str(tmp_path / "insects"), model=model, freeze="backbone", image_size=32, out=tmp_path / "run", **QUICK
    )
    eject(run.path, tmp_path / "script.py")
    check_layout(tmp_path / "script.py")
    text = (tmp_path / "script.py").read_text()
    assert "random" not in text.split('"""')[1]
    monkeypatch.chdir(tmp_path)
    trained = run_script(text).train().state_dict()
    for name, values in trained.items():
        if name.startswith("features."):
            torch.testing.assert_close(values, theirs[name], atol=0, rtol=0)
    assert sum(name.startswith("features.") for name in trained) == len(theirs) - 2  # all but its classifier


BLOCKED = """
import sys
sys.modules["netwright"] = None  # importing it fails
sys.argv = sys.argv[1:]
import runpy
script = runpy.run_path(sys.argv[0], run_name=sys.argv.pop(1))
"""


def run_without_us(path: Path, *arguments: str, name: str = "__main__", more: str = "") -> str:
    """Run a script in a process of its own that can't import netwright."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + more, path, name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ALL_OF_IT = """
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import transforms
golden = load_file(sys.argv[1])
ready = transforms.Compose(script["to_tensor"])
batch = torch.stack([ready(Image.fromarray(image.numpy().squeeze())) for image in golden["images"]])
save_file({"logits": script["outputs_of"](script["load_bundle"](script["build_model"]()), batch)}, sys.argv[2])
script["predict"](["digit.png"])
script["train"]()
"""


def test_without_netwright_it_answers_and_learns_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The digits recipe, in a process that can't import netwright: its accuracy is one that its seeds reach."""
    settings = {"epochs": 4, "threads": 1, "device": "cpu", "quiet": True}
    seeds = [nw.train("digits", seed=seed, out=tmp_path / str(seed), **settings) for seed in range(3)]
    assert netwright(["eject", str(seeds[0].path), "--out", str(tmp_path / "script.py")]) == 0
    assert "lines)" in capsys.readouterr().out
    bundle = seeds[0].path / "bundle"
    golden = load_file(bundle / "golden.safetensors")
    Image.fromarray(golden["images"][0].numpy().squeeze()).save(tmp_path / "digit.png")
    arguments = (str(bundle / "golden.safetensors"), str(tmp_path / "made"))
    said = run_without_us(tmp_path / "script.py", *arguments, name="script", more=ALL_OF_IT)

    torch.testing.assert_close(load_file(tmp_path / "made")["logits"], golden["logits"], atol=1e-5, rtol=1e-5)
    (answer,) = seeds[0].predict([tmp_path / "digit.png"])
    assert f"digit.png: {answer['label']} ({answer['probability']:.1%})\n" in said
    accuracies = [float(found) / 100 for found in re.findall(r"val loss .*, ([\d.]+)% right", said)]
    ours = [each.metrics["val"]["accuracy"] for each in seeds]
    spread = max(np.std(ours, ddof=1), np.sqrt(0.03 * 0.97 / 270))  # of seeds, and of which 270 images are val
    assert len(accuracies) == 4
    assert abs(accuracies[-1] - np.mean(ours)) < 4 * spread


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_mnist_recipe_learns_as_well(data_dir: Path, tmp_path: Path) -> None:
    seeds = [
        nw.train("mnist-cnn", epochs=2, seed=s, data_root=str(data_dir), quiet=True, out=tmp_path / str(s))
        for s in (0, 1)
    ]
    eject(seeds[0].path, tmp_path / "script.py")
    found = re.findall(r"val loss .*, ([\d.]+)% right", run_without_us(tmp_path / "script.py"))
    ours = [each.metrics["val"]["accuracy"] for each in seeds]
    assert abs(float(found[-1]) / 100 - np.mean(ours)) < max(4 * np.std(ours, ddof=1), 4 * np.sqrt(0.03 * 0.97 / 6000))


def test_a_folder_of_photographs(tmp_path: Path) -> None:
    """Class folders, random resized crop: train on them in plain PyTorch, and predict a file alike."""
    draw = np.random.default_rng(0)
    for label, level in (("dark", 60), ("light", 190)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(14):
            pixels = draw.integers(level - 50, level + 50, (30, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{number}.png")
    run = nw.train(
        str(tmp_path / "pictures"),
        model={"name": "cnn", "channels": [4]},
        augmentation=[{"name": "random_resized_crop"}, {"name": "horizontal_flip"}],
        image_size=24,
        epochs=1,
        threads=1,
        quiet=True,
        out=tmp_path / "run",
    )
    eject(run.path, tmp_path / "script.py")
    check_layout(tmp_path / "script.py")
    one = tmp_path / "pictures" / "dark" / "0.png"
    assert "test loss" in run_without_us(tmp_path / "script.py")
    label = re.match(r".*: (\w+) \(", run_without_us(tmp_path / "script.py", str(one)))
    assert label is not None
    assert label[1] == run.predict([one])[0]["label"]


def test_what_it_can_not_write_is_refused(trained: nw.Run, digits: np.ndarray, tmp_path: Path) -> None:
    arrays = nw.train(
        (digits, np.arange(40) % 2), model="linear", epochs=1, out=tmp_path / "own", threads=1, quiet=True
    )
    with pytest.raises(InputError, match="eject can't open in plain PyTorch"):
        eject(arrays.path, tmp_path / "script.py")
    (tmp_path / "mine.py").write_text("my work")
    with pytest.raises(InputError, match="exists already; nothing was overwritten"):
        eject(trained.path, tmp_path / "mine.py")
    assert (tmp_path / "mine.py").read_text() == "my work"
    assert not (tmp_path / "script.py").exists()
