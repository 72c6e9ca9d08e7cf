"""LitServe as its documentation has it: `python -m benchmarks.serving.lit BUNDLE PORT THREADS MOST_BATCH`.

`MOST_BATCH` above 1 batches, waiting 10 ms for more. It reads JSON or forms, no raw bodies: images come as base64."""

import base64
import sys
from typing import Any

import litserve
import torch

from benchmarks.serving.plain import Model, Probabilities


class One(litserve.LitAPI):  # type: ignore[misc]
    """One image after the other."""

    def __init__(self, bundle: str, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self.bundle, self.threads = bundle, threads

    def setup(self, device: str) -> None:
        self.model = Model(self.bundle, self.threads)

    def decode_request(self, request) -> bytes:  # type: ignore[no-untyped-def]  # it makes FastAPI read annotations
        return base64.b64decode(request["image"])

    def predict(self, content: Any) -> Any:
        return self.model.probabilities(self.model.image(content)[None])[0]

    def encode_response(self, output):  # type: ignore[no-untyped-def]
        return output


class Batches(One):
    """Up to `max_batch_size` images at once."""

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, content: Any) -> Any:
        return self.model.probabilities(torch.stack([self.model.image(each) for each in content]))

    def unbatch(self, output: list[Probabilities]) -> list[Probabilities]:
        return output


def main() -> int:
    bundle, port, threads, most = sys.argv[1], *map(int, sys.argv[2:5])
    api = One(bundle, threads) if most == 1 else Batches(bundle, threads, max_batch_size=most, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=port, log_level="error", generate_client_file=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
