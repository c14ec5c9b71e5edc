"""Noise that belongs to a sample: the same in any batch, normal, refused where it has none."""

import pytest
import torch
from torch import Tensor

from proxlab.sample_noise import SampleNoise, box_muller
from solvers import proxdm, uniform_grid

SHAPE = (1, 4, 5)


def drawn(noise, n: int, calls: int = 3) -> Tensor:
    """[n, calls, ...]."""
    return torch.stack([noise(torch.empty(n, *SHAPE)) for _ in range(calls)], 1)


def in_batches(make, size: int, n: int = 12) -> Tensor:
    starts = range(0, n, size)
    return torch.cat([drawn(make(range(i, min(n, i + size))), min(size, n - i)) for i in starts])


def changes_with_batches(make) -> bool:
    whole = in_batches(make, 12)
    return any(not torch.equal(in_batches(make, size), whole) for size in (1, 5, 6))


class OfTheBatch:
    """Planted: one generator, whoever is in the batch."""

    def __init__(self, indices: range):
        self.generator = torch.Generator().manual_seed(indices.start)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=self.generator)


def test_a_sample_is_the_same_in_any_batch():
    assert not changes_with_batches(lambda indices: SampleNoise(3, indices))
    assert changes_with_batches(OfTheBatch)


def test_so_is_what_a_sampler_makes_of_it():
    def made(size: int) -> Tensor:
        parts = []
        for i in range(0, 6, size):
            noise = SampleNoise(0, range(i, i + size))
            x = noise(torch.empty(size, *SHAPE))
            *_, (x, _) = proxdm(lambda y, t, lam: y / (1 + lam), x, uniform_grid(4), noise=noise)
            parts.append(x)
        return torch.cat(parts)

    assert torch.equal(made(6), made(1)) and torch.equal(made(6), made(3))


def test_seeds_samples_and_calls_all_differ():
    rows = torch.cat([drawn(SampleNoise(seed, range(8)), 8) for seed in (0, 1, 2**64 - 1)])
    numbers = rows.flatten().tolist()
    assert len(set(numbers)) > 0.999 * len(numbers)  # few of 1440 float32 meet by chance
    across = torch.corrcoef(rows.flatten(1))
    assert (across - torch.eye(24)).abs().max() < 0.6  # 60 numbers each: a deviation of 0.13
    twice = torch.cat([drawn(SampleNoise(0, range(8)), 8)] * 2).flatten().tolist()
    assert len(set(twice)) < 0.6 * len(twice)  # planted: a seed taken twice


def test_moments_are_those_of_a_standard_normal():
    noise = SampleNoise(5, range(200))

    def worst(x: Tensor) -> float:  # in standard errors
        x, n = x.double().flatten(), x.numel()
        known = [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]  # power, its mean and variance
        return max(abs(float((x**k).mean()) - m) / (v / n) ** 0.5 for k, m, v in known)

    x = noise(torch.empty(200, 1000))
    assert worst(x) < 4
    assert worst(1.01 * x) > 4 and worst(x + 0.02) > 4
    assert float((x[:-1] * x[1:]).mean().abs()) < 4 / x.numel() ** 0.5
    assert float((x[:, :-1] * x[:, 1:]).mean().abs()) < 4 / x.numel() ** 0.5


def test_it_has_the_shape_and_dtype_of_x_and_is_fresh():
    noise = SampleNoise(0, range(2))
    x = torch.zeros(2, 3, dtype=torch.float64)
    z = noise(x)
    assert z.shape == x.shape and z.dtype == torch.float64 and not x.any()
    assert torch.equal(z, SampleNoise(0, range(2))(x.float()).double())
    kept = z.clone()
    noise(x)
    assert torch.equal(z, kept)


def test_any_sample_of_a_seed_can_be_had_alone():
    far = SampleNoise(1, range(10**9, 10**9 + 1))(torch.empty(1, 4))
    assert far.isfinite().all() and not torch.equal(far, SampleNoise(1, range(1))(far))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=r"from 0 to 2\^64 - 1, got"):
        SampleNoise(seed, range(1))


def test_a_batch_of_another_size_is_refused():
    with pytest.raises(ValueError, match="noise is for 3 samples, got 2"):
        SampleNoise(0, range(3))(torch.empty(2, 4))


@pytest.mark.parametrize("seed, indices", [(0.5, range(1)), (True, range(1))])
def test_a_seed_that_is_no_whole_number_is_refused(seed, indices):
    with pytest.raises(ValueError, match="a seed is a whole number"):
        SampleNoise(seed, indices)


@pytest.mark.parametrize("indices", [range(-1, 1), range(0)])
def test_samples_are_numbered_from_zero(indices):
    with pytest.raises(ValueError, match="samples are numbered from 0"):
        SampleNoise(0, indices)


def test_no_word_gives_infinity():
    """One in 2^24 words is the least: two or three of them in a run of 10,000 digits, per step."""
    least, most = torch.iinfo(torch.int32).min, torch.iinfo(torch.int32).max
    words = torch.tensor([[[least, least + 255, -1, 0, most], [0, most, least, -1, 7]]]).int()
    normal = box_muller(words)
    assert normal.shape == (1, 10) and normal.isfinite().all()
    assert 5.7 < float(normal.abs().max()) < 6  # sqrt(2 log 2^25), the ends of what is drawn
