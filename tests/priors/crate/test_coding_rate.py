"""Coding rates against closed forms, and CRATE's compression against the gradient of R^c."""

import math

import pytest
import torch

from examples.crate_bridge import PRECISION, attended, main, miss, tokens
from proxlab.priors.crate.coding_rate import coding_rate, compressed_rate, compressed_rate_step


def test_of_tokens_that_are_all_one_and_of_tokens_that_are_all_different():
    d = 6
    alike = torch.eye(d, dtype=torch.float64)[:1].expand(1, 40, d)
    assert coding_rate(alike, 0.5).item() == pytest.approx(math.log(1 + d / 0.25) / 2)
    different = torch.eye(d, dtype=torch.float64)[None]
    assert coding_rate(different, 0.5).item() == pytest.approx(d / 2 * math.log(1 + 1 / 0.25))


@pytest.mark.parametrize("n", [3, 50])
def test_is_that_of_the_definition_whichever_matrix_is_smaller(n):
    z = torch.randn(2, n, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = torch.eye(n) + 8 / (n * 0.3**2) * z @ z.mT
    assert torch.allclose(coding_rate(z, 0.3), torch.linalg.slogdet(whole)[1] / 2)


def test_compressed_rate_knows_nothing_outside_of_the_subspaces():
    z, bases = tokens(0.0)
    inside, outside = bases[:1], z @ bases[0].T @ bases[0]
    assert torch.allclose(compressed_rate(z, inside), compressed_rate(outside, inside))
    assert compressed_rate(z, bases) < coding_rate(z) + 1e-9  # less than R: subspaces split tokens


def test_a_precision_that_is_no_distance_is_refused():
    with pytest.raises(ValueError, match="positive, got 0"):
        coding_rate(torch.ones(1, 2, 3), 0)


def test_closed_form_of_the_step_is_that_of_autograd():
    z, bases = tokens(0.5)
    assert miss(compressed_rate_step(z, bases, PRECISION), z, bases) < 1e-12
    assert miss(compressed_rate_step(z, bases, 2 * PRECISION), z, bases) > 1e-3


def test_attention_comes_to_the_step_on_the_rate_as_subspaces_become_orthogonal(capsys):
    *tilted, short = main([])
    misses = [attention for _, _, attention, _ in tilted]
    assert misses == sorted(misses, reverse=True)
    assert misses[0] > 1 and misses[-1] < 0.05
    assert tilted[-1][3] < 0.05  # so does the gradient of a mixture potential
    assert short[2] > 0.3 and short[3] > 0.2  # not for want of a difference
    assert f"{misses[0]:.3f}" in capsys.readouterr().out


def test_the_check_sees_a_head_with_the_matrix_of_another():
    z, bases = tokens(0.0)
    reordered = attended(z, torch.cat([bases[1:2], bases[:1], bases[2:]]))
    assert miss(reordered, z, bases) < 0.05  # the order of heads means nothing
    assert miss(attended(z, torch.cat([bases[:1], bases[:-1]])), z, bases) > 0.3
