"""Wavelets: an orthogonal basis at every size, and the exact prox of what they say their value is.

The basis is compared with a slow one written from the definition, the prox with every rival.
"""

import pytest
import torch
from skimage.data import camera

import proxlab
from proxlab.images.metrics import psnr
from proxlab.operators import deblur, gaussian_kernel, inpaint, random_mask
from proxlab.priors.wavelets import Wavelets, daubechies

SIGMA = 0.1
SIZES = [(1, 1), (1, 9), (2, 2), (3, 5), (8, 12), (7, 64), (31, 33), (40, 45)]
PIXELS = torch.from_numpy(camera()[96:137, 200:248]).double() / 255


def images(height, width, batch=2, channels=1, seed=0):
    """Photographs where they are large enough, and noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64)
    tiled = PIXELS.repeat(1 + height // 41, 1 + width // 48)[:height, :width]
    return tiled + SIGMA * noise


def gap(a, b):
    return float((a - b).norm() / b.norm().clamp(min=1e-300))


@pytest.mark.parametrize("moments", range(1, 11))
def test_filter_is_what_defines_it(moments):
    """Orthogonal to its even shifts, so many moments of its high pass vanish, zeros inside."""
    h = torch.from_numpy(daubechies(moments))
    for k in range(moments):
        shifted = (h[2 * k :] * h[: len(h) - 2 * k]).sum()
        assert float(shifted) == pytest.approx(float(k == 0), abs=1e-12)
    i = torch.arange(len(h)).double()
    signs = 1 - 2 * (i % 2)
    for power in range(moments):
        assert abs(float((signs * i**power * h).sum())) < 1e-9 * len(h) ** power
    assert float(h[:moments].square().sum()) > 0.5  # its energy comes first


def test_second_filter_is_that_of_the_book():
    root = 3**0.5
    book = torch.tensor([1 + root, 3 + root, 3 - root, 1 - root]).double() / (4 * 2**0.5)
    assert gap(torch.from_numpy(daubechies(2)), book) < 1e-7


@pytest.mark.parametrize("moments, depth", [(1, 1), (2, 3), (4, 3), (10, 9)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_basis_is_orthogonal_at_every_size(size, moments, depth):
    prior, x, z = Wavelets(1.0, moments, depth), images(*size), images(*size, seed=1)
    c, d = prior._analysis(x), prior._analysis(z)
    assert float((c * d).sum()) == pytest.approx(float((x * z).sum()), rel=1e-11)
    assert gap(prior._synthesis(c), x) < 1e-12
    flat = torch.full((1, 1, *size), 0.4, dtype=torch.float64)
    assert float(prior.value(flat, 1.0)) < 1e-11 * flat.numel()  # an image without details


def slow(n, moments):
    """One level on an even side as a matrix, from the definition: coarse rows, then details."""
    h = daubechies(moments)
    rows = torch.zeros(n, n, dtype=torch.float64)
    for k in range(n // 2):
        for i in range(len(h)):
            rows[k, (2 * k + i) % n] += h[i]
            rows[n // 2 + k, (2 * k + i) % n] += (-1) ** i * h[len(h) - 1 - i]
    return rows


@pytest.mark.parametrize("moments, height, width", [(1, 4, 6), (2, 8, 12), (4, 10, 6)])
def test_agrees_with_the_slow_one(moments, height, width):
    x, t = images(height, width), 2.0 * SIGMA**2
    down, across = slow(height, moments), slow(width, moments)
    c = down @ x @ across.mT
    details = torch.ones(height, width, dtype=torch.bool)
    details[: height // 2, : width // 2] = False
    prior = Wavelets(2.0, moments, depth=1)
    value = t * c[..., details].abs().sum((1, 2))
    assert torch.allclose(prior.value(x, SIGMA), value, rtol=1e-12)
    shrunk = torch.where(details, torch.nn.functional.softshrink(c, t), c)
    assert gap(prior.prox(x, SIGMA), down.mT @ shrunk @ across) < 1e-12


def test_by_hand():
    """Haar on two by two pixels, and on three, of which the last is a strip."""
    x = torch.tensor([[[[0.9, 0.1], [0.3, 0.5]]]]).double()
    details = 0.9 - 0.1 + 0.3 - 0.5, 0.9 + 0.1 - 0.3 - 0.5, 0.9 - 0.1 - 0.3 + 0.5
    value = float(Wavelets(3.0, moments=1).value(x, 0.5))
    assert value == pytest.approx(0.75 * sum(abs(d) / 2 for d in details))
    row = torch.tensor([[[[0.9, 0.1, 0.7]]]]).double()
    shrunk = Wavelets(1.0, moments=1, depth=1).prox(row, 0.1)
    step = 0.01 / 2**0.5
    assert torch.allclose(shrunk.flatten(), torch.tensor([0.9 - step, 0.1 + step, 0.7]).double())


def shortfall(prior, v):
    """Largest lack of growth of F = |x - v|^2 / 2 + R by |d|^2 / 2 around the prox, relative."""
    x, r = prior.prox_and_value(v, SIGMA)
    least = (x - v).square().sum((1, 2, 3)) / 2 + r
    generator = torch.Generator().manual_seed(1)
    worst = 0.0
    others = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for _ in range(3)]
    for z in (v, 0 * v, v.mean((2, 3), keepdim=True) + 0 * v, v.flip(3), *others):
        for far in (1.0, 0.1, 1e-3):
            d = far * (z - x)
            found = (x + d - v).square().sum((1, 2, 3)) / 2 + prior.value(x + d, SIGMA)
            grown = least + d.square().sum((1, 2, 3)) / 2
            worst = max(worst, float(((grown - found) / least).max()))
    return worst


@pytest.mark.parametrize("size", [(2, 3), (16, 16), (31, 40)], ids=str)
@pytest.mark.parametrize("weight", [0.5, 13.0, 200.0])
def test_no_rival_beats_the_prox(weight, size):
    assert shortfall(Wavelets(weight), images(*size, channels=2)) < 1e-12


class Hard(Wavelets):
    """Planted: keeps what it does not set to zero."""

    def _shrunk(self, v, sigma):
        c, small = self._analysis(v), super()._shrunk(v, sigma)
        return torch.where(small == 0, 0.0, c)


class Coarse(Wavelets):
    """Planted: shrinks the coarse image too, whose size it does not count."""

    def _shrunk(self, v, sigma):
        return torch.nn.functional.softshrink(self._analysis(v), self.weight * sigma**2)


class Halved(Wavelets):
    """Planted: the threshold of |x - v|^2 without the half."""

    def _shrunk(self, v, sigma):
        return super()._shrunk(v, sigma / 2**0.5)


class Extended(Wavelets):
    """Planted: an odd side is extended by its last pixel, as PyWavelets does, and cut again."""

    def prox_and_value(self, v, sigma):
        longer = torch.nn.functional.pad(v, (0, v.shape[3] % 2, 0, v.shape[2] % 2), "replicate")
        x = self.prox(longer, sigma)[..., : v.shape[2], : v.shape[3]]
        return x, self.value(x, sigma)


@pytest.mark.parametrize("wrong", [Hard, Coarse, Halved, Extended])
def test_that_check_catches_planted_mistakes(wrong):
    assert shortfall(wrong(13.0), images(31, 40)) > 1e-4


def test_every_image_has_its_level_and_the_dtype_stays():
    v, levels = images(17, 20, batch=3), torch.tensor([0.02, 0.1, 0.0])
    prior = Wavelets()
    x, r = prior.prox_and_value(v, levels)
    for i, level in enumerate(levels):
        assert gap(x[i], prior.prox(v[i : i + 1], float(level))[0]) < 1e-8
    assert torch.allclose(r, prior.value(x, levels), atol=1e-12) and r[2] == 0
    assert torch.equal(prior(v, 0.1), prior.prox(v, 0.1))
    single, value = prior.prox_and_value(v.float(), 0.1)
    assert single.dtype == torch.float32 and value.dtype == torch.float64
    assert gap(single.double(), prior.prox(v, 0.1)) < 1e-6
    assert gap(prior.prox(images(17, 20, channels=3), 0.1)[:, 1:2], prior.prox(v[:2], 0.1)) > 0


@pytest.mark.parametrize("kind", ["deblur", "inpaint"])
def test_restorations_are_certified_and_help(kind):
    generator = torch.Generator().manual_seed(0)
    x = PIXELS[None, None].float()
    op = (
        deblur(gaussian_kernel(1.0), 0.02)
        if kind == "deblur"
        else inpaint(random_mask(x.shape[-2:], 0.3, generator), 0.02)
    )
    y = op(x, generator=generator)
    result = proxlab.restore(y, op, proxlab.load("wavelets"))
    assert result.certified == [True] and result.trace.objective is not None
    assert float(psnr(result.image, x)) > float(psnr(y, x)) + 0.5


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: Wavelets(0.0), "positive and finite, got 0.0"),
        (lambda: Wavelets(moments=11), "1 to 10 vanishing moments .*, got 11 and 3"),
        (lambda: Wavelets(depth=0), "got 4 and 0"),
        (lambda: Wavelets().prox(images(4, 4), 25.0), "wavelets knows .*; divide by 255"),
        (lambda: Wavelets().prox(images(4, 4), torch.rand(3)), "got 3 for 2 images"),
        (lambda: Wavelets().value(images(4, 4)[0], 0.1), r"\[B, C, H, W\]"),
    ],
)
def test_nonsense_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same_image():
    v = images(33, 40)
    there = Wavelets().prox(v.cuda(), SIGMA)
    assert there.is_cuda and gap(there.cpu(), Wavelets().prox(v, SIGMA)) < 1e-12
