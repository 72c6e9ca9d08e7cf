"""Weights files as people have them: wrapped, prefixed, damaged, foreign, or able to run code."""

import os
import re
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from netwright.config.models import Head, TorchvisionModel
from netwright.errors import WeightsError
from netwright.files.hashing import sha256_file
from netwright.models.build import build_pretrained
from netwright.models.fitting import load_into
from netwright.models.pretrained import Preprocessing, open_file
from netwright.models.weights_file import read_weights_file


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), flat=nn.Flatten(), head=nn.Linear(8, 3))
    )


def assert_same(found: dict[str, Tensor], network: nn.Module) -> None:
    expected = network.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("kind", ["plain", "legacy", "wrapped", "parallel", "compiled", "safetensors"])
def test_a_state_dict_is_read_however_it_was_saved(kind: str, tmp_path: Path) -> None:
    network, path = small(), tmp_path / f"weights.{'safetensors' if kind == 'safetensors' else 'pth'}"
    state = network.state_dict()
    if kind == "safetensors":
        save_file(dict(state), path)
    elif kind == "wrapped":
        torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, path)
    elif kind == "parallel":
        torch.save({"state_dict": nn.DataParallel(network).state_dict(), "best_prec1": 0.5}, path)
        network.cpu()  # it goes to a GPU where there is one
    elif kind == "compiled":
        torch.save({f"module._orig_mod.{name}": value for name, value in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind != "legacy")
    found = read_weights_file(path)
    if kind == "safetensors":  # sorted by size inside
        assert_same({name: found.weights[name] for name in state}, network)
    else:
        assert_same(found.weights, network)
    assert found.sha256 == sha256_file(path)
    said = "\n".join(found.notices)
    assert ("'module." in said) == (kind in ("parallel", "compiled"))
    assert ("'state_dict' was taken, not: epoch, optimizer" in said) == (kind == "wrapped")


class Dangerous:
    """Loading it as a pickle would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("whole", [True, False])
def test_a_pickle_is_refused_and_not_run(whole: bool, tmp_path: Path) -> None:
    trap, path = tmp_path / "made-by-the-file", tmp_path / "model.pth"
    torch.save(small() if whole else {"state_dict": small().state_dict(), "note": Dangerous(trap)}, path)
    with pytest.raises(WeightsError, match=r"holds Python objects besides tensors.*torch\.save\(model\.state_dict\(\)"):
        read_weights_file(path)
    assert not trap.exists()


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "bad safetensors", "zip", "numbers", "empty dictionary"])
def test_what_is_no_weights_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("weights.safetensors" if kind == "bad safetensors" else "weights.pth")
    torch.save(small().state_dict(), path)
    whole = path.read_bytes()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "hello")
    elif kind == "numbers":
        torch.save({"epoch": 1, "accuracy": 0.5}, path)
    elif kind == "empty dictionary":
        torch.save({}, path)
    else:
        path.write_bytes({"empty": b"", "text": b"no weights\n" * 9, "cut": whole[: len(whole) // 2]}.get(kind, whole))
    with pytest.raises(WeightsError) as error:
        read_weights_file(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.pth can't be read: No such file"):
        read_weights_file(tmp_path / "nothing.pth")


def test_another_number_of_classes_gets_a_new_head() -> None:
    source, target = small(), small()
    target.head = nn.Linear(8, 5)
    fresh = target.head.weight.detach().clone()
    with torch.no_grad():
        source.conv.weight.add_(1)
    fit = load_into(target, source.state_dict(), "it")  # type: ignore[arg-type]
    assert (fit.num_taken, fit.num_tensors, fit.new_head) == (7, 9, True)
    assert fit.left_out == ("head.weight", "head.bias")
    assert torch.equal(target.conv.weight, source.conv.weight)
    assert torch.equal(target.head.weight, fresh)


def test_what_does_not_fit_is_named() -> None:
    source = small().state_dict()
    source["conv.weight"] = torch.zeros(4, 1, 3, 3)
    source["extra.bias"] = source.pop("norm.bias")
    with pytest.raises(WeightsError) as error:
        load_into(small(), source, "the file")  # type: ignore[arg-type]
    said = str(error.value)
    assert "the file does not fit the network Sequential" in said
    assert "1 tensors have another shape: conv.weight is 4×1×3×3 in it and 2×1×3×3 in the network" in said
    assert "1 tensors of the network are not in it: norm.bias" in said
    assert "1 of its tensors have no place in the network: extra.bias" in said


def test_older_files_have_no_count_of_batches() -> None:
    source = {name: value for name, value in small().state_dict().items() if "num_batches" not in name}
    assert not load_into(small(), OrderedDict(source), "it").new_head


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_side_exits_are_left_out(name: str) -> None:
    """torchvision's own files have them, and its constructor takes them with aux_logits."""
    plain = torchvision.models.get_model(name, weights=None, aux_logits=True, init_weights=False)
    ours = torchvision.models.get_model(name, weights=None, aux_logits=False, init_weights=False)
    fit = load_into(ours, plain.state_dict(), "it")
    assert not fit.new_head
    assert fit.left_out and all(entry.startswith(("AuxLogits.", "aux1.", "aux2.")) for entry in fit.left_out)
    assert torch.equal(ours.fc.weight, plain.fc.weight)


def test_older_names_of_densenet_and_vit_are_understood() -> None:
    """As their published files have them: `norm.1` for norm1, and linear_1 for the first layer of an MLP block."""
    densenet = torchvision.models.densenet121(weights=None, num_classes=2)
    old = OrderedDict(
        (re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name), value)
        for name, value in densenet.state_dict().items()
    )
    assert set(old) != set(densenet.state_dict())
    assert load_into(torchvision.models.densenet121(weights=None, num_classes=2), old, "it").num_taken == len(old)
    vit = torchvision.models.VisionTransformer(32, 16, 1, 2, 16, 32, num_classes=2)
    state = vit.state_dict()
    older = OrderedDict(
        (name.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"), v) for name, v in state.items()
    )
    older._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    again = torchvision.models.VisionTransformer(32, 16, 1, 2, 16, 32, num_classes=2)
    assert load_into(again, older, "it").num_taken == len(state)
    assert torch.equal(again.encoder.layers[0].mlp[0].weight, vit.encoder.layers[0].mlp[0].weight)


def test_foreign_weights_of_torchvisions_name_are_refused(data_dir: Path) -> None:
    """A ResNet for CIFAR is not torchvision's, though both have layer1 to layer3."""
    model = TorchvisionModel(name="resnet18")
    pretrained = open_file(model, data_dir / "weights" / "cifar10_resnet20-12fca82f.th")
    assert any("'module.'" in notice for notice in pretrained.notices)
    with pytest.raises(WeightsError) as error:
        build_pretrained(model, pretrained, in_channels=3, image_size=(32, 32), num_outputs=10, output="logits")
    said = str(error.value)
    assert "does not fit the network resnet18:" in said
    assert "conv1.weight is 16×3×3×3 in it and 64×3×7×7 in the network" in said
    assert "layer4.1.bn2.running_var" in said and "linear.bias" in said and "--model" in said


def test_pixels_of_googlenet_are_those_that_its_own_transform_makes() -> None:
    """torchvision undoes ImageNet's normalisation inside the network; ours is given what comes out of that."""
    known = open_published_preprocessing("googlenet")
    torch.manual_seed(1)
    plain = torchvision.models.googlenet(
        weights=None, transform_input=True, aux_logits=False, init_weights=False
    ).eval()
    ours = torchvision.models.googlenet(
        weights=None, transform_input=False, aux_logits=False, init_weights=False
    ).eval()
    ours.load_state_dict(plain.state_dict())
    pixels = torch.rand(2, 3, 64, 64)
    normalize = torchvision.transforms.functional.normalize
    with torch.no_grad():
        expected = plain(normalize(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        torch.testing.assert_close(ours(normalize(pixels, known.mean, known.std)), expected, atol=1e-4, rtol=1e-4)


def open_published_preprocessing(name: str) -> Preprocessing:
    """What a weights file of this architecture is taken to have seen."""
    model = TorchvisionModel(name=name)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(small().state_dict(), path := Path(folder) / "any.pth")
        found = open_file(model, path).preprocessing
    assert found is not None
    return found


@pytest.mark.parametrize("in_channels", [1, 3])
def test_kitten_is_a_tabby(in_channels: int, data_dir: Path) -> None:
    """Real weights from a file, judged by what they are known to say of a picture; gray is the same picture in gray."""
    from PIL import Image

    model = TorchvisionModel(name="squeezenet1_1", head=Head(name="own"))
    pretrained = open_file(model, data_dir / "weights" / "squeezenet1_1_imagenet_tvnorm.pth")
    known = pretrained.preprocessing
    assert known is not None and (known.image_size, known.resize) == ((224, 224), 256)
    network, fit = build_pretrained(
        model, pretrained, in_channels=in_channels, image_size=known.image_size, num_outputs=1000, output="logits"
    )
    assert (fit.num_taken, fit.new_head) == (52, False)
    with Image.open(data_dir / "weights" / "media" / "kitten_224.png") as picture:
        pixels = torchvision.transforms.functional.to_tensor(picture.convert("RGB"))
    images = (pixels - torch.tensor(known.mean)[:, None, None]) / torch.tensor(known.std)[:, None, None]
    with torch.no_grad():
        probabilities = network.eval()(images[None] if in_channels == 3 else images.mean(0)[None, None]).softmax(1)[0]
    names = (data_dir / "weights" / "imagenet_labels.txt").read_text().splitlines()
    assert "tabby" in names[int(probabilities.argmax())]
    if in_channels == 3:
        assert float(probabilities.max()) == pytest.approx(0.94, abs=0.005)
