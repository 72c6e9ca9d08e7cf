"""The recipe: what is wrong is named with its field, what is right comes back unchanged."""

import msgspec
import pytest
import yaml

from netwright.config.library import read_recipe_file, shipped_recipes
from netwright.config.recipe import PARTS, Recipe, build_recipe, num_outputs_for, output_for
from netwright.config.sections import SECTIONS
from netwright.errors import RecipeError
from netwright.runs.folder import recipe_text


def test_an_empty_recipe_is_the_defaults() -> None:
    assert build_recipe({}) == Recipe()
    assert build_recipe(dict.fromkeys(SECTIONS)) == Recipe()


@pytest.mark.parametrize("name", ["(defaults)", *sorted(shipped_recipes())])
def test_a_saved_recipe_reads_back_as_the_same_bytes(name: str) -> None:
    """A run's recipe is hashed: reading and writing it again must not change it, as 300 and 300.0 would."""
    recipe = Recipe() if name == "(defaults)" else build_recipe(read_recipe_file(shipped_recipes()[name]))
    text = recipe_text(recipe)
    again = build_recipe(yaml.safe_load(text))
    assert again == recipe
    assert recipe_text(again) == text


PART_NAMES = [(kind, name) for kind in PARTS for name in PARTS[kind].parts]


@pytest.mark.parametrize(("kind", "name"), PART_NAMES)
def test_every_part_reads_back_as_the_same_bytes(kind: str, name: str) -> None:
    part = PARTS[kind].convert(name, kind)
    mapping = msgspec.to_builtins(part)
    again = PARTS[kind].convert(yaml.safe_load(yaml.safe_dump(mapping)), kind)
    assert again == part
    assert yaml.safe_dump(msgspec.to_builtins(again)) == yaml.safe_dump(mapping)


