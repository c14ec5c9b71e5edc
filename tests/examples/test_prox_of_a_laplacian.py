"""The example learns, briefly, what theory says; its envelope is the proximal hull."""

import torch

from examples import prox_of_a_laplacian as example
from proxlab.priors.exact.densities import GaussianMixture, proximal_hull


def test_it_runs_small_and_draws(tmp_path):
    found = {}
    for number in ("2", "3"):
        found |= example.main(["--out", str(tmp_path), "--effort", "0.004", "--only", number])
    assert len(found) == 5
    assert all(torch.tensor(list(row.values())).isfinite().all() for row in found.values())
    for name in ("prox_of_a_laplacian.png", "prox_in_the_plane.png"):
        assert (tmp_path / name).stat().st_size > 10_000


def test_squared_loss_learns_the_mean_and_not_the_prox():
    net = example.fit(example.PROBLEMS[0], "squared", 0.3)
    row = example.errors(example.PROBLEMS[0], net)
    assert row["mean"] < 0.1 < 0.3 < row["prox"]


def test_hull_is_the_density_where_the_prox_does_not_jump():
    x = torch.linspace(-7, 7, 41, dtype=torch.float64)[:, None]
    smooth = example.PROBLEMS[1].density
    torch.testing.assert_close(
        proximal_hull(smooth, x), smooth.neg_log_density(x), rtol=0, atol=1e-3
    )
    jumping = GaussianMixture((0.5, 0.5), ((-4.0,), (4.0,)), (1.0, 1.0))
    gap = jumping.neg_log_density(x) - proximal_hull(jumping, x)
    assert float(gap.max()) > 1 and float(gap.min()) > -1e-3
