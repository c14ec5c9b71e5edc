"""Calls of restore, sample, priors and what wraps them, with right and odd arguments."""

import torch
from hypothesis import strategies as st
from odd import ODD_NUMBERS, counts, images, measured, mostly, numbers, words
from targets import MODERATE, keeps, per_image, target

import proxlab
import solvers
from proxlab import checkpoints
from proxlab.priors.jacobians.spread import jacobian

PRIORS = {name: proxlab.load(name) for name in ("none", "tv", "wavelets", "lpn-gray-small")}
PRIORS["gs-unet"] = proxlab.load("gs-unet")
PRIORS["dncnn-gray"] = proxlab.load("dncnn-gray")
priors = st.sampled_from(list(PRIORS.values()))
sigmas = mostly((0.1, 0.05, torch.tensor([0.1])), (*ODD_NUMBERS, torch.ones(2) * 0.1), 9)


@target("restore", 70, "solvers.pdhg solvers.condat_vu")
def _restore(draw):
    op, x = draw(measured())
    prior, own = draw(priors), draw(st.booleans())
    solver = draw(st.one_of(st.none(), words("admm", "drs", "pgd", "hqs", "fista", "pdhg")))
    told = {
        "noise": st.one_of(st.none(), numbers(0.05), st.just("auto"), st.just(torch.ones(1) / 9)),
        "weight": st.one_of(st.none(), numbers(1.0)),
        "sigma": st.one_of(st.none(), numbers(0.1)),
        "tol": numbers(1e-4),
        "init": st.one_of(st.none(), images()),
    }
    names = draw(st.sets(st.sampled_from(sorted(told)), max_size=2))
    more = {name: draw(told[name]) for name in sorted(names)}
    steps = draw(mostly((1, 3), (0, -1)))

    def call():
        y = op(x) if own else x
        found = proxlab.restore(y, op, prior, solver, steps=steps, **more)
        assert len(found.stopped) == len(found.certified) == len(found.doubts) == len(y)
        assert all(
            bool(doubt) != sure for doubt, sure in zip(found.doubts, found.certified, strict=True)
        )
        if bool(y.isfinite().all()) and float(y.detach().abs().max()) <= MODERATE:
            assert bool(found.image.isfinite().all())
        return found

    return call


@target("prior.prox", 40)
def _prox(draw):
    prior, x, sigma = draw(priors), draw(images()), draw(sigmas)
    return lambda: keeps(x, prior.prox(x, sigma))


@target("prior.prox_and_value", 20)
def _prox_and_value(draw):
    names = ["none", "lpn-gray-small", "gs-unet", "tv", "wavelets"]
    prior, x = PRIORS[draw(st.sampled_from(names))], draw(images())
    sigma = draw(sigmas)

    def call():
        image, value = prior.prox_and_value(x, sigma)
        return keeps(x, image), per_image(x, value)

    return call


@target("prior.spread", 12)
def _spread(draw):
    prior, x, sigma = draw(priors), draw(images()), draw(sigmas)
    probes, seed = draw(counts(1, 3)), draw(counts(0, 7))
    return lambda: keeps(x, prior.spread(x, sigma, probes, seed))


@target("prior.jacobian", 8)
def _jacobian(draw):
    prior, x, sigma = draw(priors), draw(images()), draw(sigmas)
    return lambda: keeps(x, jacobian(prior, x, sigma)(torch.ones_like(x)))


@target("estimate_noise", 20, "operators.estimate_noise")
def _estimate_noise(draw):
    op, x = draw(measured())
    return lambda: per_image(x, proxlab.estimate_noise(x, op))


@target("estimate_gain", 12, "operators.estimate_gain operators.PhotonTransfer")
def _estimate_gain(draw):
    op, x = draw(measured())

    def call():
        curve = proxlab.estimate_gain(x, op)
        assert bool((curve.gain > 0).all()) and bool((curve.read_noise >= 0).all())
        return per_image(x, curve.gain), per_image(x, curve.read_noise)

    return call


@target("Tiled", 12)
def _tiled(draw):
    prior, x, side = draw(priors), draw(images()), draw(counts(4, 8))
    reach = draw(st.one_of(st.none(), counts(0, 2)))
    sigma = draw(sigmas)
    return lambda: keeps(x, proxlab.Tiled(prior, side, reach=reach).prox(x, sigma))


@target("seam_error")
def _seam_error(draw):
    prior, x, side, sigma = draw(priors), draw(images()), draw(counts(4, 8)), draw(sigmas)
    return lambda: proxlab.seam_error(prior, x, sigma, side, reach=8)


@target("Recorder")
def _recorder(draw):
    pairs, x, sigma = draw(counts(4, 8)), draw(images()), draw(sigmas)
    inner = PRIORS["dncnn-gray"]
    return lambda: keeps(x, proxlab.Recorder(inner, pairs)(x, sigma))


