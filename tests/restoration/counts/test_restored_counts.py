"""Counts restored: what was taken is told, evidence is true, units do not matter."""

import re

import deepinv
import pytest
import torch
from skimage.data import camera

import proxlab
from proxlab import operators
from proxlab.jobs import restore
from proxlab.operators.contract import Accuracy
from proxlab.operators.counts.data_terms import BlurredCounts
from proxlab.restoration import restoring
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.premises import OF_COUNTS, OF_SEEN_COUNTS, default_weight

CLEAN = torch.from_numpy(camera()[100:132, 200:232]).float()[None, None] / 255
PEAK = 50.0
KERNEL = operators.gaussian_kernel(0.8)
MASK = operators.random_mask((32, 32), 0.4, torch.Generator().manual_seed(0))


def drawn(op, x=CLEAN):
    return op(x, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("problem", ["blur", "mask"])
def test_counts_are_restored_by_themselves_and_say_so(problem):
    camera_noise = operators.CameraNoise(1 / PEAK)
    op = {
        "blur": operators.deblur(KERNEL, camera_noise),
        "mask": operators.inpaint(MASK, camera_noise),
    }[problem]
    y = drawn(op)
    result = restore(y, op, "lpn-gray-small", steps=300)
    assert result.premises.counts == "counts of photons, 50 at the value 1"
    assert result.certified == [True] and result.doubts == [""]
    assert result.evidence[0].step < 1 and result.evidence[0].curvature <= 1.01
    before = y if problem == "blur" else proxlab.data_terms.start(y, op)
    assert proxlab.metrics.psnr(result.image, CLEAN) > proxlab.metrics.psnr(before, CLEAN) + 1.5
    f = data_term(y, op, strength=1 / default_weight(proxlab.load("lpn-gray-small"), op, counts=y))
    k = int(result.steps[0]) - 1
    assert float(result.trace.data_misfit[k, 0]) == pytest.approx(
        float(f.value(result.image)[0]), rel=1e-3
    )


def test_the_share_of_the_weight_goes_by_what_the_operator_does():
    prior, y = proxlab.load("lpn-gray-small"), torch.ones(1, 1, 32, 32)
    own = prior.capabilities.default_weight
    blur, mask, alone = operators.deblur(KERNEL), operators.inpaint(MASK), operators.denoise(0.1)
    assert [default_weight(prior, op) for op in (blur, mask)] == [own, own]
    assert default_weight(prior, blur, y) == own * OF_COUNTS
    assert default_weight(prior, mask, y) == own * OF_SEEN_COUNTS
    assert OF_COUNTS < OF_SEEN_COUNTS < 1
    assert default_weight(prior, alone, y) >= own * OF_SEEN_COUNTS


@pytest.mark.parametrize("normalize", [True, False])
def test_the_noise_of_deepinv_gives_what_ours_gives(normalize):
    ours = operators.deblur(KERNEL, operators.CameraNoise(1 / PEAK))
    y = drawn(ours)
    theirs = operators.deblur(KERNEL)
    theirs.set_noise_model(deepinv.physics.PoissonNoise(1 / PEAK, normalize=normalize))
    counted = y if normalize else PEAK * y
    first, second = (
        restore(a, op, "lpn-gray-small", steps=40) for a, op in ((y, ours), (counted, theirs))
    )
    assert (first.image - second.image).abs().max() < 1e-4
    assert second.premises.counts == first.premises.counts
    torch.testing.assert_close(proxlab.data_terms.start(counted, theirs), y)


def test_read_noise_is_taken_into_account():
    op = operators.inpaint(MASK)
    op.set_noise_model(deepinv.physics.PoissonGaussianNoise(1 / PEAK, 0.1))
    y = drawn(operators.inpaint(MASK, operators.CameraNoise(1 / PEAK, 0.1)))
    result = restore(y, op, "lpn-gray-small", steps=60)
    assert result.premises.counts.endswith("read noise 0.1")
    op.set_noise_model(deepinv.physics.PoissonNoise(1 / PEAK))
    deaf = restore(y, op, "lpn-gray-small", steps=60)
    right, wrong = (float(proxlab.metrics.psnr(r.image, CLEAN)) for r in (result, deaf))
    assert right > wrong + 1


def test_a_step_that_is_too_long_is_told_by_the_corner_s_curvature():
    op = operators.deblur(KERNEL, operators.CameraNoise(1 / PEAK))
    result = restore(drawn(op), op, "lpn-gray-small", sigma=0.2, steps=10)
    assert result.certified == [False] and "is not below 1 / L" in result.doubts[0]


class Liar(BlurredCounts):
    """Says that it is flatter than it is."""

    def lipschitz(self):
        return super().lipschitz() / 1e3


class Deaf(BlurredCounts):
    """Takes half of the gradient, in its prox and as told."""

    def grad(self, x):
        return super().grad(x) / 2


@pytest.mark.parametrize(
    "kind, words", [(Liar, "bends .* times as much"), (Deaf, "gradient that differs")]
)
def test_a_term_that_lies_is_not_certified(kind, words, monkeypatch):
    op = operators.deblur(KERNEL, operators.CameraNoise(1 / PEAK))

    def lying(*args, **more):
        f = data_term(*args, **more)
        return kind(f.likelihood, f.floor, f.op, f.bound, Accuracy())

    monkeypatch.setattr(restoring, "data_term", lying)
    result = restore(drawn(op), op, "lpn-gray-small", steps=30)
    assert result.certified == [False]
    assert re.search(words, result.doubts[0])


def test_convex_priors_go_by_admm_and_pdhg_is_refused():
    op = operators.inpaint(MASK, operators.CameraNoise(1 / PEAK))
    y = drawn(op)
    result = restore(y, op, "tv", steps=60)
    assert result.solver == "admm" and result.evidence[0].gap is None
    with pytest.raises(ValueError, match="pdhg takes measurements with Gaussian noise"):
        restore(y, op, "tv", "pdhg")


def test_images_of_a_batch_come_out_as_alone():
    op = operators.deblur(KERNEL, operators.CameraNoise(1 / PEAK))
    y = drawn(op, torch.cat([CLEAN, CLEAN.flip(3) / 2]))
    both = restore(y, op, "lpn-gray-small", steps=40)
    alone = restore(y[1:], op, "lpn-gray-small", steps=40)
    assert (both.image[1:] - alone.image).abs().max() < 2e-4


def test_a_posterior_of_counts_is_drawn_by_local_weights():
    op = operators.inpaint(MASK, operators.CameraNoise(1 / PEAK))
    post = proxlab.posterior(drawn(op), op, "lpn-gray-small", n=2, steps=2)
    assert post.samples.isfinite().all()
    photons = operators.inpaint(MASK)
    photons.set_noise_model(deepinv.physics.PoissonNoise(1 / PEAK, normalize=False))
    other = proxlab.posterior(PEAK * drawn(op), photons, "lpn-gray-small", n=2, steps=2)
    torch.testing.assert_close(other.samples, post.samples, atol=1e-3, rtol=0)
