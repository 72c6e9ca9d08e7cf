"""Stateless random numbers: a pure function of their arguments, and random."""

import pytest
import torch
from scipy import stats

from netwright.runtime.randomness import (
    _split_mix,
    _uniforms_torch,
    generator,
    seed_of,
    seed_step,
    seeds_of_epoch,
    set_seed,
    uniforms,
)


def test_a_row_depends_on_its_own_id_alone():
    many = uniforms(3, "flip", 2, torch.arange(1000), 4)
    some = uniforms(3, "flip", 2, torch.tensor([7, 999, 0]), 4)
    assert torch.equal(some, many[[7, 999, 0]])


def test_every_argument_counts():
    ids = torch.arange(64)
    base = uniforms(0, "flip", 1, ids, 3)
    for other in (uniforms(1, "flip", 1, ids, 3), uniforms(0, "crop", 1, ids, 3), uniforms(0, "flip", 2, ids, 3)):
        assert (base == other).float().mean() < 0.02


def test_numbers_are_uniform_and_uncorrelated():
    numbers = uniforms(5, "any", 1, torch.arange(50_000), 3)
    assert numbers.min() >= 0 and numbers.max() < 1
    for column in numbers.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    neighbours = torch.stack([numbers[:-1, 0], numbers[1:, 0], numbers[:-1, 1], numbers[1:, 2]])
    off_diagonal = torch.corrcoef(neighbours) - torch.eye(4)
    assert off_diagonal.abs().max() < 0.02  # four standard errors of 50,000 samples


def test_seeds_are_63_bits_and_separate_their_parts():
    assert 0 <= seed_of(0, "a") < 2**63
    assert seed_of(1, "a", 23) != seed_of(1, "a", 2, 3) != seed_of(12, "a", 3)
    assert torch.equal(torch.rand(3, generator=generator(1, "a", 2)), torch.rand(3, generator=generator(1, "a", 2)))


def test_an_epoch_s_seeds_are_those_of_its_steps() -> None:
    seed_step(3, "step", 2, 6)
    drawn = torch.rand(4)
    set_seed(seeds_of_epoch(3, "step", 2, 7)[6])
    assert torch.equal(torch.rand(4), drawn)


@pytest.mark.parametrize("count", [1, 2, 22])
def test_every_device_draws_the_same_numbers(count: int) -> None:
    """The CPU draws with NumPy's unsigned integers, other devices with torch's signed ones."""
    ids = torch.tensor([0, 1, 2, 59_999, 2**31, 2**62, 7])
    for seed in (0, 1, 2**62):
        key = seed_of(seed, "crop/0", 3)
        assert torch.equal(uniforms(seed, "crop/0", 3, ids, count), _uniforms_torch(key, ids, count))


def test_the_generator_is_split_mix_64() -> None:
    """The first outputs for the state 0, as the authors' C code gives them (prng.di.unimi.it/splitmix64.c)."""
    states = torch.tensor([(k * 0x9E3779B97F4A7C15) % 2**64 for k in (1, 2, 3)], dtype=torch.uint64).view(torch.int64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [value % 2**64 for value in _split_mix(states).tolist()] == expected
