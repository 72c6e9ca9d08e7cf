"""The fast preset: what it changes, what it leaves alone, and that it is carried out once."""

import pytest

from netwright.config.fast import with_fast_preset
from netwright.config.recipe import build_recipe
from netwright.errors import RecipeError


def fast(num_samples: int, **sections: object) -> dict[str, dict[str, object]]:
    training = {"fast": True, **sections.pop("training", {})}  # type: ignore[dict-item]
    recipe = build_recipe({"training": training, **sections})
    return with_fast_preset(recipe, num_samples).to_mapping()


def test_adam_gets_a_larger_batch_the_square_root_rule_and_one_cycle() -> None:
    made = fast(54_000, training={"batch_size": 32, "epochs": 5}, optimizer={"name": "adam", "lr": 3e-4})
    assert made["training"]["batch_size"] == 512
    assert made["lr_scheduler"]["name"] == "one_cycle"
    assert made["optimizer"]["lr"] == pytest.approx(3e-4 * 4 * 2.5)  # sqrt(512 / 32) = 4
    assert made["training"]["fast"] is False


def test_sgd_is_scaled_in_proportion_and_a_schedule_is_kept() -> None:
    sections = {"optimizer": {"name": "sgd", "lr": 0.01}, "lr_scheduler": {"name": "cosine"}}
    made = fast(10**6, training={"batch_size": 64}, **sections)
    assert made["optimizer"]["lr"] == pytest.approx(0.08)
    assert made["lr_scheduler"]["name"] == "cosine"


def test_every_lr_of_an_optimizer_is_scaled() -> None:
    groups = [{"parameters": "*.bias", "lr": 0.5}, {"parameters": "head.*", "weight_decay": 0.1}]
    optimizer = {"name": "muon", "lr": 0.01, "sgd_lr": 0.02, "groups": groups}
    made = fast(10**6, optimizer=optimizer, training={"batch_size": 128}, lr_scheduler={"name": "linear"})["optimizer"]
    assert (made["lr"], made["sgd_lr"]) == pytest.approx((0.02, 0.04))
    assert [group["lr"] for group in made["groups"]] == [pytest.approx(1.0), None]  # type: ignore[attr-defined]


@pytest.mark.parametrize("num_samples", [100, 3_000, 12_799, 12_800, 25_600, 10**6])
def test_the_run_keeps_500_updates_or_its_batch(num_samples: int) -> None:
    made = fast(num_samples, training={"epochs": 5})["training"]
    assert made["batch_size"] in (64, 128, 256, 512)
    if made["batch_size"] != 64:
        assert 5 * num_samples / made["batch_size"] >= 500
    if made["batch_size"] != 512:
        assert 5 * num_samples / (2 * made["batch_size"]) < 500


def test_what_it_gives_is_not_changed_again() -> None:
    recipe = build_recipe({"training": {"fast": True, "batch_size": 32}})
    once = with_fast_preset(recipe, 60_000)
    assert with_fast_preset(once, 10**9) == once
    small = with_fast_preset(recipe, 100)
    assert small == recipe.replace(training=small.training)
    assert small.training.batch_size == 32
    assert with_fast_preset(build_recipe({}), 10**6) == build_recipe({})


def test_an_lr_that_is_not_known_is_not_scaled() -> None:
    with pytest.raises(RecipeError, match="your own"):
        fast(10**6, optimizer={"name": "custom", "type": "Lion"})
