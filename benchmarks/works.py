"""What is measured: the works, the sides of each, what is compared with what, and the ratio to reach. No torch here."""

from dataclasses import dataclass

LEARNING_RATE = 3e-4  # of Adam, in all three recipes


@dataclass(frozen=True)
class Side:
    """One way to do a work: a module that does it in a process of its own and prints one line of JSON."""

    name: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    peer: bool = False  # runs in the peers' environment, with --peers
    follows_classic: bool = False  # its loader gets the number of workers with which the classic loop was quicker


@dataclass(frozen=True)
class Comparison:
    """The time of `slower` (of several, the quickest) divided by the time of `quicker`; `goal` is what to reach."""

    slower: tuple[str, ...]
    quicker: str
    goal: float | None = None
    at_most: bool = False  # our time over the best loop's should be low, every other ratio high


@dataclass(frozen=True)
class Work:
    """One piece of work: a recipe's network on its data, the same for every side."""

    name: str
    title: str
    recipe: str
    data: str  # mnist | cifar10
    mean_std: tuple[float, float]
    batch_size: int
    sides: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    epochs: int = 1  # seconds are those of one
    augment: bool = False  # random crop with 4 pixels of padding, and horizontal flip
    figure: tuple[str, str, float] | None = None  # a key of `detail`, its unit, and the most that it may be


_OURS = (
    Side("ours", "netwright", "benchmarks.sides.ours"),
    Side("ours-exact", "netwright --exact", "benchmarks.sides.ours", ("--exact",)),
    Side("ours-fast", "netwright --fast", "benchmarks.sides.ours", ("--fast",)),
)
_LOOPS = (
    Side("classic", "classic loop", "benchmarks.sides.classic"),
    Side("classic-2workers", "classic loop, 2 workers", "benchmarks.sides.classic", ("--workers", "2")),
    Side("best", "hand-written loop", "benchmarks.sides.best"),
    Side("best-fp32", "hand-written loop, fp32", "benchmarks.sides.best", ("--precision", "fp32")),
)
_EVALUATION = (
    Side("evaluate-ours", "netwright", "benchmarks.sides.evaluate_ours"),
    Side("evaluate-classic", "classic loop", "benchmarks.sides.evaluate_loops"),
    Side("evaluate-classic-2workers", "classic loop, 2 workers", "benchmarks.sides.evaluate_loops", ("--workers", "2")),
    Side("evaluate-best", "hand-written loop", "benchmarks.sides.evaluate_loops", ("--in-memory",)),
    Side("overhead", "netwright, one thread", "benchmarks.sides.overhead"),
)
_PEER_NAMES = {"lightning": "Lightning", "fastai": "fastai", "keras": "Keras on torch", "skorch": "skorch"}
_TUNED = ("lightning", "fastai", "skorch")  # beyond what their documentation says: whole batches, fused Adam
_PEERS = tuple(
    side
    for name, title in _PEER_NAMES.items()
    for side in (
        Side(name, f"{title}, images loaded one by one", f"benchmarks.peers.{name}_side", (), True, True),
        Side(f"{name}-arrays", f"{title}, arrays", f"benchmarks.peers.{name}_side", ("--in-memory",), True),
    )
) + tuple(
    Side(
        f"{name}-tuned",
        f"{_PEER_NAMES[name]}, arrays, tuned",
        f"benchmarks.peers.{name}_side",
        ("--in-memory", "--tuned"),
        True,
    )
    for name in _TUNED
)
SIDES = {side.name: side for side in (*_OURS, *_LOOPS, *_EVALUATION, *_PEERS)}
LOADED, ARRAYS = tuple(_PEER_NAMES), tuple(f"{name}-arrays" for name in _PEER_NAMES)
TUNED = tuple(f"{name}-tuned" for name in _TUNED)
CLASSIC = ("classic", "classic-2workers")


def _training(
    name: str,
    title: str,
    recipe: str,
    data: str,
    batch_size: int,
    comparisons: tuple[Comparison, ...],
    augment: bool = False,
) -> Work:
    normal = (0.1307, 0.3081) if data == "mnist" else (0.5, 0.5)
    ours = ("ours", "ours-exact")
    peers = LOADED if augment else LOADED + ARRAYS + TUNED
    sides = (*CLASSIC, *ours, "best", "best-fp32", *peers)
    return Work(name, title, recipe, data, normal, batch_size, sides, comparisons, augment=augment)


