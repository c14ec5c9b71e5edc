"""Laws that mutation testing found nobody to look after: each kills a mutant that had survived."""

import pytest
import torch

from solvers import conjugate_gradient, pdhg
from solvers.conditions import diverging
from solvers.protocols import dot
from tests.toys import problem


def hilbert(n: int) -> torch.Tensor:
    """A symmetric matrix that float32 barely inverts, float64."""
    i = torch.arange(n, dtype=torch.float64)
    return 1 / (i + i[:, None] + 1) + 1e-4 * torch.eye(n, dtype=torch.float64)


def test_conjugate_gradients_begin_again_until_the_true_residual_is_small():
    """The recursion believes to be at the goal before it is; a restart from the truth goes on."""
    A, b = hilbert(12), torch.ones(1, 12)
    sweeps = []

    def residual(x: torch.Tensor) -> torch.Tensor:
        sweeps.append(x)
        return (b.double() - x.double() @ A).float()

    scale = dot(b, b).sqrt()
    found = conjugate_gradient(
        lambda x: x @ A.float(), residual, torch.zeros(1, 12), scale=scale, tol=2e-6, max_steps=500
    )
    assert len(sweeps) > 2, "one sweep was enough: a harder matrix is needed"
    after_one = (b - sweeps[1] @ A.float()).norm() / b.norm()
    assert float(found.residual) < 0.9 * float(after_one)


@pytest.mark.parametrize("largest", [1.5, 4.0])
def test_the_counter_example_is_there_up_to_the_bound_itself(largest):
    limit = largest / (largest - 1)
    H, J = diverging(1.01 * limit, largest)
    assert float(H[0, 0]) == pytest.approx(1.01 * limit)
    assert float(torch.linalg.eigvalsh(J)[-1]) == pytest.approx(largest)
    with pytest.raises(ValueError, match="below t = lam / \\(lam - 1\\) nothing diverges"):
        diverging(0.99 * limit, largest)


class Nothing:
    """A composite whose g is 0: |K x| counts for nothing."""

    radius = 1.0


@pytest.mark.parametrize("tau", [torch.ones(2, 1), torch.ones(3), torch.tensor([1.0, -1.0]), 0.0])
def test_a_step_of_pdhg_is_a_number_or_one_for_each_image(tau):
    f = problem(2, 6, 4)
    with pytest.raises(ValueError, match="tau is a positive float, or one for each image"):
        next(pdhg(f, Nothing(), torch.zeros(2, 4, dtype=torch.float64), tau=tau))