@target("DenoiserPrior", 12)
def _denoiser_prior(draw):
    low, high, sigma, x = draw(numbers(0.0)), draw(numbers(1.0)), draw(sigmas), draw(images())
    inner = PRIORS["dncnn-gray"]
    return lambda: keeps(x, proxlab.DenoiserPrior(inner, (low, high)).prox(x, sigma))


@target("Luminance", 12)
def _luminance(draw):
    prior, x, sigma = draw(priors), draw(images(channels=(3, 3, 1))), draw(sigmas)
    return lambda: keeps(x, proxlab.Luminance(prior).prox(x, sigma))


@target("AveragePrior", 12)
def _average(draw):
    pair, weights = (draw(priors), draw(priors)), (draw(numbers(0.5)), draw(numbers(0.5)))
    x, sigma = draw(images()), draw(sigmas)
    return lambda: keeps(x, proxlab.AveragePrior(weights, pair).prox(x, sigma))


@target("ExplicitPrior", 12)
def _explicit_prior(draw):
    prior, x, sigma, gamma = draw(priors), draw(images()), draw(sigmas), draw(numbers(1.0, 1.0))
    return lambda: keeps(x, proxlab.ExplicitPrior(prior).prox(x, sigma, gamma))


@target("LPN", 4)
def _lpn(draw):
    prior, x = PRIORS["lpn-gray-small"], draw(images())
    sigma, tol = draw(sigmas), draw(numbers(1e-2))
    return lambda: keeps(x, prior.inverse(prior.prox(x, sigma), sigma, tol=tol))


@target("Checks")
def _checks(draw):
    pairs = draw(counts(2, 64))
    return lambda: proxlab.Checks(pairs=pairs)


@target("load")
def _load(draw):
    name = draw(words("tv", "none", "lpn-gray-small"))
    return lambda: proxlab.load(name)


@target("models", 1)
def _models(draw):
    return proxlab.models if draw(st.booleans()) else checkpoints.models


@target("checkpoints.load_diffusion")
def _load_diffusion(draw):
    name = draw(words("proxdm-mnist", "tv", "lpn-gray"))
    return lambda: checkpoints.load_diffusion(name)


@target("laplace_spread", 12)
def _laplace_spread(draw):
    op, x = draw(measured())
    prior, told = draw(priors), draw(st.one_of(st.none(), numbers(0.5)))
    probes, seed = draw(counts(2, 4)), draw(counts(0, 7))

    def call():
        y = op(x)
        result = proxlab.restore(y, op, prior, steps=2)
        found = proxlab.laplace_spread(result, y, op, prior, told, probes, seed)
        assert found.shape == result.image.shape and bool((found >= 0).all())

    return call


@target("posterior", 25, "Posterior PosteriorQuality posterior_quality")
def _posterior(draw):
    op, x = draw(measured())
    prior, n = draw(priors), draw(counts(1, 3))
    levels = st.lists(numbers(0.1, 0.05), max_size=2)
    told = {
        "steps": draw(st.one_of(counts(1, 2), levels)),
        "noise": draw(st.one_of(st.none(), numbers(0.05), st.just("auto"))),
        "seed": draw(counts(0, 7)),
        "batch": draw(st.one_of(st.none(), counts(1, 2))),
    }
    level = draw(numbers(0.5, 0.3))

    def call():
        post = proxlab.posterior(op(x), op, prior, n, **told)
        assert bool(post.samples.isfinite().all()) and len(post.samples) == n
        low, high = post.interval(level)
        assert bool((low <= high).all())
        if post.samples.shape[1:] == x.shape:
            assert proxlab.posterior_quality(post.samples, x).spread_over_error >= 0

    return call


@target(
    "sample",
    12,
    "solvers.proxdm solvers.score solvers.Restricted solvers.JacobianSpread solvers.ScalarSpread",
)
def _sample(draw):
    model, n = draw(words("proxdm-mnist", "score-mnist")), draw(mostly((1, 2), (0,)))
    grid = st.lists(numbers(0.0, 0.5, 1.0), max_size=3)
    steps = draw(st.one_of(mostly((1, 2), (0, -1)), grid))
    kind = draw(words("restricted", "hybrid", "backward", "flow", "sde", "ode"))
    restricted, order, eta = draw(st.booleans()), draw(mostly((1, 2), (0,))), draw(numbers(1.0))
    products, variance = draw(counts(1, 3)), draw(numbers(0.1))
    spread = draw(st.integers(0, 2))
    seed = draw(counts(0, 7))
    batch = draw(st.one_of(st.none(), counts(1, 2)))

    def call():
        nonlocal kind
        if restricted:
            spreads = (
                lambda: None,
                lambda: solvers.JacobianSpread(products),
                lambda: solvers.ScalarSpread(lambda sigma: variance * sigma**2),
            )
            kind = solvers.Restricted(order, eta, spreads[spread]())
        found = proxlab.sample(model, n, steps=steps, kind=kind, seed=seed, batch=batch)
        assert found.shape == (n, 1, 28, 28) and bool(found.isfinite().all())

    return call
