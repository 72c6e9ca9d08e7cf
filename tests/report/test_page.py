"""The HTML report: what it says are the records' numbers, foreign text stays text, and nothing is loaded."""

import html
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.config.recipe import build_recipe
from netwright.evaluation.metrics import classification_metrics
from netwright.evaluation.resampling import resampled_counts
from netwright.files.sealed import read_sealed, write_sealed
from netwright.report.page import Extras, Panel, Picture, render
from netwright.report.records import read_records
from netwright.runs.folder import RunFolder
from netwright.runs.history import rewrite_history
from netwright.runs.outputs import StoredOutputs, save_outputs

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf500f0003860180"
    "5a34eb6b0000000049454e44ae426082"
)
NASTY = [
    "</script><script>alert(1)</script>",
    '"><img src=http://example.com/x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "\u202egnp.exe",
    "lone \ud800 half",
    "bell\x07\x00",
    "&amp;",
    "חתול",
    "a" * 10_000,
    "猫" * 3,
]


def write_run(
    path: Path, class_names: list[str], *, state: str = "done", splits: tuple[str, ...] = ("val",), num: int = 60
) -> RunFolder:
    """A run's folder with records as a training leaves them, made without a training."""
    folder = RunFolder(path)
    (path / "outputs").mkdir(parents=True)
    folder.write_recipe(build_recipe({"data": {"source": "digits"}, "training": {"epochs": 2}}))
    random = np.random.default_rng(0)
    num_classes = len(class_names)
    counts = dict.fromkeys(class_names, 7)
    data: dict[str, Any] = {"name": "made", "fingerprint": "f" * 64, "class_names": class_names, "notices": []}
    data["counts"] = dict.fromkeys(("train", *splits), counts)
    data["split_fingerprints"] = {split: split * 8 for split in ("train", *splits)}
    write(folder.data, data)
    record = {"epoch": 1, "train_loss": 1.23456, "train_accuracy": 0.6123, "lr": 0.1, "train_seconds": 3.0}
    history = [record | ({"val_loss": 0.98765, "val_accuracy": 0.5432} if "val" in splits else {})]
    rewrite_history(folder.history, history)
    write(folder.state, {"state": state, "reason": ""})
    write(folder.environment, {"command": ["/somewhere/private/netwright", "train", "digits"], "python": "3.11.7"})
    metrics: dict[str, Any] = {"best_epoch": 1, "stopped_by": "epochs", "seconds": 3.0}
    names = {}
    for split in splits:
        scores = random.normal(size=(num, num_classes))
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        targets = random.integers(num_classes, size=num)
        metrics[split] = classification_metrics(scores, targets, tuple(class_names), loss=2.0)
        names[split] = [f"{split}/{class_names[target]}/{row}" for row, target in enumerate(targets)]
        stored = StoredOutputs(scores, scores.argmax(1), targets, np.arange(num), np.arange(num), {"split": split})
        save_outputs(folder.outputs_of(split), stored)
    write(folder.split, {"seed": 0, "splits": names})
    write(folder.metrics, metrics)
    return folder


def write(path: Path, value: Any) -> None:
    write_sealed(path, value)


def few_resamples(confusion: Any) -> Any:
    """The bootstrap of 1,000 classes takes 3 s."""
    return resampled_counts(confusion, resamples=20)


class Page(HTMLParser):
    """What a browser sees: tags with their attributes, the headings, the text."""

    VOID = frozenset({"meta", "link", "img", "br", "line", "rect", "circle", "polyline"})

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(content.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(folder: RunFolder, extras: Extras | None = None) -> Page:
    page = Page(render(read_records(folder), extras))
    assert page.open == []
    return page


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path / "run", ["ant", "bee", "cat"])