def _mlp(batch_size: int, classic: float) -> Work:
    """At the same arithmetic as the others, fp32, that is with --exact; the default and --fast stand beside it."""
    arrays = {"skorch-arrays": 1.4, "keras-arrays": 2.5, "fastai-arrays": 2.5, "lightning-arrays": 1.7}
    return _training(
        f"mnist-mlp-{batch_size}",
        f"`mnist-mlp` at batch {batch_size}",
        "mnist-mlp",
        "mnist",
        batch_size,
        (
            Comparison(CLASSIC, "ours-exact", classic),
            Comparison(CLASSIC, "ours"),
            Comparison(("ours-exact",), "best-fp32", 1.10, at_most=True),
            Comparison(("ours",), "best", 1.10, at_most=True),
            Comparison(LOADED, "ours-exact", 4.5),
            *(Comparison((name,), "ours-exact", goal) for name, goal in arrays.items()),
            *(Comparison((name,), "ours-exact") for name in TUNED),
            *(Comparison((name,), "ours") for name in arrays),
        ),
    )


def _cnn(name: str, recipe: str, data: str, batch_size: int, goals: tuple[float, float], augment: bool = False) -> Work:
    title = f"`{recipe}` at batch {batch_size}" + (", random crop and flip" if augment else "")
    comparisons = [
        Comparison(CLASSIC, "ours", goals[0]),
        Comparison(CLASSIC, "ours-exact"),
        Comparison(("ours",), "best", 1.05, at_most=True),
        Comparison(("ours-exact",), "best-fp32", at_most=True),
        Comparison(LOADED, "ours", goals[1]),
    ]
    if not augment:
        comparisons += [Comparison((name,), "ours") for name in ARRAYS + TUNED]
    return _training(name, title, recipe, data, batch_size, tuple(comparisons), augment)


def works(hardware_bf16: bool) -> dict[str, Work]:
    """Return the works by name; what a CNN has to reach depends on whether the hardware computes in bf16."""
    cifar = (2.8, 3.5) if hardware_bf16 else (1.5, 1.8)
    evaluation = Comparison(("evaluate-classic", "evaluate-classic-2workers"), "evaluate-ours", 3.0)
    same = Comparison(("evaluate-ours",), "evaluate-best", 1.05, at_most=True)
    every = (
        _mlp(64, 5.0),
        _mlp(32, 4.5),
        Work(
            "mnist-mlp-fast",
            "`mnist-mlp --fast`, which chooses batch size and lr, against the loop at batch 64",
            "mnist-mlp",
            "mnist",
            (0.1307, 0.3081),
            64,
            ("classic", "ours-fast", "ours"),
            (Comparison(("classic",), "ours-fast", 12.0), Comparison(("ours",), "ours-fast")),
            epochs=5,  # fewer updates in one epoch would cost accuracy, so --fast leaves a run of one as it is
        ),
        _cnn("mnist-cnn", "mnist-cnn", "mnist", 64, (3.0, 2.5)),
        _cnn("cifar10-cnn", "cifar10-cnn", "cifar10", 128, (cifar[0], 2.5)),
        _cnn("cifar10-cnn-augmented", "cifar10-cnn", "cifar10", 128, (cifar[1], 3.0), augment=True),
        Work(
            "cifar10-evaluation",
            "evaluation with `cifar10-cnn`",
            "cifar10-cnn",
            "cifar10",
            (0.5, 0.5),
            128,
            tuple(name for name in SIDES if name.startswith("evaluate-")),
            (evaluation, same),
        ),
        Work(
            "overhead",
            "overhead a step, `mnist-mlp` at batch 64",
            "mnist-mlp",
            "mnist",
            (0.1307, 0.3081),
            64,
            ("overhead",),
            (),
            figure=("overhead_microseconds", "µs a step", 25.0),
        ),
    )
    return {work.name: work for work in every}


# Measurements that are programs of their own, with what they are given: {root} is a folder with MNIST/raw and
# cifar10.npz, {data} the folder of --data, {peers} the peers' Python or nothing. What they print becomes a section of
# the page.
PROGRAMS = {
    "startup": ("--data-root", "{root}"),
    "memory": ("--data-root", "{root}"),
    "photographs": ("{data}/hymenoptera/train",),
    "larger_than_memory": (),
    "pretrained": (
        *("--data-root={data}", "--weights={data}/weights/squeezenet1_1_imagenet_tvnorm.pth", "--peers={peers}"),
        "--solver",
    ),
    "head_solver": (),
    "folder_memory": ("{data}/hymenoptera/train",),
}
