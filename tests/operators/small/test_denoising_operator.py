"""Noise alone: the identity in closed form, ours and deepinv's; what a restoration makes of it."""

import pytest
import torch
from deepinv import physics as dp

import proxlab
from proxlab.operators import Unchanged, denoise, noise_level
from proxlab.operators.contract import Accuracy, Operator
from proxlab.operators.data_term_checks import check_data_term
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.mask import MaskData
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import Weights, measurement_weights
from tests.images.pictures import image, relative

OPERATORS = {"ours": denoise(0.1), "deepinv": dp.Denoising(dp.GaussianNoise(0.1))}


@pytest.mark.parametrize("name", OPERATORS)
def test_its_data_term_is_the_distance_to_y(name):
    op, x, y = OPERATORS[name], image(2, 3, 5, 4), image(2, 3, 5, 4, seed=1)
    ours = as_operator(op)
    assert isinstance(ours, Operator) and torch.equal(ours.first_estimate(y), y)
    f = ours.data_term(ours.usable(y), measurement_weights(y, op), Accuracy())
    assert isinstance(f, MaskData) and f.tol == 0 and check_data_term(f, op, y, x) == ""
    assert f.value(x).tolist() == pytest.approx((50 * (x - y).square().sum((1, 2, 3))).tolist())
    assert relative(f.prox(x, 0.01), (x + y) / 2) < 1e-6
    assert relative(f.prox(x, 0.02), (x + y) / 2) > 1e-2
    assert f.lipschitz().tolist() == pytest.approx([100, 100])
    weighed = ours.data_term(y, Weights(torch.ones(2).double(), 0.5 + y), Accuracy(1e-8))
    assert isinstance(weighed, LinearData) and check_data_term(weighed, op, y, x, 0.5 + y) == ""


def test_deepinv_may_hold_other_shapes():
    op, y = OPERATORS["deepinv"], image(2, 7)
    f = as_operator(op).data_term(y, measurement_weights(y, op), Accuracy())
    assert relative(f.prox(0 * y, 0.01), y / 2) < 1e-6


class Darker(dp.Denoising):
    """A subclass that is no identity any more."""

    def A(self, x, **kwargs):
        return x / 2

    def A_adjoint(self, y, **kwargs):
        return y / 2


def test_a_subclass_that_changes_the_image_is_asked_itself():
    op, y = Darker(dp.GaussianNoise(0.1)), image(1, 1, 4, 4)
    f = as_operator(op).data_term(y, measurement_weights(y, op), Accuracy(1e-8))
    assert isinstance(f, LinearData) and check_data_term(f, op, y, y) == ""


def test_it_refuses_what_is_no_image_and_knows_its_noise():
    op = denoise(0.1)
    assert isinstance(op, Unchanged) and noise_level(op) == 0.1
    for call in (op.A, op.A_adjoint, op.usable, op.first_estimate, op):
        with pytest.raises(ValueError, match="images are"):
            call(image(4, 4))
    with pytest.raises(ValueError, match="divide by 255"):
        denoise(25)
    assert relative(op.prox_l2(None, image(1, 1, 3, 3), 3.0), 0.75 * image(1, 1, 3, 3)) < 1e-12


def test_the_restoration_is_nearly_one_prox_and_a_smaller_weight_leaves_noise():
    x = torch.linspace(0.2, 0.8, 24).expand(1, 1, 24, 24)
    op = denoise(0.1)
    y = op(x, generator=torch.Generator().manual_seed(0))
    prior = proxlab.load("lpn-gray-small")
    result = proxlab.restore(y, op, prior, tol=1e-5)
    assert result.certified == [True]
    assert relative(result.image, prior.prox(y, 0.1)) < 0.01
    theirs = proxlab.restore(y, OPERATORS["deepinv"], prior, tol=1e-5)
    assert relative(theirs.image, result.image) < 1e-4
    noisy = proxlab.restore(y, op, prior, weight=prior.capabilities.default_weight)
    assert relative(noisy.image, x) > 1.5 * relative(result.image, x)
