"""The loops that ours is compared with: the same networks, the same pixels, and a training that learns the same."""

import numpy as np
import torch
from torch import nn
from torchvision.transforms import v2

from benchmarks.sides.best_loop import PADDING, CropAndFlip, Plain, build, train_epoch
from benchmarks.sides.networks import build_network
from benchmarks.sides.pictures import Pictures, build_transform
from benchmarks.works import LEARNING_RATE, works
from netwright.models import build_model
from netwright.workflows.plan import plan_recipe

MEAN_STD = (0.5, 0.25)


def pixels_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_the_networks_and_the_optimizer_are_those_of_the_recipes() -> None:
    for work in works(False).values():
        recipe = plan_recipe(work.recipe, [])
        size, channels = ((28, 28), 1) if work.data == "mnist" else ((32, 32), 3)
        ours = build_model(recipe.model, in_channels=channels, image_size=size, num_outputs=10, output="logits")
        theirs = build_network(work.recipe)
        weights = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
        assert all(a.shape == b.shape for a, b in weights)
        images = torch.rand(2, channels, *size)
        torch.testing.assert_close(ours(images), theirs(images))
        assert (recipe.optimizer.name, recipe.optimizer.lr) == ("adam", LEARNING_RATE)
        assert tuple(recipe.transform.normalize) == work.mean_std


def test_all_sides_see_the_same_pixels() -> None:
    for work in (works(False)["mnist-cnn"], works(False)["cifar10-cnn"]):
        pixels = pixels_of(4, 28, 28) if work.data == "mnist" else pixels_of(4, 32, 32, 3)
        pictures = Pictures(pixels, np.arange(4), build_transform(work, training=True))
        images = Plain(pixels, work.mean_std)(torch.tensor([2, 0]))
        torch.testing.assert_close(images[0], pictures[2][0])
        torch.testing.assert_close(images[1], pictures[0][0])


def test_crops_and_flips_are_torchvision_s() -> None:
    pixels = pixels_of(300, 8, 8, 3)
    cut = CropAndFlip(pixels, MEAN_STD)(torch.arange(300))
    whole = v2.functional.pad(torch.from_numpy(pixels).permute(0, 3, 1, 2), [PADDING] * 4)
    plain = v2.functional.normalize(v2.functional.to_dtype(whole, scale=True), [0.5] * 3, [0.25] * 3)
    drawn = set()
    for row in range(300):
        found = [
            (top, left, flipped)
            for top in range(9)
            for left in range(9)
            for flipped in (False, True)
            if torch.allclose(_window(plain[row], top, left, flipped), cut[row], atol=1e-5)
        ]
        assert found, f"image {row} is no window of its padded self"
        drawn.add(found[0])
    assert len(drawn) > 100  # of 162: each image has its own


def _window(image: torch.Tensor, top: int, left: int, flipped: bool) -> torch.Tensor:
    window = v2.functional.crop(image, top, left, 8, 8)
    return v2.functional.horizontal_flip(window) if flipped else window


def test_the_hand_written_loop_learns_what_a_plain_loop_learns() -> None:
    torch.manual_seed(0)
    pixels, targets = pixels_of(300, 28, 28), torch.randint(0, 10, (300,))
    model, optimizer = build("mnist-mlp")
    plain = build_network("mnist-mlp")
    plain.load_state_dict(model.state_dict())
    torch.manual_seed(1)
    loss, accuracy = train_epoch(model, optimizer, Plain(pixels, MEAN_STD), targets, 64, bf16=False)
    torch.manual_seed(1)
    order = torch.randperm(300)
    optimizer = torch.optim.Adam(plain.parameters(), lr=LEARNING_RATE)
    images = (torch.from_numpy(pixels)[:, None].float() / 255 - 0.5) / 0.25
    losses, correct = 0.0, 0
    for rows in order.split(64):
        optimizer.zero_grad()
        logits = plain(images[rows])
        batch_loss = nn.functional.cross_entropy(logits, targets[rows])
        batch_loss.backward()
        optimizer.step()
        losses += batch_loss.item() * len(rows)
        correct += int((logits.argmax(1) == targets[rows]).sum())
    for ours, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-3)
    assert abs(loss - losses / 300) < 1e-4
    assert accuracy == correct / 300
