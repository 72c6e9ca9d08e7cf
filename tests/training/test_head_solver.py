"""The head's solver against scikit-learn's LogisticRegression and against its own gradient."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from netwright.config.optimization import CrossEntropy
from netwright.errors import WorkFailed
from netwright.training.curvature import Curvature
from netwright.training.head_solver import SUM_ROWS, HeadSolver, log_softmax_of, penalty_of, summed_products

PENALTIES = [0.1, 0.01, 0.001]


def problem(num_images: int = 900, width: int = 20, num_classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features of several scales that hang together, one of which never changes; classes that overlap."""
    draws = np.random.default_rng(seed)
    targets = draws.choice(num_classes, num_images, p=np.arange(1, num_classes + 1) / sum(range(num_classes + 1)))
    centres = draws.normal(0, 1, (num_classes, width))
    features = (centres[targets] + draws.normal(0, 2, (num_images, width))) @ draws.normal(0, 1, (width, width))
    features = np.maximum(features, 0) * 10.0 ** draws.uniform(-2, 2, width)
    features[:, 3] = 5.0
    return torch.from_numpy(features).float(), torch.from_numpy(targets)


def solved(features: Tensor, targets: Tensor, penalties: list[float], criterion: CrossEntropy) -> list[nn.Linear]:
    num_classes = int(targets.max()) + 1
    torch.manual_seed(1)
    linear = nn.Linear(features.shape[1], num_classes)
    solver = HeadSolver(linear, features, targets, criterion, torch.bincount(targets))
    found = []
    for penalty in penalties:
        solver.solve(penalty)
        kept = nn.Linear(features.shape[1], num_classes)
        kept.load_state_dict(linear.state_dict())
        found.append(kept)
    return found


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("num_images", [60, 900])  # fewer and more than features
def test_optimum_is_that_of_scikit_learn(num_images: int, balanced: bool, num_classes: int) -> None:
    features, targets = problem(num_images, num_classes=num_classes)
    criterion = CrossEntropy(class_weights="balanced" if balanced else None)
    scaler = StandardScaler().fit(features.double().numpy())
    standard = scaler.transform(features.double().numpy())
    weights = np.ones(len(targets))
    if balanced:
        weights = (len(targets) / (num_classes * np.bincount(targets)))[targets]
    halves = 2 if num_classes == 2 else 1  # of two classes scikit-learn has one row of weights: half the penalty
    for penalty, linear in zip(PENALTIES, solved(features, targets, PENALTIES, criterion), strict=True):
        reference = LogisticRegression(C=halves / (penalty * weights.sum()), tol=1e-9, max_iter=100_000)
        expected = reference.fit(standard, targets, sample_weight=weights).predict_proba(standard)
        with torch.no_grad():
            found = linear(features).softmax(dim=1).double().numpy()
        assert np.abs(found - expected).max() < 0.005, penalty  # fp32 beside fp64, at a penalty of 0.001


@torch.no_grad()
def objective(linear: nn.Linear, features: Tensor, targets: Tensor, criterion: CrossEntropy, penalty: float) -> float:
    """What is to be minimised, by torch's own criterion in fp64."""
    features = features.double()
    deviation = features.std(dim=0, correction=0)
    counts = torch.bincount(targets)
    weights = counts.sum() / (len(counts) * counts.double()) if criterion.class_weights else None
    logits = functional.linear(features, linear.weight.double(), linear.bias.double())
    loss = functional.cross_entropy(logits, targets, weights, label_smoothing=criterion.label_smoothing)
    return float(loss + penalty / 2 * (linear.weight.double() * deviation).square().sum())


def _at_optimum(features: Tensor, targets: Tensor, criterion: CrossEntropy, penalty: float) -> float:
    """The least value, found by Newton's method in fp64 from zero."""
    features = features.double()
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0)
    standard = (features - mean) / torch.where(deviation > 0, deviation, 1.0)
    counts = torch.bincount(targets)
    weights = counts.sum() / (len(counts) * counts.double()) if criterion.class_weights else None
    width, num_classes = features.shape[1], len(counts)

    def value(point: Tensor) -> Tensor:
        weight, bias = point[: width * num_classes].view(num_classes, width), point[width * num_classes :]
        logits = functional.linear(standard, weight, bias)
        loss = functional.cross_entropy(logits, targets, weights, label_smoothing=criterion.label_smoothing)
        return loss + penalty / 2 * weight.square().sum()

    point = torch.zeros((width + 1) * num_classes, dtype=torch.float64)
    for _ in range(8):
        gradient = torch.autograd.functional.jacobian(value, point)
        curvature = torch.autograd.functional.hessian(value, point)
        point = point - torch.linalg.lstsq(curvature, gradient).solution  # the biases' sum is free
    return float(value(point))


def test_label_smoothing_is_part_of_the_optimum() -> None:
    features, targets = problem()
    criterion = CrossEntropy(label_smoothing=0.2, class_weights="balanced")
    (linear,) = solved(features, targets, [0.01], criterion)
    expected = _at_optimum(features, targets, criterion, 0.01)
    assert objective(linear, features, targets, criterion, 0.01) == pytest.approx(expected, rel=1e-4)
    plain = CrossEntropy(class_weights="balanced")
    assert objective(linear, features, targets, plain, 0.01) > 1.01 * _at_optimum(features, targets, plain, 0.01)


