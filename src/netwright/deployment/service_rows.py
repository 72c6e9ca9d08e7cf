"""The rows of tables: a label or a number for each."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from netwright.data.labelled import Array
from netwright.deployment.received import Read, as_rows
from netwright.deployment.service import Draw, Given, Service
from netwright.errors import DataError

AT_ONCE = 4096  # rows
_NO_ANSWER = "its numbers are too large to compute with"


class RowService(Service):
    """Rows of all requests share batches. What is given are CSV and JSON, see `received.as_rows`."""

    takes = "rows"

    @property
    def read(self) -> Read:
        return as_rows

    @property
    def most_read(self) -> int:
        return self.limits.most_rows

    async def predict(self, given: Sequence[Given], draw: Draw | None = None) -> dict[str, Any]:
        deadline = self._deadline()
        answers: list[Any] = []
        for _, content in given:
            made = await self._decode(content, deadline)
            if isinstance(made, str):
                raise DataError(made)
            (found,) = await asyncio.wrap_future(self._batcher.submit([made], deadline))
            answers.extend(found)
        named = ((f"row {number}", row) for number, row in enumerate(answers, 1))
        return self._json([self._answer(name, row).to_mapping() for name, row in named])

    def _answer(self, name: str, row: Any) -> Any:
        if not np.isfinite(row).all():
            return self.predictor.prediction(name, error=_NO_ANSWER)
        return self.predictor.prediction(name, row)

    def _run(self, items: Sequence[Array]) -> Sequence[Any]:
        blocks = [item.view(np.float32)[:, 0] for item in items]
        features = torch.from_numpy(np.concatenate(blocks))[:, None, None, :]
        parts = [
            self.predictor.rows(self.predictor.finish(features[start : start + AT_ONCE]))
            for start in range(0, len(features), AT_ONCE)
        ]
        ends = np.cumsum([len(block) for block in blocks])
        return np.split(np.concatenate(parts), ends[:-1])
