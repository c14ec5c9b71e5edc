"""Calls of the ground floor, with right and odd arguments."""

import torch
from hypothesis import strategies as st
from odd import counts, images, mostly, numbers, words
from targets import target

import solvers
from tests.toys import L1, problem

ALGORITHMS = (solvers.pgd, solvers.fista, solvers.admm, solvers.drs, solvers.hqs)


@target("solvers.run", 30, "solvers.pgd solvers.fista solvers.admm solvers.drs solvers.hqs")
def _run(draw):
    algorithm, f = draw(st.sampled_from(ALGORITHMS)), problem(draw(st.sampled_from([1, 2])), 6, 4)
    taus = st.one_of(numbers(0.1), st.lists(numbers(0.1), max_size=3))
    tau = draw(st.one_of(taus, st.sampled_from([torch.ones(2) / 9, torch.ones(3)])))
    tol, steps = draw(numbers(1e-3)), draw(st.sampled_from([5] * 8 + [1, 0, -1]))
    more = {"relaxation": draw(numbers(1.0, 1.5))} if algorithm in ALGORITHMS[2:4] else {}
    x = f.y.new_zeros(len(f.y), 4)

    def call():
        return solvers.run(algorithm(f, L1(0.1), x, tau=tau, **more), max_steps=steps, tol=tol)

    return call


@target(
    "solvers.step_sizes",
    24,
    "solvers.VP solvers.uniform_grid solvers.power_grid solvers.even_grid solvers.karras_grid",
)
def _grids(draw):
    steps, first = draw(mostly((1, 4), (0, -1))), draw(numbers(0.0, 0.1))
    power, kind = draw(numbers(2.0)), draw(words("restricted", "hybrid", "backward", "flow"))
    low, high = draw(numbers(0.1)), draw(numbers(20.0))
    which = draw(st.integers(0, 4))

    def call():
        schedule = solvers.VP(low, high)
        times = [
            lambda: solvers.uniform_grid(steps, first),
            lambda: solvers.power_grid(steps, power, first),
            lambda: solvers.even_grid(steps, schedule),
            lambda: [1.0, first, 0.0],
            lambda: solvers.karras_grid(steps, low, high, power, schedule),
        ][which]()
        return solvers.step_sizes(times, kind, schedule)

    return call


@target("solvers.cgls", 10, "solvers.sirt")
def _cgls(draw):
    f, method = problem(1, 6, 4), draw(st.sampled_from([solvers.cgls, solvers.sirt]))
    tol, steps = draw(numbers(1e-3)), draw(mostly((5, 1), (0,)))

    def call():
        def a(x):
            return (f.A @ x[..., None])[..., 0]

        def t(x):
            return (f.A.mT @ x[..., None])[..., 0]

        states = method(a, t, f.y, f.y.new_zeros(1, 4))
        return solvers.run(states, max_steps=steps, tol=tol)

    return call


@target("solvers.jacobian_spectrum", 8)
def _jacobian_spectrum(draw):
    x, step = draw(images()), draw(numbers(1e-3))
    steps = draw(mostly((3, 1), (0, -1)))
    return lambda: solvers.jacobian_spectrum(lambda v: v / 2, x, step, steps)


@target("solvers.guided", 4)
def _guided(draw):
    levels = draw(st.lists(numbers(0.5, 0.1), max_size=3))
    together, variance = draw(mostly((1, 2), (0, 3))), draw(numbers(0.1))

    def call():
        x = torch.zeros(2, 3)
        states = list(
            solvers.guided(
                lambda u, sigma: u / (1 + sigma**2),
                solvers.LinearObservation(lambda u: u / 2, lambda u: u / 2, x, variance),
                x,
                levels,
                covariance=solvers.JacobianCovariance(1),
                together=together,
                noise=torch.Generator().manual_seed(0),
            )
        )
        assert len(states) == len(levels) and states[-1].x.shape == x.shape

    return call


@target(
    "solvers.posterior",
    16,
    "solvers.JacobianCovariance solvers.SpectralCovariance solvers.ScalarCovariance "
    "solvers.LinearObservation solvers.Unobserved solvers.PosteriorState",
)
def _posterior(draw):
    x, sigmas = draw(images()), st.lists(numbers(0.5, 0.1), max_size=3)
    levels, variance = draw(sigmas), draw(numbers(0.1))
    products, share, seen = draw(counts(1, 3)), draw(numbers(0.5)), draw(st.booleans())
    which, (height, width) = draw(st.integers(0, 2)), [1, 1, *x.shape][-2:]

    def call():
        covariance = [
            lambda: solvers.JacobianCovariance(products),
            lambda: solvers.SpectralCovariance(torch.ones(height, width // 2 + 1)),
            lambda: solvers.ScalarCovariance(lambda sigma: share * sigma**2),
        ][which]()
        by = (
            solvers.LinearObservation(lambda u: u / 2, lambda u: u / 2, x, variance)
            if seen
            else solvers.Unobserved()
        )
        states = list(
            solvers.posterior(
                lambda u, sigma: u / (1 + sigma**2),
                by,
                torch.zeros_like(x),
                levels,
                covariance=covariance,
                noise=torch.Generator().manual_seed(0),
            )
        )
        assert len(states) == len(levels) and states[-1].x.shape == x.shape

    return call
