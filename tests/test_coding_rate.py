"""Coding rates against closed forms, and CRATE's compression against the gradient of R^c."""

import math

import pytest
import torch

from proxlab.coding_rate import coding_rate, compressed_rate, compressed_rate_step
from proxlab.crate import SubspaceAttention
from proxlab.crate_windows import Windows

PRECISION = 0.2
SIDE, HEADS, DIMENSION, LENGTH = 32, 4, 16, 8


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


def tokens(tilt):
    """Tokens [1, N, d] of one length in subspaces [K, p, d], by `tilt` turned to the first."""
    generator = torch.Generator().manual_seed(0)
    d = HEADS * DIMENSION
    square = torch.randn(d, d, dtype=torch.float64, generator=generator)
    bases = torch.linalg.qr(square).Q.T.reshape(HEADS, DIMENSION, d)
    bases = torch.cat([bases[:1], math.cos(tilt) * bases[1:] + math.sin(tilt) * bases[:1]])
    shape = HEADS, SIDE**2 // HEADS, DIMENSION
    codes = torch.randn(shape, dtype=torch.float64, generator=generator)
    codes = LENGTH * codes / codes.norm(dim=2, keepdim=True)
    z = torch.einsum("knp,kpd->knd", codes, bases).flatten(0, 1)
    return z[torch.randperm(len(z), generator=generator)][None], bases


def unit_step(z, bases):
    """Z - grad R^c / alpha, by autograd."""
    z = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(compressed_rate(z, bases, PRECISION).sum(), z)
    return (z - slope * (z.shape[1] * PRECISION**2 / DIMENSION)).detach()


def attended(z, bases):
    """MSSA(Z | U) by the layer itself: one head a subspace, tied, no places, unit sharpness."""
    layer = SubspaceAttention(z.shape[2], HEADS, Windows(SIDE), 1).double()
    with torch.no_grad():
        layer.U.copy_(bases)
        layer.W.copy_(bases.flatten(0, 1).T)
        layer.sharpness.bias.zero_()
        layer.places.zero_()
        return layer(z.view(1, SIDE, SIDE, -1), torch.zeros(1, 1).double()).view_as(z)


def mixture_gradient(z, bases):
    """Of psi(z) = logsumexp_k |U_k^T z|^2 / 2, a mixture potential: convex, so its gradient is an
    exact prox. One token knows its subspace by itself, where attention asks the other tokens."""
    z = z.clone().requires_grad_()
    energies = torch.einsum("bnd,kpd->bnkp", z, bases).square().sum(3) / 2
    (slope,) = torch.autograd.grad(energies.logsumexp(2).sum(), z)
    return slope


def miss(step, z, bases):
    wanted = unit_step(z, bases)
    return float((step - wanted).norm() / wanted.norm())


def test_closed_form_of_the_step_is_that_of_autograd():
    z, bases = tokens(0.5)
    assert miss(compressed_rate_step(z, bases, PRECISION), z, bases) < 1e-12
    assert miss(compressed_rate_step(z, bases, 2 * PRECISION), z, bases) > 1e-3


def test_attention_comes_to_the_step_on_the_rate_as_subspaces_become_orthogonal():
    misses = [miss(attended(*tokens(tilt)), *tokens(tilt)) for tilt in (0.8, 0.4, 0.2, 0.1, 0.0)]
    assert misses == sorted(misses, reverse=True)
    assert misses[0] > 1 and misses[-1] < 0.05


def test_so_does_the_gradient_of_a_mixture_potential():
    z, bases = tokens(0.0)
    assert miss(mixture_gradient(z, bases), z, bases) < 0.05
    assert miss(mixture_gradient(z, bases), z / 4, bases) > 0.3  # not for want of a difference


def test_the_check_sees_a_head_with_the_matrix_of_another():
    z, bases = tokens(0.0)
    reordered = attended(z, torch.cat([bases[1:2], bases[:1], bases[2:]]))
    assert miss(reordered, z, bases) < 0.05  # the order of heads means nothing
    assert miss(attended(z, torch.cat([bases[:1], bases[:-1]])), z, bases) > 0.3
