"""Pictures that the network sees in one size: a label or a number for each."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from netwright.data.labelled import Array
from netwright.deployment.received import Read, as_view
from netwright.deployment.service import Draw, Given, Service


class ImageService(Service):
    """Pictures of all requests share batches."""

    takes = "images"
    has_engines = True

    @property
    def read(self) -> Read:
        return as_view

    async def predict(self, given: Sequence[Given], draw: Draw | None = None) -> dict[str, Any]:
        deadline = self._deadline()
        if len(given) == 1:  # a task of its own would cost it more than its way through us
            decoded = [await self._decode(given[0][1], deadline)]
        else:
            decoded = await asyncio.gather(*(self._decode(content, deadline) for _, content in given))
        pixels = [made for made in decoded if not isinstance(made, str)]
        rows = iter(await self._computed(pixels, deadline) if pixels else [])
        answer = self.predictor.prediction
        answers = [
            answer(name, error=made) if isinstance(made, str) else answer(name, next(rows))
            for (name, _), made in zip(given, decoded, strict=True)
        ]
        return self._json([answer.to_mapping() for answer in answers])

    def _run(self, items: Sequence[Array]) -> Sequence[Any]:
        return list(self.predictor.rows(self.predictor.finish(torch.from_numpy(np.stack(items)))))
