"""deepinv's denoisers in our solvers: the same images as in its own, batch-honest, no value."""

import deepinv
import pytest
import torch
from deepinv.models import DnCNN, DRUNet, MedianFilter, TGVDenoiser, TVDenoiser
from deepinv.optim.data_fidelity import L2
from skimage.data import camera

import proxlab
import solvers
from proxlab.images.metrics import psnr
from proxlab.operators import deblur, gaussian_kernel, inpaint, random_mask
from proxlab.priors.classical import TV
from proxlab.restoration import ALGORITHMS
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.fixed_level import AtStep
from solvers.duality.composite import HasWarmStart

SIGMA, NOISE, WEIGHT = 0.05, 0.06, 8.0
CLEAN = torch.from_numpy(camera()[96:120, 200:226]).double()[None, None] / 255


def generator():
    return torch.Generator().manual_seed(0)


OPERATORS = {
    "deblur": deblur(gaussian_kernel(0.8), NOISE),
    "inpaint": inpaint(random_mask((24, 26), 0.4, generator()), NOISE),
}


def threshold(sigma):
    return WEIGHT * sigma**2


def tv(argument=threshold):
    """A few inner steps from the last dual: the outer loop rests at the exact prox all the same."""
    return proxlab.DenoiserPrior(TVDenoiser(n_it_max=20, crit=1e-9), argument=argument)


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return proxlab.DenoiserPrior(DnCNN(1, 1, depth=3, nf=4, pretrained=None).double())


def gap(a, b):
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("solver", [name for name in ALGORITHMS if name != "pdhg"])
@pytest.mark.parametrize("kind", [TVDenoiser, TGVDenoiser, MedianFilter, DnCNN])
def test_all_solvers_take_them_and_doubt_them(kind, solver):
    if kind is DnCNN:
        prior = network()
        for p in prior.denoiser.out_conv.parameters():
            p.data *= 0.01  # untrained, so near the identity, or it blows up
    elif kind is MedianFilter:
        prior = proxlab.DenoiserPrior(MedianFilter(3))
    else:
        prior = proxlab.DenoiserPrior(kind(n_it_max=5), argument=threshold)
    op = OPERATORS["inpaint"]
    y = op(CLEAN, generator=generator())
    result = proxlab.restore(y, op, prior, solver, sigma=SIGMA, steps=30)
    assert result.trace.objective is None and result.certified == [False]
    found = result.evidence[0]
    assert found.value_margin is None and found.evaluations > 1
    refused = f"the answers of {prior.name} are those of no prox" in result.doubts[0]
    assert refused == (found.margin < 0) == (found.objective_fall is None)
    assert refused or "above" in result.doubts[0]  # else it is not at rest
    assert float(psnr(result.image, CLEAN) - psnr(y, CLEAN)) > 3


def test_a_median_is_no_prox_and_pdhg_solves_no_denoiser():
    op, prior = OPERATORS["inpaint"], proxlab.DenoiserPrior(MedianFilter(3))
    y = op(CLEAN, generator=generator())
    result = proxlab.restore(y, op, prior, "admm", sigma=SIGMA, steps=40)
    assert result.evidence[0].margin < -0.05 and "no prox" in result.doubts[0]
    with pytest.raises(ValueError, match=r"pdhg solves convex priors g\(K x\).*take admm"):
        proxlab.restore(y, op, prior, "pdhg", sigma=SIGMA, steps=30)


def theirs(prior, y, op, solver=deepinv.optim.PGD, steps=60, **words):
    model = solver(L2(NOISE), prior, stepsize=SIGMA**2, max_iter=steps, **words)
    return model(y, op, init=(y, y))


def ours(prior, y, op, solver=solvers.pgd, steps=60):
    run = prior.for_run() if isinstance(prior, HasWarmStart) else prior
    states = solver(data_term(y, op), AtStep(run), y, tau=SIGMA**2)
    return solvers.run(states, max_steps=steps, tol=1e-10).x


@pytest.mark.parametrize("name", OPERATORS)
def test_three_roads_to_one_image(name):
    """deepinv's denoiser in our PGD, in deepinv's, and its penalty's own minimum, by ours."""
    op = OPERATORS[name]
    y = op(CLEAN, generator=generator())
    image = ours(tv(), y, op)
    plug = deepinv.optim.PnP(TVDenoiser(n_it_max=20, crit=1e-9))
    assert gap(image, theirs(plug, y, op, g_param=threshold(SIGMA))) < 1e-4
    solved = proxlab.DenoiserPrior(TVDenoiser(n_it_max=100, crit=1e-9), argument=threshold)
    assert gap(ours(solved, y, op), ours(TV(WEIGHT, accuracy=1e-3), y, op)) < 2e-4
    assert gap(image, y) > 1e-2


def test_admm_of_both_agrees():
    op = OPERATORS["inpaint"]
    y = op(CLEAN, generator=generator())
    image = ours(tv(), y, op, solvers.admm)
    plug = deepinv.optim.PnP(TVDenoiser(n_it_max=20, crit=1e-9))
    other = theirs(plug, y, op, deepinv.optim.ADMM, g_param=threshold(SIGMA))
    assert gap(image, other) < 1e-3 and gap(image, ours(tv(), y, op)) < 1e-3