def test_the_numbers_are_those_of_the_records(run: RunFolder) -> None:
    found = read_sealed(run.metrics)["val"]
    text = page_of(run).text
    low, high = found["accuracy_interval"]
    assert f"{100 * found['accuracy']:.1f} % {100 * low:.1f} to {100 * high:.1f} %, n = 60" in text
    for name, key in (("F1, mean of the classes", "f1_macro"), ("ROC-AUC", "roc_auc")):
        low, high = found["intervals"][key]
        assert f"{name} {found[key]:.3f} {low:.3f} to {high:.3f}" in text
    assert f"Calibration error {100 * found['calibration']['ece']:.1f} %" in text
    for row, name in zip(found["confusion_matrix"], ("ant", "bee", "cat"), strict=True):
        assert " ".join([name, *map(str, row)]) in text
    for each in found["per_class"]:
        assert f"{each['label']} {100 * each['recall']:.1f} %" in text
    assert "1 (best) 1.235 0.9877 61.2 % 54.3 % 0.1 3.0 s" in text


def test_mistakes_are_the_most_confident_ones_with_their_names(run: RunFolder) -> None:
    from netwright.runs.outputs import load_outputs

    outputs = load_outputs(run.outputs_of("val"))
    scores = np.exp(outputs.answers.astype(float))
    wrong = [row for row in range(60) if outputs.predictions[row] != outputs.targets[row]]
    worst = max(wrong, key=lambda row: scores[row].max())
    label, said = (["ant", "bee", "cat"][each[worst]] for each in (outputs.targets, outputs.predictions))
    text = page_of(run).text
    assert f"{said} {100 * scores[worst].max():.1f} %; label {label}" in text
    first = text.index("The most confident mistakes")
    assert text.index(f"val/{label}/{worst}", first) == min(
        text.index(f"val/{name}/{row}", first)
        for row in wrong
        for name in [["ant", "bee", "cat"][outputs.targets[row]]]
        if f"val/{name}/{row}" in text
    )


