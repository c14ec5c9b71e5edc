"""Rivals draw the same whether a Gaussian problem is told as a cell of matrices or as images."""

from dataclasses import replace

import pytest
import torch

from examples.posteriors.cells import Cell
from examples.posteriors.diagonal import Measured, Task, blurred
from examples.posteriors.rivals import DAPS, DiffPIR, PiGDM, PnPDM
from proxlab.operators.kernels import gaussian_kernel
from proxlab.priors.exact.mixtures import Mixture

SIZE, BLUR, NOISE = (8, 7), 0.6, 0.2
D = SIZE[0] * SIZE[1]
EYE = torch.eye(D, dtype=torch.float64)


def both(name, n=7):
    """A Gaussian seen through a mask or a blur, n draws of it: as dense matrices, as images."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    root, mean = normal(D, D) / D**0.5, normal(D)
    S = root @ root.T + 0.1 * EYE
    if name == "mask":
        gain = (normal(1, 1, *SIZE) < 0.3).double()
        A, seen = torch.diag(gain.flatten()), Measured(gain, False, gain, NOISE)
    else:
        seen = blurred(SIZE, BLUR, NOISE)
        seen = replace(seen, gain=seen.gain.double())
        kernel, images = gaussian_kernel(BLUR).double(), EYE.view(D, *SIZE)
        middle = len(kernel) // 2
        rolled = [
            kernel[i, j] * images.roll((i - middle, j - middle), (1, 2))
            for i in range(len(kernel))
            for j in range(len(kernel))
        ]
        A = torch.stack(rolled).sum(0).view(D, D).T
    y = A @ (mean + root @ normal(D)) + NOISE * normal(D)

    def denoise(x, sigma):
        gain = S @ torch.linalg.inv(S + sigma**2 * EYE)
        return (mean + (x.flatten(1) - mean) @ gain.T).view_as(x)

    prior = Mixture(torch.ones(1, dtype=S.dtype), mean[None], ((S + S.T) / 2)[None])
    measured = replace(seen, y=y.view(1, 1, *SIZE).expand(n, -1, -1, -1))
    task = Task(denoise, measured, mean.view(1, *SIZE), float(S.diagonal().mean()))
    return Cell(prior, A, y, NOISE, n), task


def gap(rival, problem, levels=5):
    """Distance of the draws that both give, relative."""
    cell, images = (rival(one, levels, torch.Generator().manual_seed(1)) for one in problem)
    assert images.shape == (len(cell), 1, *SIZE)
    return float((images.flatten(1) - cell).norm() / cell.norm())


def twice_as_wide(self, mean, variance, generator):
    return self.seen.given(mean, 2 * variance, generator)


def weighed_for_twice(self, mean, variance, right=Cell.weighed):
    return right(self, mean, 2 * variance)


RIVALS = [PiGDM(), PiGDM(2.0, 0.1, 1.0), DAPS(), DiffPIR(), PnPDM()]


@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("rival", RIVALS, ids=repr)
def test_draws_are_the_same_behind_a_mask(rival, levels):
    assert gap(rival, both("mask"), levels) < 1e-10


@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("rival", [PiGDM(), PiGDM(2.0, 0.1, 1.0), DiffPIR()], ids=repr)
def test_draws_are_the_same_behind_a_blur(rival, levels):
    assert gap(rival, both("blur"), levels) < 1e-5  # its spectrum has 32 bits


def spread(rival, problem):
    """Distance of the covariances of the draws that both give, relative."""
    cell, images = (rival(one, 5, torch.Generator().manual_seed(1)) for one in problem)
    return float((images.flatten(1).T.cov() - cell.T.cov()).norm() / cell.T.cov().norm())


@pytest.mark.parametrize("rival", [DAPS(), PnPDM()], ids=repr)
def test_draws_have_one_law_behind_a_blur(rival, monkeypatch):
    """They differ: noise given y comes of a Cholesky root there and of a symmetric one here."""
    problem = both("blur", 2_000)
    assert spread(rival, problem) < 0.06
    monkeypatch.setattr(Task, "given", twice_as_wide)
    assert spread(rival, problem) > 0.1


@pytest.mark.parametrize(
    "kind, name, wrong, rival",
    [
        (Task, "weighed", lambda self, mean, v: self.seen.weighed(mean, 2 * v), PiGDM()),
        (Cell, "weighed", weighed_for_twice, PiGDM()),
        (Task, "given", twice_as_wide, DAPS()),
        (Task, "given", twice_as_wide, DiffPIR()),
        (Task, "given", twice_as_wide, PnPDM()),
        (Task, "centre", property(lambda self: torch.zeros_like(self.seen.y)), PiGDM()),
    ],
)
def test_a_mistake_in_one_of_both_is_seen(kind, name, wrong, rival, monkeypatch):
    problem = both("mask")
    monkeypatch.setattr(kind, name, wrong)
    assert gap(rival, problem) > 1e-2


def test_a_single_level_begins_at_its_own_noise():
    for one in both("mask"):
        for kind in (PiGDM, DiffPIR):
            draws = [kind(h, 0.3)(one, 1, torch.Generator().manual_seed(1)) for h in (5.0, 50.0)]
            assert torch.equal(*draws)


def test_images_are_linearized_by_the_transposed_jacobian():
    generator = torch.Generator().manual_seed(2)
    K, x, u = (torch.randn(D, D, generator=generator, dtype=torch.float64) for _ in range(3))

    def denoise(x, sigma):
        return (x.flatten(1) @ K.T / sigma).tanh().view_as(x)

    task = replace(both("mask")[1], denoise=denoise)
    x, u = x[:2].view(2, 1, *SIZE), u[:2].view(2, 1, *SIZE)
    with torch.no_grad():  # as the bench calls it
        mean, transposed = task.linearize(x, 3.0)
        found = transposed(u).flatten(1)
    assert torch.equal(mean, denoise(x, 3.0)) and not mean.requires_grad and not x.requires_grad
    J = [torch.autograd.functional.jacobian(lambda v: denoise(v, 3.0), row[None]) for row in x]
    J = torch.stack([j.view(D, D) for j in J])
    torch.testing.assert_close(found, torch.einsum("nij,ni->nj", J, u.flatten(1)))
    forward = torch.einsum("nij,nj->ni", J, u.flatten(1))  # planted: J for its transpose
    assert (found - forward).norm() > 0.1 * found.norm()


def test_a_blur_wider_than_the_images_is_refused():
    with pytest.raises(ValueError, match="kernel of 7 x 7 pixels, got images of 8 x 6; "):
        blurred((8, 6), BLUR, NOISE)
