"""The handler beside ours, as tutorials have it: `python -m benchmarks.serving.plain BUNDLE PORT THREADS`
(0 threads: as many as torch takes)."""

import io
import sys

import torch
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image
from torchvision import transforms

from netwright.workflows.own import Own
from netwright.workflows.predict import opened

Probabilities = dict[str, float]
_CORES = torch.get_num_threads()  # what torch takes when nothing is said


class Model:
    """The bundle's network in eager mode, with torchvision's transforms of one image."""

    def __init__(self, bundle: str, threads: int) -> None:
        with opened(bundle, Own()) as predictor:
            self._network = predictor.network.to(memory_format=torch.contiguous_format)
        torch.set_num_threads(threads or _CORES)
        transform = predictor.transform
        self._names = predictor.bundle.task.class_names
        self._mode = "RGB" if predictor.bundle.in_channels == 3 else "L"
        self._steps = transforms.Compose(
            [
                transforms.Resize(min(transform.store_size)),
                transforms.CenterCrop(transform.image_size),
                transforms.ToTensor(),
                transforms.Normalize(transform.mean, transform.std),
            ]
        )

    def image(self, content: bytes) -> torch.Tensor:
        """Decode and transform one picture -> (C, H, W)."""
        tensor: torch.Tensor = self._steps(Image.open(io.BytesIO(content)).convert(self._mode))
        return tensor

    def probabilities(self, images: torch.Tensor) -> list[Probabilities]:
        """Answer a batch (B, C, H, W)."""
        with torch.inference_mode():
            rows = self._network(images).softmax(1).tolist()
        return [dict(zip(self._names, row, strict=True)) for row in rows]


def main() -> int:
    """Serve by a FastAPI handler that does it all, one image after the other."""
    model, app = Model(sys.argv[1], int(sys.argv[3])), FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> Probabilities:
        return model.probabilities(model.image(await request.body())[None])[0]

    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
    return 0


if __name__ == "__main__":
    sys.exit(main())
