"""The recorder: what was asked of a denoiser, in our loops and deepinv's, says if it was a prox."""

from math import cos, sin

import deepinv
import pytest
import torch
from deepinv.models import DnCNN
from deepinv.optim.data_fidelity import L2
from skimage.data import camera
from torch import nn

import proxlab
from proxlab.operators import deblur, gaussian_kernel
from solvers import witness
from tests.toys import soft

CLEAN = torch.from_numpy(camera()[96:120, 200:226]).double()[None, None] / 255
OP = deblur(gaussian_kernel(0.8), 0.05)
Y = OP(CLEAN, generator=torch.Generator().manual_seed(0))


class Map(nn.Module):
    """A denoiser x -> map(x), whatever the level."""

    def __init__(self, map):
        super().__init__()
        self.map = map

    def forward(self, x, sigma=None):
        return self.map(x)


def smooth(x):
    """A symmetric filter with eigenvalues from .2 to 1: a prox. Circular."""
    near = sum(x.roll(k, d) for k in (-1, 1) for d in (-1, -2))
    return 0.6 * x + 0.1 * near


def sharpened(x):
    """Symmetric, with eigenvalues from -.2 to 1."""
    return 0.4 * x + 0.15 * sum(x.roll(k, d) for k in (-1, 1) for d in (-1, -2))


def turned(x, angle=2.0):
    a, b = x[..., ::2], x[..., 1::2]
    c, s = cos(angle), sin(angle)
    return torch.stack([c * a - s * b, s * a + c * b], -1).flatten(-2)


def asked(map, count=12, batch=1, size=0.3):
    """A recorder that was asked `count` times about noisy images."""
    recorder = proxlab.Recorder(Map(map))
    rng = torch.Generator().manual_seed(0)
    for _ in range(count):
        recorder(CLEAN + size * torch.randn(batch, 1, 24, 26, generator=rng).double(), 0.1)
    return recorder


@pytest.mark.parametrize("map", [smooth, lambda x: soft(x, 0.2), lambda x: 2 * x])
def test_proxes_are_told_from_their_answers(map):
    (found,) = asked(map).evidence()
    assert found.exact and found.margin >= 0 and found.evaluations == 12
    assert found.steps == list(range(1, 13)) and (found.low <= found.high + 1e-9).all()
    assert (found.convex_margin >= 0) == (float(map(CLEAN).norm()) <= float(CLEAN.norm()))


@pytest.mark.parametrize("map", [turned, lambda x: -0.1 * x])
def test_what_is_none_is_refused(map):
    (found,) = asked(map).evidence()
    assert not found.exact and found.margin < 0 and found.low.isnan().all()


def test_each_image_is_judged_by_itself():
    def second_turned(x):
        return torch.cat([smooth(x[:1]), turned(x[1:])])

    first, second = asked(second_turned, batch=2).evidence()
    assert first.exact and not second.exact
    (alone,) = asked(smooth, batch=1).evidence()
    assert alone.exact


ALGORITHMS = [deepinv.optim.PGD, deepinv.optim.HQS, deepinv.optim.DRS, deepinv.optim.ADMM]


