"""Certificates: a rise is told from rounding, and every doubt names its reason."""

import numpy as np
import pytest
import torch

from solvers.certificate import doubts, rises
from solvers.protocols import dot


def test_rises():
    ramp = torch.tensor([9.0, 4.0, 4.5, 4.2, 3.0], dtype=torch.float64)
    assert rises(ramp).tolist() == pytest.approx([0, 0, 0.5, 0.2, 0])
    assert not rises(ramp.sort(descending=True).values).any()
    assert not rises(torch.tensor([4.0, 4.0 + 1e-6], dtype=torch.float64)).any()
    creep = 4 * (1 + 5e-7 * torch.arange(10, dtype=torch.float64))
    assert rises(creep).any()  # which a comparison with the entry before would miss:
    assert not any(rises(creep[k : k + 2]).any() for k in range(9))
    far = torch.tensor([1e6, 1.0, 1.1], dtype=torch.float64)
    assert rises(far)[2] > 0 and far[2] - far[1] < 1e-6 * far[0]
    assert not rises(torch.tensor([1.0, 1e-14, 3e-14], dtype=torch.float64)).any()
    assert rises(torch.tensor([-5.0, -4.0], dtype=torch.float64))[1] == 1


def test_doubts_name_their_reason():
    ok = dict(settled_at=1, tol=1e-3)
    falling = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    assert doubts(falling, 1e-4, **ok) == ""
    assert doubts(None, 1e-4, **ok) == "the prior has no value"
    assert doubts(falling, 2e-3, **ok) == "residual 2.0e-03 above tol 1.0e-03"
    assert doubts(falling.flip(0), 1e-4, **ok) == "objective rose by 2.0e+00 at step 3"
    assert doubts(falling, 1e-4, settled_at=None, tol=1e-3) == "the schedule was still running"
    # a rise while the schedule ran belongs to other problems
    assert doubts(torch.tensor([1.0, 3.0, 2.0]).double(), 1e-4, settled_at=2, tol=1e-3) == ""


def test_a_constant_in_the_objective_hides_no_rise():
    misfit = torch.tensor([9.0, 4.0, 4.5, 4.2, 3.0], dtype=torch.float64)
    for offset in (0.0, 1e9, -1e9):
        assert rises(misfit + offset, misfit)[2] == pytest.approx(0.5, abs=1e-5)
    assert not rises(misfit + 1e9).any()  # planted: an allowance by totals
    assert not rises((misfit + 1e9).sort(descending=True).values, misfit).any()


def test_inner_products_are_known_better_than_certificates_forgive():
    x = 0.5 + 0.01 * torch.randn(2, 1, 512, 500, generator=torch.Generator().manual_seed(0))
    exact = x.double().square().sum((1, 2, 3))
    assert ((dot(x, x) - exact).abs() / exact).max() < 3e-8
    one_by_one = np.cumsum((x * x).flatten(1).numpy(), axis=1)[:, -1]  # planted: float32 throughout
    assert ((torch.from_numpy(one_by_one) - exact).abs() / exact).max() > 1e-6
    assert torch.equal(dot(x[:, 0, 0], x[:, 0, 0]), (x[:, 0, 0] ** 2).sum(1, dtype=torch.float64))
