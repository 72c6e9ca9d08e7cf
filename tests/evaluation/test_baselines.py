"""Nearest neighbours against scikit-learn's, on the same pixels."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from netwright.evaluation.baselines import nearest_answers


def test_neighbours_are_scikit_learns() -> None:
    features, targets = load_digits(return_X_y=True)
    features = np.float32(features / 16)
    reference = KNeighborsClassifier(5, algorithm="brute").fit(features[:1000], targets[:1000])
    found = nearest_answers(*map(torch.from_numpy, (features[:1000], targets[:1000], features[1000:])), 10).numpy()
    assert (found == reference.predict(features[1000:])).mean() > 0.995  # but for equal distances
    assert (found == targets[1000:]).mean() > 0.9


def test_fewer_images_than_neighbours() -> None:
    train = torch.tensor([[0.0], [1.0]])
    assert nearest_answers(train, torch.tensor([1, 1]), torch.tensor([[0.2]]), 3).tolist() == [1]
