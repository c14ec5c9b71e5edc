"""The cost of posterior samples: shares that add up, and products that are those of the run."""

import pytest
import torch

import proxlab
from examples.posteriors import cost


def test_its_rows_are_of_the_run(capsys):
    words = ["--side", "24", "--samples", "2", "--steps", "2", "--prior", "lpn-gray-small"]
    rows = cost.main(words)
    assert [row["problem"] for row in rows] == ["deblur", "inpaint", "ct"]
    op, x = cost.operators(24)["deblur"], cost.image(24)
    y = op(x, generator=torch.Generator().manual_seed(1))
    assert rows[0]["products"] == proxlab.posterior(y, op, "lpn-gray-small", 2, steps=2).products
    assert all(0 < row["prior"] + row["jacobian"] < 1 for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_without_a_preconditioner_blur_costs_more(capsys):
    words = ["--side", "32", "--samples", "1", "--steps", "3", "--prior", "lpn-gray-small"]
    own, plain = cost.main(words), cost.main([*words, "--plain"])
    assert own[0]["products"] < plain[0]["products"]


def test_every_second_of_the_prior_is_counted_and_nothing_else():
    prior = cost.Watched(proxlab.load("lpn-gray-small"))
    v = torch.rand(1, 1, 16, 16)
    prior.prox(v, 0.1)
    before = prior.prox_watch.seconds
    jacobian = prior.jacobian(v, 0.1)
    assert (prior.prox_watch.count, prior.product_watch.count) == (1, 0)
    assert prior.prox_watch.seconds > before  # what making it takes
    assert torch.allclose(jacobian.prox(), prior.prior.prox(v, 0.1), atol=1e-5)
    assert (prior.prox_watch.count, prior.product_watch.count) == (2, 0)
    before = prior.product_watch.seconds
    assert torch.equal(jacobian(v), cost.jacobian(prior.prior, v, 0.1)(v))
    assert prior.product_watch.count == 1 and prior.product_watch.seconds > before
    with pytest.raises(ValueError, match="takes those"):
        jacobian(v[0])
    assert prior.prox_watch.count == 2