def test_foreign_text_stays_text(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", NASTY, splits=("val", "test"))
    extras = Extras(panels=[Panel(NASTY[0], NASTY[1], [(Picture(PNG, 1, 1), NASTY[1])])], missing=NASTY[0])
    content = render(read_records(run), extras)
    page = Page(content)
    assert not page.open
    assert not page.all("script")
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert all((image["src"] or "").startswith("data:image/") for image in page.all("img"))
    assert "</script><script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    text = content.decode("utf-8")
    assert "&amp;amp;" in text
    assert not set("\u202e\x00\x07") & set(text)
    assert "lone \ufffd half" in page.text
    assert "חתול" in page.text
    assert "a" * 200 not in text


def test_nothing_is_loaded_from_anywhere(run: RunFolder) -> None:
    extras = Extras(pictures={"val": {row: Picture(PNG, 1, 1) for row in range(60)}})
    page = page_of(run, extras)
    assert page.all("img")
    addresses = [each.get(name) or "" for _, each in page.tags for name in ("src", "href", "srcset", "action", "data")]
    assert all(address.startswith(("data:", "#")) for address in addresses if address)
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    styles = html.unescape(render(read_records(run)).decode().split("<style>")[1].split("</style>")[0])
    assert "url(" not in styles
    assert "@import" not in styles


def test_headings_are_in_order_and_pictures_are_described(run: RunFolder) -> None:
    extras = Extras(pictures={"val": {row: Picture(PNG, 1, 1) for row in range(60)}})
    page = page_of(run, extras)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(image.get("alt") for image in page.all("img"))
    assert all(chart.get("role") == "img" and chart.get("aria-label") for chart in page.all("svg"))
    assert page.all("html")[0]["lang"] == "en"
    keys = [each["id"] for _, each in page.tags if "id" in each]
    assert len(keys) == len(set(keys))
    assert {(link["href"] or "")[1:] for link in page.all("a")} <= set(keys)


def test_many_classes_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.evaluation.averages.resampled_counts", few_resamples)
    names = [f"{number} " + "long name " * 1000 for number in range(1000)]
    run = write_run(tmp_path / "run", names, num=3000)
    content = render(read_records(run))
    assert len(content) < 5_000_000
    page = Page(content)
    assert "The 30 classes with the lowest F1" in page.text
    assert "The classes that are mixed up most (20 pairs)" in page.text
    assert not [each for each in page.all("table") if each.get("class") == "matrix"]


def test_a_run_without_val_says_so(tmp_path: Path) -> None:
    text = page_of(write_run(tmp_path / "run", ["ant", "bee"], splits=())).text
    assert "none yet no split was judged: there is no val split" in text
    assert "Epoch 1 is the one that is kept, the last: there is no val split" in text
    assert "Results" not in text.replace("results", "")


@pytest.mark.parametrize("state", ["failed", "interrupted", "running"])
def test_an_unfinished_run_says_so(run: RunFolder, state: str) -> None:
    write(run.state, {"state": state, "reason": "the loss is <b>not</b> finite"})
    run.metrics.unlink()
    text = page_of(run).text
    # running without a living process is interrupted
    expected = {"failed": "This run failed after 1 epoch: the loss is <b>not</b> finite"}
    assert expected.get(state, "This run was interrupted after 1 epoch") in text
    assert "netwright resume" in text


def test_damaged_files_are_named(run: RunFolder) -> None:
    for path in (run.metrics, run.environment, run.outputs_of("val")):
        path.write_text("{")
    run.recipe.write_text("data: [")
    text = page_of(run).text
    for name in ("recipe.yaml", "environment.json", "metrics.json", "outputs/val.safetensors"):
        assert name in text.split("Not readable:")[1][:200]


def test_damaged_data_json_leaves_the_numbers(run: RunFolder) -> None:
    found = read_sealed(run.metrics)["val"]
    run.data.write_text("{")
    text = page_of(run).text
    assert "Not readable: data.json" in text
    assert f"{100 * found['accuracy']:.1f} %" in text


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_recipe(build_recipe({}))
    assert "This run was interrupted after 0 epochs" in page_of(folder).text


def test_test_is_sealed_until_it_was_looked_at(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ["ant", "bee"], splits=("val", "test"))
    metrics = read_sealed(run.metrics)
    test = metrics.pop("test")
    write(run.metrics, metrics)
    assert "sealed n = 14; not looked at by this run" in page_of(run).text
    looks = {"number": 3, "networks": 2, "optimism": 0.0123, "notices": []}
    write(run.metrics, metrics | {"test": test | {"looks": looks}})
    text = page_of(run).text
    assert "not looked at by this run" not in text
    assert "looked at 3 times , with 2 networks: the best of so many is too high by up to 1.2 points" in text


def test_allowed_leaks_are_said_first(run: RunFolder) -> None:
    write(run.metrics, read_sealed(run.metrics) | {"leaks_allowed": 12})
    text = page_of(run).text
    assert text.index("Leaks were allowed: 12") < text.index("What was asked")


def test_the_command_has_no_path_of_the_program(run: RunFolder) -> None:
    text = page_of(run).text
    assert "netwright train digits" in text
    assert "private" not in text


def test_layers_are_a_table(run: RunFolder) -> None:
    layer = {"name": "0", "kind": "Conv2d", "output_shapes": [[None, 8, 4, 4]], "num_parameters": 80, "num_frozen": 0,
             "num_calls": 1, "own": False}  # fmt: skip
    layers = {"kind": "Cnn", "input_shape": [1, 8, 8], "layers": [layer], "num_parameters": 80, "num_frozen": 0}
    text = page_of(run, Extras(layers=layers)).text
    assert "0 Conv2d N × 8 × 4 × 4 80" in text
    assert "80 parameters" in text


def test_it_is_made_without_torch_and_matplotlib(run: RunFolder, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from netwright.report.page import render; from netwright.report.records import read_records\n"
        "from netwright.runs.folder import RunFolder; from pathlib import Path\n"
        f"render(read_records(RunFolder(Path({str(run.path)!r}))))\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
