"""What a network for rows begins with: standardised numbers as they are, and a vector for each category."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def embedding_size(num_codes: int, asked: int | None = None) -> int:
    """Return how long a category's vector is: as asked, else 1.6 · n^0.56, at most 50 (the rule of fastai)."""
    return asked or min(50, round(1.6 * num_codes**0.56))


class OneHotFeatures(nn.Module):
    """Rows (B, D) or (B, D, 1, 1), whose last columns are codes -> numbers and a 0 or 1 for each category.

    Code 0, a category that train did not have, is all zeros."""

    def __init__(self, num_features: int, categories: tuple[int, ...]) -> None:
        super().__init__()
        self.num_numbers, self.categories = num_features - len(categories), categories
        self.num_outputs = self.num_numbers + sum(size - 1 for size in categories)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows.flatten(1)
        numbers, codes = rows[:, : self.num_numbers], rows[:, self.num_numbers :].long()
        parts = [
            functional.one_hot(codes[:, place], size)[:, 1:].to(rows.dtype)
            for place, size in enumerate(self.categories)
        ]
        return torch.cat([numbers, *parts], dim=1)


class EmbeddedFeatures(nn.Module):
    """Rows (B, D) or (B, D, 1, 1), whose last columns are codes -> numbers and a trained vector for each category.

    Code 0, a category that train did not have, is a vector of zeros."""

    def __init__(self, num_features: int, categories: tuple[int, ...], size: int | None = None) -> None:
        super().__init__()
        self.num_numbers = num_features - len(categories)
        sizes = [(codes, embedding_size(codes, size)) for codes in categories]
        self.embeddings = nn.ModuleList(nn.Embedding(codes, length, padding_idx=0) for codes, length in sizes)
        self.num_outputs = self.num_numbers + sum(length for _, length in sizes)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows.flatten(1)
        numbers, codes = rows[:, : self.num_numbers], rows[:, self.num_numbers :].long()
        parts = [embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)]
        return torch.cat([numbers, *parts], dim=1)
