"""The laboratory of posteriors: exact draws are judged exact, and ours are near them."""

from dataclasses import replace

import pytest
import torch

from examples.posteriors import planar, tuning
from examples.posteriors.cells import cell, cells
from examples.posteriors.dense import Annealed, AnnealedByProducts
from examples.posteriors.laboratory import COUNTED, FREE, lowest, table
from examples.posteriors.planar import Guided
from examples.posteriors.rivals import DAPS, DPS, DiffPIR, Exact, PiGDM, PnPDM
from examples.posteriors.tuning import Figures, figures
from solvers.noise import normal_like


@pytest.fixture(scope="module")
def small():
    return replace(cell(16, "mask", 0.2, seed=3), n=400)


def test_moments_are_those_of_the_mixture_and_of_its_jacobian(small):
    generator = torch.Generator().manual_seed(0)
    x, sigma = small.prior.draw(5, generator), 0.9
    x = x + sigma * normal_like(x, generator)
    mean, spread = small.spread(x, sigma)
    torch.testing.assert_close(mean, small.prior.posterior_mean(x, sigma**2))

    def one(v):
        return small.prior.posterior_mean(v[None], sigma**2)[0]

    J = torch.stack([torch.autograd.functional.jacobian(one, row) for row in x])
    u = normal_like(x, generator)
    torch.testing.assert_close(spread.product(u), sigma**2 * (J @ u[..., None])[..., 0])
    torch.testing.assert_close(spread.seen(small.A), sigma**2 * small.A @ J @ small.A.T)
    many = spread._replace(
        weights=spread.weights[:1].expand(40_000, -1), off=spread.off[:1].expand(40_000, -1, -1)
    )
    found = many.noise(x[:1].expand(40_000, -1), generator).T.cov()
    assert (found - sigma**2 * J[0]).abs().max() < 0.02
    assert (found - sigma**2 * J[1]).abs().max() > 0.03  # of another point


def test_exact_draws_are_judged_exact_and_others_are_not(small):
    generator = torch.Generator().manual_seed(1)
    drawn = Exact()(small, 5, generator)
    distance, held = small.judged(drawn)
    assert distance < 0.12 and abs(held - 0.8) < 0.02
    narrow = drawn.mean(0) + 0.6 * (drawn - drawn.mean(0))
    assert small.judged(narrow)[1] < 0.7  # spread that was lost
    assert small.judged(drawn + 0.5)[0] > 3 * distance
    found = figures(Exact(), [small], 5)
    assert found.distance < 0.15 and found.calibrated == 1


OURS = [Annealed("wiener"), Annealed("jacobian"), AnnealedByProducts()]


@pytest.mark.parametrize("ours", OURS, ids=repr)
def test_ours_is_calibrated_where_half_of_the_coordinates_are_seen(small, ours):
    found = figures(ours, [small], 8)
    assert found.distance < 0.5 and abs(found.held[0] - 0.8) < 0.1


RIVALS = [PiGDM(), DPS(), DAPS(), DiffPIR(), PnPDM()]


@pytest.mark.parametrize("rival", RIVALS, ids=repr)
def test_rivals_fit_what_was_measured(small, rival):
    """Better than draws of the prior, and at the measurement to its noise."""
    generator = torch.Generator().manual_seed(0)
    drawn = rival(small, 10, generator)
    assert drawn.shape == (400, 16)
    misfit = (small.y - drawn @ small.A.T).square().mean().sqrt()
    assert misfit < 2.5 * small.noise
    prior = small.prior.draw(400, generator)
    assert small.judged(drawn)[0] < small.judged(prior)[0]


def test_cells_differ_by_their_seed_and_are_the_same_again():
    one, again, other = (cell(16, "random", 0.05, seed) for seed in (1, 1, 2))
    assert torch.equal(one.y, again.y) and not torch.allclose(one.y, other.y)
    assert len(cells([1, 2])) == 36


def test_each_has_twelve_settings_and_products_that_count_buy_fewer_levels(small):
    for tried in (tuning.TRIED, tuning.AGAIN):
        assert all(len(set(settings)) == 12 for settings in tried.values())
    assert len(set(planar.GUIDED)) == 12
    assert [tuning.levels(PiGDM(), k, True) for k in (5, 10, 20)] == [2, 5, 10]
    assert [tuning.levels(AnnealedByProducts(), k, True) for k in (5, 10, 20)] == [0, 1, 3]
    assert tuning.levels(PiGDM(), 5, False) == tuning.levels(DAPS(), 5, True) == 5
    wrong = Annealed("wiener", 0.1, 0.001)  # never leaves its first draw
    assert tuning.best([wrong, Annealed("wiener")], [small], False) == Annealed("wiener")


def test_the_settings_of_the_table_are_among_the_twelve():
    for samplers in (FREE, COUNTED):
        for name, sampler in samplers.items():
            tried = [*tuning.TRIED.get(name, []), *tuning.AGAIN.get(name, [])]
            assert name == "exact" or sampler in tried


def test_lowest_is_the_share_of_cells_without_a_lower_rival(small, capsys):
    one, two = Figures([0.1, 0.3, 0.2], [0.8] * 3), Figures([0.2, 0.2, 0.2], [0.8] * 3)
    assert lowest(one, [two]) == pytest.approx(2 / 3) and lowest(one, [two, one]) == 2 / 3
    table(
        [small], {"annealed, wiener": Annealed("wiener"), "exact": Exact(), "DPS": DPS()}, True, {}
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "no rival is lower | 1.00 | 1.00 | 1.00" in lines[-1]


def test_in_the_plane_the_guided_descent_halves_the_distance():
    on = [replace(c, n=400) for name, c in planar.on_seeds([3]).items() if "difference" not in name]
    assert all(c.truth.weights.sort().values[-2] > 0.1 for c in on)
    guided, annealed = (figures(s, on, 8) for s in (Guided(), Annealed("jacobian")))
    assert guided.distance < annealed.distance / 2
    few = figures(Guided(rest=2, together=16), on, 8)
    assert few.distance < annealed.distance / 1.5
