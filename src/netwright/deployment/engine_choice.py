"""Which engine a prediction runs on: as asked for, or the quickest of those that are there, by a trial.

`auto` begins with torch as the run was trained. What others cost to build (3 to 12 s) only pays in a long prediction,
so they are tried once torch has computed for about as long, on the images at hand. Whatever is taken has first answered
some of these images as the plain network does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from torch import Tensor

from netwright.config.engines import EngineName
from netwright.deployment.engines import Engine, build_engine, check_alike, torch_forward
from netwright.deployment.kept_onnx import kept_onnx
from netwright.deployment.predictor import Predictor
from netwright.errors import MachineError, NetwrightError, WorkFailed

TRY_AFTER_SECONDS = 10.0
TRIED: tuple[EngineName, ...] = ("torch", "onnx", "openvino")
_NUM_COMPARED, _ROUNDS, _ROUND_SECONDS = 8, 3, 0.5


@dataclass
class EngineChoice:
    """The engine of one predictor, chosen while it predicts. `tell` gets what a user should know of it.

    `images_per_second` is what a trial found, by engine."""

    predictor: Predictor
    asked: EngineName = "auto"
    tell: Callable[[str], None] = lambda text: None
    name: EngineName = "torch"
    images_per_second: dict[str, float] = field(default_factory=dict)
    _is_settled: bool = False
    _seconds: float = 0.0
    _onnx: bytes | None = None

    def __post_init__(self) -> None:
        machine, is_auto = self.predictor.machine, self.asked == "auto"
        keeps_order = machine.exact and self.asked in ("auto", "torch")  # others, and fused layers, add in another one
        self._is_settled = keeps_order or (is_auto and machine.device.type != "cpu")

    def begin(self, images: Tensor) -> None:
        """Build the engine that was asked for, at the first images (B, C, H, W); nothing for auto.

        Raises MachineError where its package is missing, InputError where it can't hold the network, WorkFailed where
        it can't compute it or answers otherwise; torch is never refused, only left unfused."""
        if self._is_settled or self.asked == "auto":
            return
        self._is_settled = True
        if self.asked != "torch":
            self._take(self._proven(self.asked, images))
        elif (engine := self._tried("torch", images)) is not None:
            self._take(engine)

    def took(self, seconds: float, images: Tensor) -> bool:
        """Note what a batch took; when the time has come, try the engines; say whether another one took over."""
        self._seconds += seconds
        if self._is_settled or self._seconds < TRY_AFTER_SECONDS:
            return False
        return self.try_all(images[: max(1, int(len(images) * _ROUND_SECONDS / max(seconds, _ROUND_SECONDS)))])

    def try_all(self, images: Tensor) -> bool:
        """Try every engine that is there on some images, take the quickest, and say whether it is another one.

        One that can't be built, or answers otherwise, is told of and left out."""
        if self._is_settled:
            return False
        self._is_settled = True
        plain = Engine("torch", torch_forward(self.predictor.network, self.predictor.machine))
        engines = [plain, *filter(None, (self._tried(name, images) for name in TRIED))]
        seconds = [float("inf")] * len(engines)
        for _ in range(1 + _ROUNDS):  # in turn: what disturbs one disturbs the next; the first time also warms up
            for place, engine in enumerate(engines):
                start = perf_counter()
                engine.forward(images)
                seconds[place] = min(seconds[place], perf_counter() - start)
        for engine, each in zip(engines, seconds, strict=True):
            rate = len(images) / each
            self.images_per_second[engine.name] = max(rate, self.images_per_second.get(engine.name, 0.0))
        best = engines[min(range(len(engines)), key=seconds.__getitem__)]
        if best is plain:
            return False
        self._take(best)
        return True

    def _tried(self, name: EngineName, images: Tensor) -> Engine | None:
        try:
            return self._proven(name, images)
        except MachineError:  # its package is not there, or it has no such precision
            return None
        except NetwrightError as error:
            left_out = "torch computes, but its layers are not fused" if name == "torch" else f"{name} is left out"
            self.tell(f"{left_out}: {error}")
            return None

    def _proven(self, name: EngineName, images: Tensor) -> Engine:
        network, machine = self.predictor.network, self.predictor.machine
        if name == "onnx" and machine.precision == "bf16":
            raise MachineError(
                "ONNX Runtime computes in fp32 on CPUs; add --precision fp32, or take --engine torch or openvino"
            )

        def as_onnx() -> bytes:
            self._onnx = self._onnx or kept_onnx(self.predictor, images)  # the better part of the time
            return self._onnx

        try:
            engine = build_engine(name, network, machine, as_onnx)
            check_alike(engine, network, images[:_NUM_COMPARED], machine)
        except (NetwrightError, MemoryError):
            raise
        except Exception as error:  # the engines' own errors have no common kind
            first = str(error).strip().split("\n")[0]
            raise WorkFailed(
                f"{name} can't compute {type(network).__name__} ({type(error).__name__}: {first}); use --engine torch"
            ) from error
        return engine

    def _take(self, engine: Engine) -> None:
        self.predictor.forward = engine.forward
        self.name, self._is_settled = engine.name, True

    def to_mapping(self) -> dict[str, object]:
        """Return what was used, for the record: its name, and what the trial measured if there was one."""
        rates = {name: round(rate, 1) for name, rate in self.images_per_second.items()}
        return {"name": self.name, "asked": self.asked, **({"images_per_second": rates} if rates else {})}
