"""Full precision: an exact prox convolves in all of float32, and leaves the setting as it was."""

import pytest
import torch
import torch.nn.functional as F

from proxlab.machine import FULL, NAMED_PRECISION, full_precision
from proxlab.priors.crate.denoiser import CrateConfig
from proxlab.priors.gradient_step import GradientStep
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN

X = 0.5 + 0.01 * torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))


def setting():
    cudnn = torch.backends.cudnn
    return cudnn.conv.fp32_precision if NAMED_PRECISION else cudnn.allow_tf32


def learned():
    return LPN(MixturePotential(MixtureConfig(4, 2, context=1)))


def step():
    return GradientStep(CrateConfig(width=32, heads=2, layers=1, smoothing=0.1))


@pytest.mark.parametrize(
    "run",
    [
        lambda: learned().prox(X, 0.1),
        lambda: learned().prox_and_value(X, 0.1),
        lambda: learned().inverse(X, 0.1),
        lambda: learned().value(X, 0.1),
        lambda: step().prox(X, 0.1),
    ],
)
def test_what_is_exact_convolves_in_full(run, monkeypatch):
    found = []

    def spy(convolve):
        def spied(*args, **options):
            found.append(setting())
            return convolve(*args, **options)

        return spied

    for name in ("conv2d", "conv_transpose2d"):
        monkeypatch.setattr(F, name, spy(getattr(F, name)))
    before = setting()
    run()
    assert found and set(found) == {FULL}
    assert setting() == before != FULL


def test_an_error_leaves_the_setting_as_it_was():
    before = setting()
    with pytest.raises(RuntimeError), full_precision():
        assert setting() == FULL
        raise RuntimeError
    assert setting() == before
