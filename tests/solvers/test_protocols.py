"""Optional methods of f and g are used where they are there, and batches shrink only if safe."""

import pytest
import torch

from solvers import HasProxAndValue, HasValue, Selectable
from solvers.protocols import narrow, per_image, prox_and_value, prox_with_misfit, select
from tests.toys import L1, Quadratic

V = torch.tensor([[2.0, -0.5], [0.1, 3.0]], dtype=torch.float64)
FIRST = torch.tensor([0])


class Silent:
    """g whose prox is known and nothing else."""

    def prox(self, v, tau):
        return v / (1 + tau)


class Knowing(Silent):
    """g whose prox knows the value, and that must not be asked for it a second time."""

    def prox_and_value(self, v, tau):
        x = self.prox(v, tau)
        return x, x.square().sum(1) / 2

    def value(self, x):
        pytest.fail("the value came with the prox")


class Forgetful(Knowing):
    """f whose prox knows no value after all."""

    def prox_and_value(self, v, tau):
        return self.prox(v, tau), None

    def value(self, x):
        return x.square().sum(1) / 2


def quadratic() -> Quadratic:
    return Quadratic(torch.ones_like(V), torch.zeros_like(V))


def test_what_an_object_has():
    assert isinstance(L1(1.0), HasValue) and isinstance(L1(1.0), Selectable)
    assert not isinstance(L1(1.0), HasProxAndValue)
    assert isinstance(Knowing(), HasProxAndValue)
    assert not any(isinstance(Silent(), p) for p in (HasValue, HasProxAndValue, Selectable))


def test_the_value_comes_the_cheapest_way():
    x, value = prox_and_value(Knowing(), V, 1.0)
    assert torch.equal(x, V / 2) and torch.equal(value, V.square().sum(1) / 8)
    x, value = prox_and_value(L1(0.5), V, 1.0)
    assert torch.equal(value, L1(0.5).value(x))
    assert prox_and_value(Silent(), V, 1.0)[1] is None


@pytest.mark.parametrize("f", [Knowing(), Forgetful()])
def test_the_misfit_at_a_prox_with_and_without_a_value(f):
    x, misfit = prox_with_misfit(f, V, 1.0)
    assert torch.equal(misfit(), x.square().sum(1) / 2)


def test_selection_goes_by_what_a_thing_is():
    f, both, three, shared = select(FIRST, quadratic(), (V, 2.0), torch.tensor(3.0), Silent())
    assert f.y.shape == (1, 2)
    assert torch.equal(both[0], V[:1]) and both[1] == 2.0
    assert three == 3.0 and isinstance(shared, Silent)


def test_a_batch_shrinks_only_if_both_can_select():
    f, _, x = narrow(FIRST, quadratic(), L1(1.0), V)
    assert len(x) == len(f.y) == 1
    f, _, x = narrow(FIRST, quadratic(), Silent(), V)
    assert len(x) == len(f.y) == 2


def test_a_tensor_for_another_batch_is_refused():
    assert per_image(0.5, V) == 0.5
    assert per_image(torch.ones(2), V).shape == (2, 1)
    with pytest.raises(ValueError, match=r"expected shape \[2\], got \[3\]"):
        per_image(torch.ones(3), V)
