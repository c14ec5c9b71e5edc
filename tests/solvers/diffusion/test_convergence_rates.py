"""Measured orders are those of theory, constants too; both see what is planted into a sampler."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from examples import convergence_rates as example
from examples import sampler_laws as laws
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, even_grid, uniform_grid

G = example.GAUSSIAN


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("rates")
    return out, example.main(["--out", str(out), "--steps", "512", "--mixture-steps", "32"])


def test_orders_and_constants_of_the_gaussian_are_those_of_theory(found):
    rows = [r for r in found[1] if r["target"] == "Gaussian"]
    assert len(rows) == (4 + 4 + 2) * 4
    for r in rows:
        assert abs(r["order"] - r["theory"]) < 0.15, r
        assert r["constant"] == pytest.approx(r["predicted"], rel=0.1), r


def test_it_writes_what_it_returns_and_nothing_over_it(found):
    out, rows = found
    lines = (out / "convergence_rates.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert (out / "convergence_rates.png").stat().st_size > 10_000
    with pytest.raises(FileExistsError, match="convergence_rates.jsonl exists"):
        example.main(["--out", str(out)])


@pytest.mark.parametrize("kind", example.KINDS)
def test_orders_on_a_mixture(kind):
    """The order of KL is still on its way to 2: at 512 steps it is 1.95 with the ode."""
    about = {"grid": "uniform"}
    errors = [laws.mixture_errors(example.MIXTURE, kind, uniform_grid(n)) for n in (32, 64, 128)]
    it = iter(errors)
    for r in example.rows(about, [32, 64, 128], lambda _: next(it), {}):
        assert abs(r["order"] - r["theory"]) < (0.4 if r["quantity"] == "KL" else 0.2), r


def planted(grow=0.5, louder=1.0, prox_at_t=False, longer=1.0, left=False, skip=False):
    """The hybrid sampler with a mistake in it, or with none."""

    def walk(target, kind, x, times, noise):
        for t, s in pairwise(reversed(times)):
            gamma = VP().beta(t) * (t - s) if left else VP().integral(s, t)
            y = (1 + grow * gamma) * x + (louder * gamma) ** 0.5 * noise(x)
            if not (skip and s == 0):
                x = target.at(t if prox_at_t else s).prox(y, longer * gamma)
            yield x, s

    return walk


def measured(walk, grid="uniform") -> tuple[float, float]:
    """Order of W2, and by which factor the constants of mean and variance miss at worst."""
    sizes = [128, 256, 512]

    def errors(times):
        law = laws.output_law(G, "hybrid", times, G.at(1.0), walk=walk)
        return laws.gaussian_errors(law, G)

    rows = example.rows({"grid": grid}, sizes, errors, example.leading(G, "hybrid", grid))
    mean, variance, w2, _ = rows
    return w2["order"], max(abs(r["constant"] / r["predicted"] - 1) for r in (mean, variance))


def test_the_planted_sampler_is_right_before_anything_is_planted():
    order, miss = measured(planted())
    assert abs(order - 1) < 0.05 and miss < 0.05


@pytest.mark.parametrize("mistake", [{"grow": 0.55}, {"louder": 1.1}, {"longer": 1.1}], ids=repr)
def test_an_inconsistent_sampler_loses_its_order(mistake):
    assert measured(planted(**mistake))[0] < 0.6


@pytest.mark.parametrize(
    "mistake, grid",
    [({"prox_at_t": True}, "uniform"), ({"left": True}, "uniform"), ({"skip": True}, "even")],
)
def test_a_first_order_mistake_keeps_the_order_and_is_caught_by_the_constants(mistake, grid):
    order, miss = measured(planted(**mistake), grid)
    assert abs(order - 1) < 0.2 and miss > 0.15


@pytest.mark.parametrize("grid", [uniform_grid(16), even_grid(16, VP())], ids=["uniform", "even"])
@pytest.mark.parametrize("kind", example.KINDS)
def test_two_roads_to_the_law_of_a_gaussian(kind, grid):
    """One is impulses, the other quadrature, also through steps of the sde that fold the line."""
    target = laws.Gaussian(*torch.tensor([[0.5], [0.3]], dtype=torch.float64))
    law = laws.output_law(target, kind, grid, target.at(1.0))
    exact = laws.gaussian_errors(law, target)["KL"]
    single = Mixture(torch.ones(1).double(), target.m[None], target.v)
    assert laws.mixture_errors(single, kind, grid)["KL"] == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("kind", example.KINDS)
def test_what_a_start_at_standard_normal_adds(kind):
    times, standard = uniform_grid(512), laws.Gaussian(0 * G.m, 0 * G.v + 1)
    far, near = (laws.output_law(G, kind, times, start) for start in (standard, G.at(1.0)))
    shift = example.floor(G, kind)
    torch.testing.assert_close(far.m - near.m, shift.m, rtol=0.15, atol=1e-12)
    torch.testing.assert_close(far.v - near.v, shift.v, rtol=0.3, atol=1e-12)
    other = example.floor(G, "hybrid" if kind == "ode" else "ode")
    assert (far.m - near.m - other.m).norm() > 0.5 * other.m.norm()


def ks(sorted_sample: np.ndarray, F: np.ndarray) -> float:
    ranks = np.arange(1, len(sorted_sample) + 1) / len(sorted_sample)
    return float(np.abs(np.interp(sorted_sample, laws.X, F) - ranks).max())


@pytest.mark.parametrize("kind", example.KINDS)
@pytest.mark.parametrize("grid", ["uniform", "even"])
def test_the_carried_law_is_that_of_samples(kind, grid):
    """The steps are few, and those of the even grid fold the line or make the prox jump."""
    times = uniform_grid(10) if grid == "uniform" else even_grid(10, VP())
    target, n = example.MIXTURE, 10_000
    generator = torch.Generator().manual_seed(0)
    x = target.at(1.0).draw(n, generator)
    *_, (x, _) = laws.walk(target, kind, x, times, generator)
    x = np.sort(x[:, 0].numpy())
    step = laws.score_step if kind in ("sde", "ode") else laws.proximal_step
    F = laws.distribution(target.at(1.0))
    for t, s in pairwise(reversed(times)):
        F = step(target, kind, F, s, t)
    assert ks(x, F) < 1.7 / n**0.5  # exceeded once in 160 tries by an exact law
    assert ks(x, laws.distribution(target)) > 3 / n**0.5
