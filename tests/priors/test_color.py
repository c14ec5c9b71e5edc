"""Images in colour, and a prior that mixes their channels."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, camera
from torch import nn

from proxlab.commands import restore
from proxlab.commands.main import main
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN

SIGMA = 0.1


class Opponent(nn.Module):
    """psi(v) = sum_c psi_gray((Q v)_c): convex, and the channels mixed by an orthonormal Q."""

    channels = 3
    fixed_size, alignment = False, 2

    def __init__(self, gray: MixturePotential, q: torch.Tensor):
        super().__init__()
        self.gray, self.config = gray, gray.config
        self.alpha, self.reach = gray.alpha, gray.reach
        self.register_buffer("q", q.double())

    def _mixed(self, v, sigma):
        planes = torch.einsum("ij,bjhw->bihw", self.q.to(v), v)
        return planes.reshape(-1, 1, *v.shape[2:]), sigma.repeat_interleave(3)

    def _back(self, planes):
        return torch.einsum("ji,bjhw->bihw", self.q.to(planes), planes)

    def gradient(self, v, sigma):
        return self._back(self.gray.gradient(*self._mixed(v, sigma)).view_as(v))

    def gradient_and_gap(self, v, sigma):
        grad, gap = self.gray.gradient_and_gap(*self._mixed(v, sigma))
        return self._back(grad.view_as(v)), gap.view(-1, 3).sum(1)


def mixing():
    """A rotation that is no permutation of channels, so that mixing is seen."""
    return torch.linalg.qr(torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]]).double().T)[0].T


def colour_prior(q=None):
    gray = MixturePotential(MixtureConfig(4, 2, context=1))
    return LPN(Opponent(gray, mixing() if q is None else q), name="toy").requires_grad_(False)


@pytest.fixture
def v():
    x = torch.from_numpy(astronaut()).permute(2, 0, 1)[None, :, 20:32, 200:213].double() / 255
    noise = torch.randn(2, *x.shape[1:], generator=torch.Generator().manual_seed(0))
    return x + SIGMA * noise.to(x)


def gap(a, b):
    return float((a - b).norm() / b.norm())


def gray_road(prior, v, sigma):
    """Prox and R of the toy by the gray prior alone, on hand-mixed channels."""
    gray, q = LPN(prior.potential.gray), mixing().to(v)
    x, r = gray.prox_and_value(torch.einsum("ij,bjhw->bihw", q, v), sigma)
    return torch.einsum("ji,bjhw->bihw", q, x), r


def test_a_colour_prior_is_the_gray_one_on_mixed_channels(v):
    prior, sigma = colour_prior(), torch.tensor([SIGMA, 0.05])
    (x, r), (by_hand, value) = prior.prox_and_value(v, sigma), gray_road(prior, v, sigma)
    assert gap(x, by_hand) < 1e-12 and gap(r, value) < 1e-12 and r.shape == (2,)
    assert gap(prior.prox(v, sigma), by_hand) < 1e-12
    assert gap(prior.inverse(x, sigma, tol=1e-4), v) < 0.1
    assert gap(prior.value(x, sigma, tol=1e-4), r) < 1e-4
    assert gap(prior.prox(v, sigma), LPN(prior.potential.gray).prox(v, sigma)) > 1e-3


def test_no_rival_beats_the_colour_prox(v):
    prior = colour_prior()
    p, r = prior.prox_and_value(v, SIGMA)
    here = r + (p - v).square().sum((1, 2, 3)) / 2
    for rival in (0 * v, v.roll(1, 1), v.roll(5, 3), 2 * v, v + 0.02):
        q, s = prior.prox_and_value(rival, SIGMA)
        assert (s + (q - v).square().sum((1, 2, 3)) / 2 > here).all()


def test_those_comparisons_catch_a_mixing_that_is_no_rotation(v):
    prior = colour_prior(1.1 * mixing())
    assert gap(prior.prox(v, SIGMA), gray_road(prior, v, SIGMA)[0]) > 1e-3
    channelwise = colour_prior(torch.eye(3))
    assert gap(channelwise.prox(v, SIGMA), gray_road(channelwise, v, SIGMA)[0]) > 1e-3


@pytest.mark.parametrize("call", ["prox", "prox_and_value", "value", "inverse"])
@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_a_colour_prior_refuses_other_images(call, channels):
    with pytest.raises(ValueError, match=rf"toy knows colour .*got \[2, {channels}, 9.*lpn-gray"):
        getattr(colour_prior(), call)(torch.rand(2, channels, 9, 8), SIGMA)


def test_a_potential_that_says_nothing_is_gray(v):
    prior = LPN(MixturePotential(MixtureConfig(4, 2, context=1))).requires_grad_(False)
    assert prior.channels == 1 and colour_prior().channels == 3
    one_by_one = torch.cat([prior.prox(v[:, c : c + 1], SIGMA) for c in range(3)], 1)
    assert gap(prior.prox(v, SIGMA), one_by_one) < 1e-12


RESTORE = [
    "deblur --blur-sigma 1 --noise 0.05",
    "deblur --blur-sigma 1 --noise 0.05 --boundary valid",
    "inpaint --missing 0.5 --noise 0.05",
    "inpaint --box 4,5,6,7 --noise 0.05",
    "inpaint --mask mask.npy --noise 0.05",
]


@pytest.fixture
def toy(photos, monkeypatch):
    """The command, its prior replaced by one that mixes channels, among photographs."""
    monkeypatch.chdir(photos)
    monkeypatch.setattr(restore, "named_prior", lambda name, sha256: colour_prior())
    np.save("mask.npy", (np.indices((36, 40)).sum(0) % 3 > 0).astype(np.uint8))
    Image.fromarray(camera()[:36, :40]).save("gray.png")


@pytest.mark.parametrize("words", RESTORE)
def test_the_command_restores_a_colour_photograph(toy, words, capsys):
    words = f"restore 0.png {words} --simulate --steps 30 --device cpu --out new.png"
    assert main(words.split()) == 0
    with Image.open("new.png") as image:
        assert image.mode == "RGB" and image.size == (40, 36)
    before, after = re.search(r"PSNR (?:(\S+) -> )?(\S+) dB", capsys.readouterr().out).groups()
    assert float(after) > float(before or 20)


@pytest.mark.parametrize("words", RESTORE)
def test_a_gray_file_for_a_colour_prior_is_one_sentence(toy, words, capsys):
    assert main(f"restore gray.png {words} --simulate --device cpu --out new.png".split()) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"proxlab: toy knows colour images .*; use a gray model .*\n", said)
    assert not Path("new.png").exists()