def inside(algorithm, denoiser, steps=30):
    recorder = proxlab.Recorder(denoiser)
    words = {} if algorithm in (deepinv.optim.PGD, deepinv.optim.HQS) else {"beta": 1.0}
    model = algorithm(
        L2(0.05),
        deepinv.optim.PnP(recorder),
        stepsize=0.9 * 0.05**2,
        g_param=0.05,
        max_iter=steps,
        **words,
    )
    return model(Y, OP), recorder.evidence()[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_inside_deepinvs_algorithms_it_changes_nothing_and_tells_the_proxes(algorithm):
    for map, exact in [(smooth, True), (turned, False)]:
        image, found = inside(algorithm, Map(map))
        model = Map(map)
        plain, again = inside(algorithm, model)[0], inside(algorithm, model)[1]
        assert torch.equal(image, plain) and again.margin == found.margin
        assert found.evaluations >= 30 and found.exact == exact


def test_a_negative_eigenvalue_is_met_where_the_run_goes_there():
    (found,) = asked(sharpened, size=1.0).evidence()
    _, run = inside(deepinv.optim.DRS, Map(lambda x: sharpened(sharpened(x))))
    assert run.exact  # squared, it has none
    stripes = torch.zeros_like(CLEAN)
    stripes[..., ::2, 1::2] = stripes[..., 1::2, ::2] = 1.0
    recorder = proxlab.Recorder(Map(sharpened))
    for size in (0.0, 0.5, 1.0):
        recorder(CLEAN + size * (stripes - 0.5))
    assert recorder.evidence()[0].margin == pytest.approx(-0.2, abs=1e-3)
    assert found.margin > -0.2


def test_deepinvs_network_in_its_own_algorithm():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DnCNN(1, 1, depth=3, nf=4, pretrained=None).double().requires_grad_(False)
    for p in network.out_conv.parameters():
        p.mul_(0.01)  # near the identity
    image, found = inside(deepinv.optim.HQS, network)
    assert image.isfinite().all() and found.exact and 0.5 < found.margin < 1.5


def test_another_level_or_batch_begins_anew():
    recorder = proxlab.Recorder(Map(smooth))
    recorder(CLEAN, 0.1)
    recorder(CLEAN + 1, 0.1)
    assert recorder.evidence()[0].evaluations == 2
    recorder(CLEAN, torch.tensor([0.2]))
    assert recorder.evidence()[0].evaluations == 1 and not recorder.evidence()[0].exact
    recorder(CLEAN + 1, torch.tensor([0.2]))
    assert recorder.evidence()[0].evaluations == 2
    recorder(CLEAN.repeat(2, 1, 1, 1), torch.tensor([0.2]))
    assert [one.evaluations for one in recorder.evidence()] == [1, 1]
    recorder.forget()
    with pytest.raises(ValueError, match="nothing was recorded"):
        recorder.evidence()


def test_what_it_keeps_is_its_own_and_bounded(monkeypatch):
    recorder, v = proxlab.Recorder(Map(lambda x: x.mul_(0.5))), CLEAN.clone()
    recorder(v, 0.1)  # in place, and changed afterwards too: the answer is v itself
    v += 7
    assert recorder._witness.of(0).x[0].max() < 1
    monkeypatch.setattr(witness, "MOST_BYTES", 10 * 3 * CLEAN.numel() * 8)
    few = asked(smooth, count=60)
    (found,) = few.evidence()
    assert len(found.steps) <= 10 and found.steps[0] == 1 and found.steps[-1] == 60
    assert found.evaluations == 60 and found.exact


def test_pairs_are_kept_at_most():
    recorder = proxlab.Recorder(Map(smooth), pairs=6)
    for k in range(40):
        recorder(CLEAN + 0.01 * k)
    assert 3 <= len(recorder.evidence()[0].steps) <= 6


def test_it_is_a_prior_of_restore_and_gradients_pass():
    filtering = Map(smooth)
    filtering.weight = nn.Parameter(torch.ones(1).double())  # one without is copied
    recorder = proxlab.Recorder(filtering)
    result = proxlab.restore(Y, OP, recorder, "pgd", sigma=0.04, steps=40)
    plain = proxlab.restore(Y, OP, Map(smooth), "pgd", sigma=0.04, steps=40)
    assert torch.equal(result.image, plain.image)
    assert recorder.evidence()[0].evaluations >= result.evidence[0].evaluations > 5
    assert recorder.evidence()[0].exact and result.evidence[0].margin > 0
    v = CLEAN.clone().requires_grad_()
    (slope,) = torch.autograd.grad(recorder(v, 0.1).square().sum(), v)
    assert torch.allclose(slope, 2 * smooth(smooth(CLEAN)))
    assert not recorder._witness.of(0).x[-1].requires_grad


def test_bad_input_is_refused_in_a_sentence():
    with pytest.raises(TypeError, match="wraps an nn.Module, got function"):
        proxlab.Recorder(smooth)
    with pytest.raises(ValueError, match="nothing was recorded"):
        proxlab.Recorder(Map(smooth)).evidence()
    with pytest.raises(ValueError, match=r"into \[1, 1, 24, 13\], which is no prox"):
        proxlab.Recorder(Map(lambda x: x[..., ::2]))(CLEAN)
    with pytest.raises(ValueError, match="at least"):
        proxlab.Recorder(Map(smooth), pairs=1)