def test_a_recipe_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        Recipe().training.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"trainig": {}}, r"`trainig` is not a section of the recipe \(did you mean \"training\"\?\)"),
        ({"training": {"epohcs": 1}}, r"`training\.epohcs` is not a field .*did you mean \"epochs\""),
        ({"training": {"epochs": 0}}, r"`training\.epochs` is 0; expected a whole number >= 1"),
        ({"training": {"epochs": "ten"}}, r"`training\.epochs` is 'ten'; expected a whole number"),
        ({"training": {"epochs": 2.5}}, r"`training\.epochs` is 2\.5"),
        ({"training": {"epochs": True}}, r"`training\.epochs` is True"),
        ({"training": []}, r"`training` is \[\]; expected a mapping"),
        ({"optimizer": {"name": "adam", "lr": 0}}, r"`optimizer\.lr` is 0; expected a number > 0"),
        ({"optimizer": {"name": "adam", "lr": -1}}, r"`optimizer\.lr` is -1"),
        ({"optimizer": {"name": "adam", "betas": [0.9]}}, r"`optimizer\.betas` is \[0\.9\]"),
        ({"optimizer": {"name": "sgd", "nesterov": True}}, r"`optimizer\.nesterov` needs a momentum"),
        ({"augmentation": ["mixup", "rotation"]}, r"`augmentation\[0\]` is mixup, .*put it last"),
        ({"augmentation": ["cutmix", "cutmix"]}, r"has cutmix twice"),
        ({"augmentation": ["rotation", "random_resized_crop"]}, r"`augmentation\[1\]` is random_resized_crop.*first"),
        ({"augmentation": [{"name": "gaussian_blur", "kernel_size": 4}]}, r"kernel_size` is 4; expected an odd number"),
        ({"augmentation": ["mixup"], "criterion": "nll"}, r"mixup, whose targets are shares.*use cross_entropy"),
        ({"augmentation": ["cutmix"], "criterion": "bce_with_logits"}, r"cutmix, .*use cross_entropy"),
        (
            {"training": {"sampling": "balanced"}, "criterion": {"name": "nll", "class_weights": "balanced"}},
            r"made up for twice; leave one of them out",
        ),
        (
            {"data": {"task": "regression"}, "criterion": {"name": "cross_entropy", "class_weights": "balanced"}},
            r"`criterion\.class_weights` weighs classes, and the task is regression, .*leave it out",
        ),
        (
            {"data": {"task": "regression"}, "criterion": {"name": "mse", "class_weights": "balanced"}},
            r"`criterion\.class_weights` weighs classes, and `criterion\.name` is 'mse', .*numbers; leave it out",
        ),
        (
            {"criterion": {"name": "custom", "class_weights": [1, 2]}},
            r"`criterion\.class_weights` is given and your own criterion .*; leave it out",
        ),
        ({"optimizer": {"lr": 0.1}}, r"`optimizer` is .*expected a name or a mapping with `name`"),
        ({"optimizer": "adma"}, r"`optimizer\.name` is 'adma' \(did you mean \"adam\"\?\)"),
        ({"model": {"name": "cnn", "channels": []}}, r"`model\.channels` is empty"),
        ({"model": {"name": "cnn", "pool_after": [4]}}, r"`model\.pool_after` names convolution 4, and there are 3"),
        ({"model": {"name": "mlp", "hidden_sizes": [3, 0]}}, r"`model\.hidden_sizes\[1\]` is 0"),
        ({"augmentation": {"name": "cutout"}}, r"`augmentation` is .*expected a list"),
        ({"augmentation": ["cutout", "flip"]}, r"`augmentation\[1\]\.name` is 'flip'"),
        ({"split": {"val": 1}}, r"`split\.val` is 1"),
        ({"split": {"val": 0.7, "test": 0.4}}, r"together they leave nothing to train on; lower one of them"),
        ({"data": {"classes": ["a", "a"]}}, r"`data\.classes` names a class twice: a, a"),
        ({"data": {"classes": ["a"]}}, r"`data\.classes` names 1 class"),
        ({"data": {"image_size": [1, 2, 3]}}, r"`data\.image_size` is \[1, 2, 3\]"),
        ({"data": {"value_range": [1, 0]}}, r"`data\.value_range` is .*black < white"),
        ({"transform": {"normalize": [0.5, 0]}}, r"standard deviation 0.*expected > 0"),
        ({"runtime": {"device": "gpu"}}, r"`runtime\.device` is 'gpu'"),
        ({"runtime": {"exact": True, "precision": "bf16"}}, r"give up one of them"),
        ({"criterion": "nll", "model": {"name": "mlp", "output": "logits"}}, r"takes log-probabilities"),
        ({"criterion": "bce", "model": "resnet18"}, r"'resnet18', which gives logits"),
        ({"split": {"val": 0}, "training": {"patience": 2}}, r"there is nothing to watch"),
        ({"split": {"val": 0}, "lr_scheduler": "plateau"}, r"there is nothing to watch"),
    ],
)
def test_what_is_wrong_is_named(mapping: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        build_recipe(mapping)


@pytest.mark.parametrize(
    ("criterion", "output", "num_outputs"),
    [
        ("cross_entropy", "logits", 2),
        ("nll", "log_probabilities", 2),
        ("bce", "probabilities", 1),
        ("bce_with_logits", "logits", 1),
    ],
)
def test_the_criterion_decides_what_the_network_gives(criterion: str, output: str, num_outputs: int) -> None:
    recipe = build_recipe({"criterion": criterion})
    assert output_for(recipe.criterion) == output
    assert num_outputs_for(recipe.criterion, 2) == num_outputs


@pytest.mark.parametrize("size", [28, [28, 20], [28, 20, 3], [], "28", [28, "a"]])
def test_a_size_of_any_shape_is_taken_or_refused(size: object) -> None:
    """msgspec 0.22 crashes on a list where an int or a tuple of fixed length is asked for: our types avoid that."""
    try:
        recipe = build_recipe({"data": {"image_size": size}})
    except RecipeError as error:
        assert "`data.image_size" in str(error)
        assert size not in (28, [28, 20])
    else:
        assert recipe.data.image_size in (28, (28, 20))
