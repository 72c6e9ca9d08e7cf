"""How a bundle is served: limits and waiting, with nothing read from the environment."""

from dataclasses import dataclass

from netwright.config.engines import EngineName


@dataclass(frozen=True)
class Serving:
    """What one server process takes and how long it waits.

    `most_waiting` images are decoded, computed or waiting at once; more are refused at once. Whoever comes while a
    batch is computed makes up the next one, of `most_batch` images at most; `wait_seconds` longer a batch waits for
    more. What is not answered within `deadline_seconds` is dropped before it is computed. `body_seconds` is how long a
    client may take to send. A decoding that takes `decode_seconds` ends with its process, of which there are
    `decoders`. Of a table `most_rows` are answered at once. `engine` computes; auto tries all that are installed before
    the first answer (3 to 15 s)."""

    most_waiting: int = 128
    most_batch: int = 32
    wait_seconds: float = 0.0
    deadline_seconds: float = 10.0
    body_seconds: float = 15.0
    most_body_bytes: int = 20 * 2**20
    most_images: int = 64
    most_pixels: int = 25_000_000
    most_rows: int = 10_000
    decode_seconds: float = 5.0
    decoders: int = 2
    engine: EngineName = "torch"
