"""The named data sets: torchvision's classes and the arguments with which they are made, as text (no torch here).

`splits` says how each split is asked for; a set with only one split is divided by us."""

from typing import Any, NamedTuple


class NamedSet(NamedTuple):
    """How torchvision gives one data set: class name and, for every split, the arguments that select it."""

    torchvision_name: str
    splits: dict[str, dict[str, Any]]


_BY_TRAIN = {"train": {"train": True}, "test": {"train": False}}
_BY_SPLIT = {"train": {"split": "train"}, "test": {"split": "test"}}
_WITH_VAL = {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}

NAMED_SETS: dict[str, NamedSet] = {
    "mnist": NamedSet("MNIST", _BY_TRAIN),
    "fashion-mnist": NamedSet("FashionMNIST", _BY_TRAIN),
    "kmnist": NamedSet("KMNIST", _BY_TRAIN),
    "qmnist": NamedSet("QMNIST", _BY_TRAIN),
    **{
        f"emnist-{split}": NamedSet(
            "EMNIST", {"train": {"train": True, "split": split}, "test": {"train": False, "split": split}}
        )
        for split in ("letters", "digits", "balanced", "byclass", "bymerge", "mnist")
    },
    "usps": NamedSet("USPS", _BY_TRAIN),
    "cifar10": NamedSet("CIFAR10", _BY_TRAIN),
    "cifar100": NamedSet("CIFAR100", _BY_TRAIN),
    "svhn": NamedSet("SVHN", _BY_SPLIT),
    "stl10": NamedSet("STL10", _BY_SPLIT),
    "gtsrb": NamedSet("GTSRB", _BY_SPLIT),
    "food101": NamedSet("Food101", _BY_SPLIT),
    "stanford-cars": NamedSet("StanfordCars", _BY_SPLIT),
    "rendered-sst2": NamedSet("RenderedSST2", _WITH_VAL),
    "pcam": NamedSet("PCAM", _WITH_VAL),
    "flowers102": NamedSet("Flowers102", _WITH_VAL),
    "dtd": NamedSet("DTD", _WITH_VAL),
    "fgvc-aircraft": NamedSet("FGVCAircraft", _WITH_VAL),
    "oxford-pets": NamedSet("OxfordIIITPet", {"train": {"split": "trainval"}, "test": {"split": "test"}}),
    "country211": NamedSet(
        "Country211", {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}}
    ),
    "imagenette": NamedSet(
        "Imagenette",
        {"train": {"split": "train", "size": "320px"}, "val": {"split": "val", "size": "320px"}},
    ),
    "eurosat": NamedSet("EuroSAT", {"all": {}}),
    "caltech101": NamedSet("Caltech101", {"all": {}}),
    "caltech256": NamedSet("Caltech256", {"all": {}}),
}

BUILT_IN = ("digits", *NAMED_SETS)
