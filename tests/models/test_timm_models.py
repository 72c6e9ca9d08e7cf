"""timm's networks under names of ours: built, cut, given heads and weights, with their own preprocessing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from netwright.config.models import Head, TorchvisionModel
from netwright.errors import MachineError, RecipeError
from netwright.files.hashing import sha256_file
from netwright.models import build_model
from netwright.models.backbone import split
from netwright.models.build import build_pretrained
from netwright.models.download import weights_folder
from netwright.models.pretrained import open_file, open_published
from netwright.models.stages import stages_of

timm = pytest.importorskip("timm")
NAMES = ["resnet10t", "mobilenetv3_small_050", "convnext_atto", "vit_tiny_patch16_224"]
SIZES = {"vit_tiny_patch16_224": 224}


def built(name: str, head: Head | None = None, side: int = 64, channels: int = 3) -> torch.nn.Module:
    model = TorchvisionModel(name=f"timm/{name}", head=head)
    return build_model(model, in_channels=channels, image_size=(side, side), num_outputs=5, output="logits").eval()


@pytest.mark.parametrize("name", NAMES)
def test_backbone_and_head_are_the_whole_network(name: str) -> None:
    side = SIZES.get(name, 64)
    for head in (None, Head(), Head(name="hidden", sizes=(6,))):
        network = built(name, head, side)
        images = torch.randn(2, 3, side, side)
        backbone, found = split(network)
        with torch.no_grad():
            assert torch.equal(found(backbone(images)), network(images))
            assert network(images).shape == (2, 5)
    stages = stages_of(network)
    assert len(stages) > 3
    assert all(sum(stage.holds(key) for stage in stages) == 1 for key, _ in network.named_parameters())


def test_concat_pool_is_timms_own_pooling() -> None:
    network = built("resnet10t", Head(name="concat_pool", sizes=(6,)))
    backbone, _ = split(network)
    plain = timm.create_model("resnet10t", pretrained=False, num_classes=5, global_pool="").eval()
    missing = plain.load_state_dict(network.state_dict(), strict=False).missing_keys
    assert not [name for name in missing if not name.startswith("fc")]
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        places = plain.forward_features(images)
        expected = torch.cat([places.mean((2, 3)), places.amax((2, 3))], dim=1)
        torch.testing.assert_close(backbone(images), expected)


def test_a_vision_transformer_takes_another_size() -> None:
    assert built("vit_tiny_patch16_224", side=32, channels=1)(torch.zeros(2, 1, 32, 32)).shape == (2, 5)


def test_weights_from_a_file_bring_timms_preprocessing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    torch.save(plain.state_dict(), tmp_path / "weights.pth")
    model = TorchvisionModel(name="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", head=Head())
    pretrained = open_file(model, tmp_path / "weights.pth")
    known = pretrained.preprocessing
    assert known is not None
    configuration = timm.get_pretrained_cfg("vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    assert (known.mean, known.std) == (configuration.mean, configuration.std) == ((0.5,) * 3, (0.5,) * 3)
    assert (known.image_size, known.resize) == ((224, 224), int(224 / configuration.crop_pct))
    network, fit = build_pretrained(
        model, pretrained, in_channels=3, image_size=(224, 224), num_outputs=4, output="logits"
    )
    assert fit.new_head
    assert torch.equal(network.state_dict()["blocks.3.mlp.fc1.weight"], plain.state_dict()["blocks.3.mlp.fc1.weight"])


def test_unknown_names_and_arguments_are_explained() -> None:
    with pytest.raises(RecipeError, match=r"timm has none of that name"):
        built("resnet_ten")
    model = TorchvisionModel(name="timm/resnet10t", arguments={"no_such": 1})
    with pytest.raises(RecipeError, match=r"timm's resnet10t says: .*no_such"):
        build_model(model, in_channels=3, image_size=(64, 64), num_outputs=5, output="logits")


def test_published_weights_are_read_from_what_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file lies where a download puts it, in timm's own layout; the download itself is tested beside."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.manual_seed(2)
    plain = timm.create_model("resnet10t", pretrained=False)
    weights_folder().mkdir(parents=True)
    tag = timm.get_pretrained_cfg("resnet10t").tag
    save_file(plain.state_dict(), weights_folder() / f"resnet10t.{tag}.safetensors")
    pretrained = open_published(TorchvisionModel(name="timm/resnet10t", weights="default"))
    assert all(torch.equal(pretrained.weights[name], value) for name, value in plain.state_dict().items())
    assert pretrained.sha256 == sha256_file(weights_folder() / f"resnet10t.{tag}.safetensors")
    assert pretrained.title == f"timm's resnet10t.{tag}"


def test_weights_that_can_not_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("https_proxy", "HTTPS_PROXY"):  # nobody listens there
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(MachineError) as error:
        open_published(TorchvisionModel(name="timm/resnet10t", weights="default"))
    for words in ("could not be downloaded", "https://huggingface.co/timm/resnet10t", "--weights PATH"):
        assert words in str(error.value)
