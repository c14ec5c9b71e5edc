"""Recorrupted pairs: their law in closed form, and three mistakes that break it."""

import math

import pytest
import torch

from proxlab.training import recorrupted as r2r
from proxlab.training.patches import Patches

SIGMA, SIGNAL = 0.2, 0.3


def slope(pairs):
    """The c for which c y1 is nearest to y2, of images of white noise, and that of x to y1.

    They are equal: 1 / (1 + s^2 (1 + a^2) / t^2), whatever a.
    """
    generator = torch.Generator().manual_seed(0)
    x = SIGNAL * torch.randn(1, 1, 1000, 1000, generator=generator, dtype=torch.float64)
    noisy = x + SIGMA * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    target, given, level = pairs(noisy, SIGMA, generator)
    found = float((target * given).mean() / given.square().mean())
    return found, 1 / (1 + float(level[0]) ** 2 / SIGNAL**2)


def test_what_is_learned_is_to_denoise():
    found, right = slope(r2r.recorrupted)
    assert found == pytest.approx(right, abs=0.005)


def other_sign(noisy, sigma, generator):
    y2, y1, level = r2r.recorrupted(noisy, sigma, generator)
    return 2 * noisy - y2, y1, level


def level_of_the_images(noisy, sigma, generator):
    y2, y1, level = r2r.recorrupted(noisy, sigma, generator)
    return y2, y1, level / r2r.GROWTH


def too_much(noisy, sigma, generator):
    return r2r.recorrupted(noisy, math.sqrt(2) * sigma, generator)


@pytest.mark.parametrize("mistake", [other_sign, level_of_the_images, too_much])
def test_a_mistake_moves_it(mistake):
    found, right = slope(mistake)
    assert abs(found - right) > 0.02


def test_the_generator_alone_decides():
    pairs = r2r.RecorruptedPatches(Patches([torch.rand(40, 40)], 16), SIGMA)
    drawn = [pairs.draw(3, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))
    assert drawn[0][1].shape == (3, 1, 16, 16)
    assert torch.allclose(drawn[0][2], torch.tensor(SIGMA * math.sqrt(1.25)))
