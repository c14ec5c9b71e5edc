"""`proxlab.posterior`: the law of its samples where it is known, and what a sample depends on."""

import numpy as np
import pytest
import torch
from deepinv.physics import Inpainting, LinearPhysics
from torch import Tensor

import proxlab
from proxlab import operators
from proxlab.posteriors import drawing
from proxlab.priors.contract import Capabilities

VARIANCE = 0.04
"""Of the pixels of a Gaussian image around 1/2."""


class Gaussian:
    """The posterior mean of images whose pixels are N(1/2, VARIANCE)."""

    name, sigma_range = "gaussian", (0.0, 1.0)
    capabilities = Capabilities(exact=True)

    def __init__(self, share: float = 1.0):
        self.share = share

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The mean; `share` of the pull to 1/2."""
        s2 = torch.as_tensor(sigma).to(v).view(-1, 1, 1, 1) ** 2
        return v - self.share * s2 / (VARIANCE + s2) * (v - 0.5)


class Weighed(LinearPhysics):
    """y = [x_0 + x_1, 2 x_2] of images of 1 x 3 pixels."""

    def A(self, x, **kwargs):
        return torch.cat([x[..., :1] + x[..., 1:2], 2 * x[..., 2:]], -1)

    def A_adjoint(self, y, **kwargs):
        return torch.cat([y[..., :1], y[..., :1], 2 * y[..., 1:]], -1)


def law(prior, noise: float = 0.1, n: int = 4000) -> tuple[Tensor, Tensor]:
    y = torch.tensor([[[[1.4, 0.9]]]])
    op = Weighed(noise_model=operators.Noise(0.1))
    post = proxlab.posterior(y, op, prior, n, steps=[0.5, 0.3, 0.15], noise=noise)
    flat = post.samples.view(n, 3)
    return flat.mean(0), torch.from_numpy(np.cov(flat.double().numpy().T)).float()


def truth() -> tuple[Tensor, Tensor]:
    A = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    covariance = torch.linalg.inv(torch.eye(3) / VARIANCE + A.T @ A / 0.1**2)
    return 0.5 + covariance @ A.T @ (torch.tensor([1.4, 0.9]) - A.sum(1) / 2) / 0.1**2, covariance


def far(found: tuple[Tensor, Tensor]) -> float:
    """Distance from the truth, in deviations."""
    mean, covariance = truth()
    scale = covariance.diagonal().sqrt()
    apart = (found[1] - covariance) / (scale * scale[:, None])
    return max(float(((found[0] - mean) / scale).abs().max()), float(apart.abs().max()))


def test_of_gaussian_images_the_law_is_the_posterior(monkeypatch):
    monkeypatch.setattr("proxlab.posteriors.measured.ACCURACY", 1e-3)
    assert far(law(Gaussian())) < 0.06
    assert far(law(Gaussian(share=0.7))) > 0.15  # another prior
    assert far(law(Gaussian(), noise=0.15)) > 0.15  # another noise


def test_half_a_deviation_of_error_in_each_draw_changes_little():
    assert far(law(Gaussian())) < 0.25


def photograph(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    small = torch.rand(*shape[:2], shape[2] // 4, shape[3] // 4, generator=generator)
    return torch.nn.functional.interpolate(small, scale_factor=4, mode="bilinear")


def operators_and_sizes():
    masks = (torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    counts = operators.PhotonCounts(photons=1e4, attenuation=0.05)
    return {
        "circular": operators.deblur(operators.gaussian_kernel(1.0), noise=0.03),
        "valid": operators.deblur(operators.gaussian_kernel(1.0), noise=0.03, boundary="valid"),
        "masks of their own": Inpainting(
            (1, 24, 24), mask=masks, noise_model=operators.Noise(0.03)
        ),
        "photons": operators.ct(24, 30, counts),
    }


@pytest.mark.parametrize("name", list(operators_and_sizes()))
def test_a_sample_depends_on_its_seed_and_image_alone(name):
    op, x = operators_and_sizes()[name], photograph(2, 1, 24, 24)
    y = op(x, generator=torch.Generator().manual_seed(1))
    prior = proxlab.load("lpn-gray-small")
    post = proxlab.posterior(y, op, prior, 4, steps=3, seed=5)
    assert post.samples.shape == (4, 2, 1, 24, 24) and post.doubts == ()
    parted = proxlab.posterior(y, op, prior, 3, steps=3, seed=5, batch=2)
    assert torch.allclose(parted.samples, post.samples[:3], atol=1e-4)
    if name != "masks of their own":
        alone = proxlab.posterior(y[1:], op, prior, 2, steps=3, seed=5)
        assert torch.allclose(alone.samples[:, 0], post.samples[:2, 1], atol=1e-3)
    other = proxlab.posterior(y, op, prior, 1, steps=3, seed=6)
    assert (other.samples[0] - post.samples[0]).abs().max() > 0.05


def test_samples_fit_the_measurement_as_well_as_its_noise():
    op = operators.inpaint(operators.random_mask((32, 32), 0.5), noise=0.02)
    x = photograph(1, 1, 32, 32)
    y = op(x, generator=torch.Generator().manual_seed(1))
    post = proxlab.posterior(y, op, "lpn-gray-small", 9, steps=6)
    seen = op.A(torch.ones_like(x)).bool()
    misfit = (post.samples - y)[:, seen].square().mean().sqrt()
    assert 0.005 < misfit < 0.03
    assert post.std[~seen].mean() > 1.2 * post.std[seen].mean()
    low, high = post.interval(0.8)
    assert ((x >= low) & (x <= high)).float().mean() > 0.6


def test_samples_begin_at_the_image_that_is_brought():
    op = operators.inpaint(operators.random_mask((16, 16), 0.5), noise=0.05)
    y, x = op(photograph(1, 1, 16, 16)), photograph(1, 1, 16, 16)

    def mean(**how) -> Tensor:
        return proxlab.posterior(y, op, Gaussian(), 4, steps=[0.02], **how).mean

    plain = proxlab.data_terms.start(y, op)
    assert torch.equal(mean(init=plain), mean())
    assert torch.equal(mean(init=plain.numpy()), mean())
    apart = (mean(init=plain + 1) - mean()).mean()
    assert apart > 0.3  # a level of 0.02 leaves most of where it begins
    with pytest.raises(ValueError, match=r"init is a batch of float images \[1, 1, 16, 16\]"):
        proxlab.posterior(y, op, Gaussian(), init=x[..., :8])
    with pytest.raises(ValueError, match="1 of 256 pixels of init are NaN or infinite"):
        x[0, 0, 3, 3] = float("nan")
        proxlab.posterior(y, op, Gaussian(), init=x)


def test_counts_are_those_of_the_run(monkeypatch):
    asked = []
    prior = proxlab.load("lpn-gray-small")
    own = prior.jacobian
    monkeypatch.setattr(prior, "jacobian", lambda v, s: asked.append(s) or own(v, s))
    monkeypatch.setattr(prior, "prox", lambda v, s: pytest.fail("the Jacobian knows the prox"))
    op = operators.inpaint(operators.random_mask((16, 16), 0.5), noise=0.05)
    post = proxlab.posterior(op(photograph(1, 1, 16, 16)), op, prior, 2, steps=4)
    assert asked == list(post.levels) and post.evaluations == 4
    assert post.levels == tuple(sorted(post.levels, reverse=True))
    assert post.products >= 4 * 2  # one for a root, one to come back


def test_a_jacobian_that_is_not_symmetric_is_a_doubt():
    op = operators.inpaint(operators.random_mask((16, 16), 0.5), noise=0.05)
    post = proxlab.posterior(op(photograph(1, 1, 16, 16)), op, "unet-gray-small", 2, steps=2)
    assert "the Jacobian of unet-gray-small is not symmetric" in post.doubts[0]


def test_samples_that_are_no_numbers_are_a_doubt():
    class Lost(Gaussian):
        def prox(self, v, sigma):
            return super().prox(v, sigma) / 0

    y = torch.tensor([[[[1.4, 0.9]]]])
    op = Weighed(noise_model=operators.Noise(0.1))
    assert proxlab.posterior(y, op, Gaussian(), 2, steps=2).doubts == ()
    post = proxlab.posterior(y, op, Lost(), 2, steps=2)
    assert "some samples hold NaN or infinity, which came of gaussian" in post.doubts


OP = operators.inpaint(torch.ones(8, 8), noise=0.05)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"prior": "tv"}, "tv has no posterior samples: its prox is a most probable image"),
        ({"n": 0}, "n is a whole number from 1 to 1000000, got 0"),
        ({"n": 2.5}, "n is a whole number from 1 to 1000000, got 2.5"),
        ({"steps": 0}, "steps is a whole number from 1 to 1000000, got 0"),
        ({"steps": []}, "steps are levels that lpn-gray-small knows, 0.00392 to 0.294, got none"),
        ({"steps": [0.1, 0.2]}, "levels fall, got"),
        ({"steps": [9.0, 0.1]}, "0.00392 to 0.294, got 9"),
        ({"batch": 0}, "batch is a whole number from 1 to 1000000, got 0"),
        ({"seed": -1}, "a seed is a whole number from 0"),
        ({"noise": "loud"}, "noise is a number, a tensor or"),
        ({"noise": 0.0}, "noise"),
        ({"y": torch.full((1, 1, 8, 8), torch.nan)}, "64 of 64 measurements are NaN"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(change, said):
    asked = {"y": torch.ones(1, 1, 8, 8), "op": OP, "prior": "lpn-gray-small", **change}
    with pytest.raises(ValueError, match=said):
        proxlab.posterior(**asked)


def test_a_wrong_adjoint_is_refused():
    class Wrong(Weighed):
        def A_adjoint(self, y, **kwargs):
            return 2 * super().A_adjoint(y)

    with pytest.raises(ValueError, match="adjoint"):
        proxlab.posterior(
            torch.ones(1, 1, 1, 2), Wrong(noise_model=operators.Noise(0.1)), Gaussian()
        )


def test_levels_end_where_the_prior_still_knows_them():
    for name in ("lpn-gray", "lpn-ct", "gs-unet"):
        prior = proxlab.load(name)
        levels = drawing.Wanted(steps=7).levels(prior)
        least, most = prior.sigma_range
        assert len(levels) == 7 and least <= levels[-1] < levels[0] < most
    assert drawing.Wanted(steps=2).levels(Gaussian())[0] < 0.2