def walked(epochs: list[int], seed: int) -> nn.Linear:
    """A layer with first weights of its own that a solver of its own has set for these epochs."""
    features, targets = problem()
    torch.manual_seed(seed)
    linear = nn.Linear(features.shape[1], 4)
    solver = HeadSolver(linear, features, targets, CrossEntropy(), torch.bincount(targets))
    for epoch in epochs:
        solver.walk_to(epoch)
    return linear


@pytest.mark.parametrize("epochs", [[4], [3, 4], [1, 2, 3, 4, 5, 4]])
def test_an_epoch_follows_from_the_features_alone(epochs: list[int]) -> None:
    """A resumed run, whose solver is new and whose layer holds another epoch, finds the same bits."""
    whole, resumed = walked([1, 2, 3, 4], seed=1), walked(epochs, seed=2)
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)


@pytest.mark.parametrize("penalty", [1.0, 0.003])
def test_many_images_have_the_optimum_of_scikit_learn(penalty: float) -> None:
    """Enough of them that the curvature is a sample's, blocks are many and the tolerance is the coarse one."""
    features, targets = problem(20_000, width=64, num_classes=5)
    (linear,) = solved(features, targets, [penalty], CrossEntropy())
    scaler = StandardScaler().fit(features.double().numpy())
    reference = LogisticRegression(C=1 / (penalty * len(targets)), tol=1e-7, max_iter=10_000)
    reference.fit(scaler.transform(features.double().numpy()), targets)
    expected = nn.Linear(64, 5)
    weight = reference.coef_ / scaler.scale_
    with torch.no_grad():
        expected.weight.copy_(torch.from_numpy(weight))
        expected.bias.copy_(torch.from_numpy(reference.intercept_ - weight @ scaler.mean_))
        assert (linear(features).argmax(dim=1) == expected(features).argmax(dim=1)).float().mean() > 0.999
    least = objective(expected, features, targets, CrossEntropy(), penalty)
    assert objective(linear, features, targets, CrossEntropy(), penalty) == pytest.approx(least, rel=1e-4)


@pytest.mark.parametrize(("num_images", "width"), [(900, 12), (30_000, 700)])  # the second: axes of every image still
def test_the_first_guess_is_the_inverse_of_all_images_curvature(num_images: int, width: int) -> None:
    """Of a sample the least variances would be too small, and steps along them too long."""
    torch.manual_seed(0)
    features = torch.randn(num_images, width) @ (torch.randn(width, width) / width**0.5)
    mean, deviation = features.double().mean(dim=0), features.double().std(dim=0, correction=0)
    shares = torch.tensor([0.2] * 5 if width == 12 else [0.02] * 50, dtype=torch.float64)
    guess = Curvature(features, mean, deviation, shares).at(0.003)
    standard = (features.double() - mean) / deviation
    spread = float(shares[0] * (1 - shares[0]))
    whole = spread * (standard.T @ standard) / num_images + 0.003 * torch.eye(width, dtype=torch.float64)
    gradient = torch.randn(len(shares), width + 1, dtype=torch.float64)
    expected = torch.linalg.solve(whole, gradient[:, :-1].T).T
    found = guess(gradient)
    assert (found[:, :-1] - expected).norm() < 1e-3 * expected.norm()
    assert torch.allclose(found[:, -1], gradient[:, -1] / spread)


def test_a_class_without_images_is_no_obstacle() -> None:
    features, targets = problem()
    linear = nn.Linear(20, 6)
    solver = HeadSolver(linear, features, targets, CrossEntropy(), torch.bincount(targets, minlength=6))
    assert solver.solve(0.1) < 200
    with torch.no_grad():
        found = linear(features).softmax(dim=1)
    assert float(found[:, 4:].max()) < 0.01
    (without,) = solved(features, targets, [0.1], CrossEntropy())
    with torch.no_grad():
        assert torch.allclose(found[:, :4], without(features).softmax(dim=1), atol=0.01)


def test_penalties_fall() -> None:
    assert [penalty_of(epoch) for epoch in (1, 3, 5)] == pytest.approx([1.0, 0.1, 0.01])


def test_features_that_are_not_finite_are_refused_at_once() -> None:
    features, targets = problem()
    features[7, 2], features[400, 0] = torch.nan, torch.inf
    with pytest.raises(WorkFailed, match="the features of 2 of 900 images are not finite"):
        HeadSolver(nn.Linear(20, 4), features, targets, CrossEntropy(), torch.bincount(targets))


@pytest.mark.parametrize("num_images", [1, 7, SUM_ROWS, 2 * SUM_ROWS + 3])
@pytest.mark.parametrize(("width", "num_classes"), [(1, 2), (3, 10), (512, 10), (64, 1000)])
def test_both_products_of_a_pass_are_those_of_float64(num_images: int, width: int, num_classes: int) -> None:
    draws = torch.Generator().manual_seed(num_images + width)
    features = torch.randn(num_images, width, generator=draws)
    weight, bias = torch.randn(num_classes, width, generator=draws), torch.randn(num_classes, generator=draws)
    errors = torch.randn(num_classes, num_images, generator=draws)
    logs = functional.log_softmax(features.double() @ weight.double().T + bias.double(), dim=1).T
    torch.testing.assert_close(log_softmax_of(features, weight, bias).double(), logs, rtol=1e-5, atol=1e-4)
    products = errors.double() @ features.double()
    torch.testing.assert_close(summed_products(errors, features), products, rtol=1e-5, atol=1e-3)
