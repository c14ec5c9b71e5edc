"""The Anscombe transform: variance 1, and an inverse that has no bias."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from proxlab.operators import anscombe, inverse_anscombe

PHOTONS = [5.0, 10.0, 40.0, 200.0]


def moments(mean: float, read: float) -> tuple[float, float]:
    """Mean and variance of the transform of counts of that mean, read noise in photons, exact."""
    n = np.arange(int(mean + 15 * math.sqrt(mean) + 30))
    if read == 0:
        values, chance = n.astype(float), stats.poisson.pmf(n, mean)
    else:
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        values = (n[:, None] + read * nodes).ravel()
        chance = np.outer(stats.poisson.pmf(n, mean), weights / weights.sum()).ravel()
    d = anscombe(torch.from_numpy(values), 1.0, read).numpy()
    first = float((chance * d).sum())
    return first, float((chance * d**2).sum()) - first**2


@pytest.mark.parametrize("read", [0.0, 2.0])
@pytest.mark.parametrize("mean", PHOTONS)
def test_the_variance_is_one(mean, read):
    assert moments(mean, read)[1] == pytest.approx(1, abs=0.003 if read == 0 else 0.05)


def test_without_the_transform_it_is_not():
    n = torch.from_numpy(stats.poisson.rvs(40.0, size=1000, random_state=0)).double()
    assert float(n.var()) > 30 and float((2 * n.sqrt()).std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("read", [0.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0, 2.0, *PHOTONS])
def test_the_inverse_has_no_bias(mean, read):
    d = torch.tensor(moments(mean, read)[0], dtype=torch.float64)
    found = float(inverse_anscombe(d, 1.0, read))
    assert abs(found - mean) < (0.02 if read == 0 else 0.04)


def test_the_algebraic_inverse_has():
    d = moments(2.0, 0.0)[0]
    assert (d / 2) ** 2 - 3 / 8 < 2.0 - 0.15
    assert float(inverse_anscombe(torch.tensor(d), 1.0)) == pytest.approx(2.0, abs=0.05)


def test_units_do_not_matter():
    n = torch.tensor([0.0, 3.0, 50.0])
    for gain in (0.01, 7.0):
        torch.testing.assert_close(anscombe(gain * n, gain, 2 * gain), anscombe(n, 1.0, 2.0))
        d = anscombe(n, 1.0, 2.0)
        torch.testing.assert_close(
            inverse_anscombe(d, gain, 2 * gain), gain * inverse_anscombe(d, 1.0, 2.0)
        )


def test_what_lies_below_no_photon_is_none():
    assert torch.equal(inverse_anscombe(torch.tensor([-3.0, 0.0, 1.0]), 0.1), torch.zeros(3))
    assert torch.equal(anscombe(torch.tensor([-9.0]), 1.0), torch.zeros(1))


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "1"])
def test_nonsense_is_refused(bad):
    for transform in (anscombe, inverse_anscombe):
        with pytest.raises(ValueError, match="gain is positive and finite"):
            transform(torch.ones(1), bad)
        with pytest.raises(ValueError, match="read is finite and from 0 on"):
            transform(torch.ones(1), 1.0, bad)