@pytest.mark.parametrize("wrong", [lambda s: WEIGHT * s, None])
def test_those_comparisons_catch_a_wrong_argument(wrong):
    op = OPERATORS["deblur"]
    y = op(CLEAN, generator=generator())
    assert gap(ours(tv(argument=wrong), y, op), ours(tv(), y, op)) > 1e-2


def test_an_image_does_not_see_its_batch():
    """deepinv's own call does: it stops when the batch does, and remembers the last one."""
    batch = torch.cat([CLEAN, 40 * CLEAN.flip(3), CLEAN.roll(7, 2)])
    levels = torch.tensor([0.1, 0.02, 0.2], dtype=torch.float64)
    prior = proxlab.DenoiserPrior(TVDenoiser(n_it_max=300, crit=1e-4), argument=threshold)
    together = prior.prox(batch, levels)
    for i in range(3):
        alone = proxlab.DenoiserPrior(TVDenoiser(n_it_max=300, crit=1e-4), argument=threshold)
        assert torch.equal(together[i : i + 1], alone.prox(batch[i : i + 1], float(levels[i])))
    direct = TVDenoiser(n_it_max=300, crit=1e-4)(batch, WEIGHT * levels**2)
    assert gap(direct[0], together[0]) > 1e-5


def test_a_narrowed_batch_keeps_its_images_apart():
    batch = torch.cat([CLEAN, CLEAN.flip(3), CLEAN.roll(7, 2)])
    prior, twin = tv().for_run(), tv().for_run()
    prior.prox(batch, SIGMA), twin.prox(batch, SIGMA)
    part, whole = (
        prior.select(torch.tensor([0, 2])).prox(batch[::2], SIGMA),
        twin.prox(batch, SIGMA),
    )
    assert torch.equal(part, whole[::2])
    moved_up = tv().for_run()
    moved_up.prox(batch, SIGMA)
    assert not torch.equal(moved_up.prox(batch[::2], SIGMA), part)


def test_a_prior_itself_keeps_nothing():
    prior = tv()
    first = prior.prox(CLEAN, SIGMA)
    prior.prox(CLEAN * float("nan"), SIGMA)
    assert torch.equal(prior.prox(CLEAN, SIGMA), first)
    run = prior.for_run()
    run.prox(CLEAN, SIGMA)
    assert not torch.equal(run.prox(CLEAN, SIGMA), first)  # that is what a run is for
    assert prior.select(torch.tensor([0])) is prior


def test_a_whole_restoration_does_not_see_its_batch():
    op = OPERATORS["deblur"]
    y = op(torch.cat([0 * CLEAN + 0.5, CLEAN]), generator=generator())
    prior = proxlab.DenoiserPrior(TVDenoiser(n_it_max=30), argument=threshold)
    together = proxlab.restore(y, op, prior, sigma=SIGMA, steps=60, tol=1e-3)
    alone = proxlab.DenoiserPrior(TVDenoiser(n_it_max=30), argument=threshold)
    one = proxlab.restore(y[1:], op, alone, sigma=SIGMA, steps=60, tol=1e-3)
    assert together.steps[0] != together.steps[1]  # so the batch was narrowed on the way
    assert gap(together.image[1:], one.image) < 1e-12 and together.steps[1] == one.steps[0]


def test_networks_run_on_the_batch_at_each_level():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drunet = DRUNet(1, 1, nc=(4, 4, 4, 4), nb=1, pretrained=None).requires_grad_(False)
    prior = proxlab.DenoiserPrior(drunet, sigma_range=(0, 0.5))
    x = torch.rand(2, 1, 32, 40, generator=generator())
    both = prior.prox(x, torch.tensor([0.1, 0.3]))
    assert not drunet.training
    for i, level in enumerate((0.1, 0.3)):
        assert gap(both[i], drunet(x[i : i + 1], level)[0]) < 1e-5
    assert gap(both[1], drunet(x[1:], 0.1)[0]) > 1e-5
    assert torch.equal(prior(x, 0.1), prior.prox(x, 0.1))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda p, x: proxlab.DenoiserPrior(torch.nn.Identity()),
            TypeError,
            "got Identity; derive",
        ),
        (lambda p, x: proxlab.DenoiserPrior(TVDenoiser), TypeError, "got the class TVDenoiser"),
        (lambda p, x: proxlab.DenoiserPrior(TV()), TypeError, "got TV; derive"),
        (lambda p, x: proxlab.DenoiserPrior(MedianFilter(), (1, 50)), ValueError, "divide by 255"),
        (lambda p, x: p.prox(x, 25.0), ValueError, r"DnCNN knows .*got sigma = 25; divide by 255"),
        (lambda p, x: p.prox(x, float("nan")), ValueError, "got sigma = nan"),
        (lambda p, x: p.prox(x[0], 0.1), ValueError, r"\[B, C, H, W\]"),
        (lambda p, x: p.prox(x.repeat(3, 1, 1, 1), torch.rand(2)), ValueError, "got 2 for 3 imag"),
        (lambda p, x: p.prox(x.float(), 0.1), ValueError, r"weights in torch\.float64 on cpu"),
        (
            lambda p, x: proxlab.DenoiserPrior(MedianFilter(3, same=False)).prox(x, 0.1),
            ValueError,
            r"MedianFilter turned images \[1, 1, 24, 26\] into \[1, 1, 22, 24\]",
        ),
    ],
)
def test_nonsense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(network(), CLEAN)
