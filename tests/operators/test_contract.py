"""The contract of an operator: ours keep it, what keeps it is asked, deepinv's are lent it."""

from types import SimpleNamespace

import pytest
import torch
from deepinv import physics as dp

from proxlab import operators
from proxlab.operators.contract import Accuracy, Operator
from proxlab.operators.data_term_checks import check_data_term
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import PhotonCounts, Weights, measurement_weights
from proxlab.restoration.data_terms import data_term, start
from tests.images.pictures import image

KERNEL = operators.gaussian_kernel(0.5)
MASK = image(9, 8, seed=1) > 0.5
OURS = {
    "circular": operators.deblur(KERNEL, 0.1),
    "valid": operators.deblur(KERNEL, 0.1, "valid"),
    "reflect": operators.deblur(KERNEL, 0.1, "reflect"),
    "mask": operators.inpaint(MASK, 0.1),
    "ct": operators.ct((9, 8), 5, 0.1),
}
THEIRS = {
    "deepinv circular": dp.Blur(filter=KERNEL[None, None], padding="circular"),
    "deepinv mask": dp.Inpainting((1, 9, 8), MASK[None].double()),
    "deepinv valid": dp.Blur(filter=KERNEL[None, None]),
    "plain": dp.LinearPhysics(A=lambda x: x[..., 1:], A_adjoint=lambda y: pad(y)),
}
CLOSED = {"circular", "mask", "deepinv circular", "deepinv mask"}


def pad(y):
    return torch.nn.functional.pad(y, (1, 0))


class Halved(dp.LinearPhysics):
    """The operator in the docstring of the contract."""

    def A(self, x):
        return x / 2

    def A_adjoint(self, y):
        return y / 2

    def usable(self, y):
        return y.nan_to_num(0)

    def data_term(self, y, weights, accuracy):
        return LinearData(y, self, weights, accuracy)

    def first_estimate(self, y):
        return 2 * y


@pytest.mark.parametrize("name", OURS | THEIRS)
def test_every_operator_keeps_it(name):
    op, x = (OURS | THEIRS)[name], image(2, 1, 9, 8)
    ours = as_operator(op)
    assert isinstance(ours, Operator) and (ours is op) == (name in OURS)
    y = op.A(x)
    assert torch.equal(ours.usable(y), y)
    assert ours.first_estimate(y).shape == x.shape
    f = ours.data_term(y, measurement_weights(y, op, assumed=1.0), Accuracy(1e-6))
    assert f.tol == (0.0 if name in CLOSED else 1e-6) and len(f.stopped_short) == 0
    assert f.weight.tolist() == pytest.approx([100 if name in OURS else 1] * 2)
    assert (f.lipschitz() > 0).all() and f.select(torch.tensor([1])).weight.shape == (1,)


@pytest.mark.parametrize("name", ["circular", "reflect", "mask", "ct", "deepinv mask"])
def test_a_measurement_of_another_size_is_refused(name):
    op = (OURS | THEIRS)[name]
    y = op.A(image(2, 1, 9, 8))[..., :2, :1]
    with pytest.raises((ValueError, RuntimeError)):
        as_operator(op).usable(y)
    with pytest.raises((ValueError, RuntimeError)):
        start(y, op)


def test_what_an_operator_brings_is_taken():
    op, x = Halved(), image(1, 1, 4, 5)
    assert as_operator(op) is op
    assert torch.equal(start(op.A(x), op), x)
    y = op.A(x)
    y[..., 0, 0] = torch.nan  # which it says it can do without
    seen = float(y.nan_to_num(0).square().sum())
    assert float(data_term(y, op).value(0 * x)) == pytest.approx(seen / 2)
    lent = dp.LinearPhysics(A=op.A, A_adjoint=op.A_adjoint)
    assert not isinstance(lent, Operator)
    with pytest.raises(ValueError, match="1 of 20 measurements are NaN"):
        data_term(y, lent)


class Sloped(dp.Inpainting):
    """A subclass whose A is no mask any more."""

    def A(self, x, **kwargs):
        return super().A(x.roll(1, 3), **kwargs)

    def A_adjoint(self, y, **kwargs):
        return super().A_adjoint(y, **kwargs).roll(-1, 3)


def test_a_closed_form_is_lent_only_to_what_it_is_of():
    x, mask = image(2, 1, 9, 8), MASK[None].double()
    blur = dp.Blur(filter=KERNEL[None, None], padding="circular")
    assigned = dp.Blur(filter=KERNEL[None, None], padding="circular")
    assigned.A = lambda x: blur.A(x) * (x[..., :1] * 0 + torch.linspace(0, 1, 8).double())
    assigned.A_adjoint = lambda y: blur.A_adjoint(y * torch.linspace(0, 1, 8).double())
    for op in (Sloped((1, 9, 8), mask), assigned):
        y = op.A(x)
        f = as_operator(op).data_term(y, measurement_weights(y, op, 0.1), Accuracy(1e-6))
        assert isinstance(f, LinearData) and not f.non_negative
        assert float(f.value(x).max()) == 0 and check_data_term(f, op, y, x) == ""


@pytest.mark.parametrize("name", OURS | THEIRS)
def test_a_data_term_is_that_of_its_operator(name):
    op, x = (OURS | THEIRS)[name], image(2, 1, 9, 8)
    y = op.A(x) + 0.1
    entry = 0.5 + image(*y.shape, seed=3)
    y = as_operator(op).usable(y)
    for W in (None, entry):
        weights = Weights(torch.tensor([4.0, 9.0], dtype=torch.float64), W)
        f = as_operator(op).data_term(y, weights, Accuracy(1e-6))
        assert check_data_term(f, op, y, x, W) == ""
        # planted: one in place of the other, and of another measurement
        other = None if W is not None else entry
        assert "differs from that of" in check_data_term(f, op, y, x, other)
        assert "has a value that differs" in check_data_term(f, op, y + 0.01, x, W)


def test_two_of_three_methods_are_not_the_contract():
    half = SimpleNamespace(usable=None, data_term=None)
    assert not isinstance(half, Operator)


@pytest.mark.parametrize("told, weight", [(None, 4.0), (0.1, 100.0)])
def test_weights_come_from_who_knows_the_noise(told, weight):
    y = image(2, 1, 3, 4)
    op = dp.LinearPhysics()
    found = measurement_weights(y, op, told, assumed=0.5)
    assert found.image.tolist() == pytest.approx([weight] * 2) and found.entry is None
    op.set_noise_model(dp.GaussianNoise(0.2))
    found = measurement_weights(y, op, told, strength=2.0, assumed=0.5)
    assert found.image.tolist() == pytest.approx([2 * (weight if told else 25.0)] * 2)
    op.set_noise_model(PhotonCounts(100, 0.5))
    found = measurement_weights(y, op, told)
    if told is None:
        right = PhotonCounts(100, 0.5).precision(y)
        assert found.entry is not None
        torch.testing.assert_close(found.entry * found.image.view(2, 1, 1, 1), right)
        assert found.entry.mean((1, 2, 3)).tolist() == pytest.approx([1, 1])
    else:
        assert found.entry is None and found.image.tolist() == pytest.approx([100, 100])
