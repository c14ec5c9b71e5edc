"""Images chosen out of a batch: operator, weights and warm starts are those of their places."""

import pytest
import torch
from deepinv.physics import LinearPhysics

from proxlab.operators.contract import Accuracy
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.noise import Weights
from tests.images.pictures import image, relative

B, SIDES = 4, (1, 5, 6)


class Each(LinearPhysics):
    """x -> d x with d of each image's own, [B, H, W] or [B, 1, H, W], or one for all."""

    def __init__(self, d: torch.Tensor):
        super().__init__()
        self.register_buffer("d", d)
        self.batches: list[int] = []

    def A(self, x: torch.Tensor, **kwargs) -> torch.Tensor:
        self.batches.append(len(x))
        return (self.d if self.d.ndim == 4 else self.d[:, None]) * x

    def A_adjoint(self, y: torch.Tensor, **kwargs) -> torch.Tensor:
        return self.A(y)


def term(d: torch.Tensor, weighted: bool, tol: float = 1e-13, steps: int = 500):
    y = image(B, *SIDES, seed=1)
    w = torch.tensor([1.0, 4.0, 0.5, 2.0], dtype=torch.float64)
    W = 2 * image(B, *SIDES, seed=2) if weighted else None
    op = Each(d)
    return LinearData(y, op, Weights(w, W), Accuracy(tol, steps)), op, y, w, W


SCALES = {
    "of three dimensions": 0.5 + image(B, 5, 6),
    "of four": 0.5 + image(B, *SIDES),
    "for all": 0.5 + image(1, *SIDES),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SCALES)
def test_chosen_images_have_the_formula_of_their_places(name, weighted):
    """x = (v + s d W y) / (1 + s d^2 W), s = tau w, entry by entry."""
    f, op, y, w, W = term(SCALES[name], weighted)
    d = SCALES[name].view(-1, *SIDES).expand(B, -1, -1, -1)
    W = torch.ones_like(y) if W is None else W
    v, tau = image(B, *SIDES, seed=3), torch.tensor([0.1, 1.0, 3.0, 0.5], dtype=torch.float64)
    s = (tau * w).view(-1, 1, 1, 1)
    prox, grad = (v + s * d * W * y) / (1 + s * d**2 * W), w.view(-1, 1, 1, 1) * d * W * (d * v - y)
    value = w * (W * (d * v - y).square()).flatten(1).sum(1) / 2
    assert relative(f.prox(v, tau), prox) < 1e-11  # and leaves a warm start
    first = f.select(torch.tensor([3, 0, 2]))
    for chosen, at in (
        (first, [3, 0, 2]),
        (first.select(torch.tensor([2])), [2]),
        (first.select(torch.tensor([1, 0])), [0, 3]),
        (first.select(torch.tensor([1, 0])).select(torch.tensor([1])), [3]),
    ):
        assert relative(chosen.prox(v[at], tau[at]), prox[at]) < 1e-11
        torch.testing.assert_close(chosen.grad(v[at]), grad[at])
        torch.testing.assert_close(chosen.value(v[at]), value[at])
        top = w[at] * (d**2 * W)[at].flatten(1).amax(1)
        assert ((chosen.lipschitz() >= top) & (chosen.lipschitz() < 1.06 * top)).all()
    # an operator with a parameter for each image is asked about the whole batch
    sizes = set(op.batches)
    assert sizes == {B} if name != "for all" else sizes == {4, 3, 2, 1}


def test_a_warm_start_goes_with_its_image_and_steps_are_counted_anew():
    f, _, _, _, _ = term(SCALES["of four"], False, tol=1e-10)
    v = image(B, *SIDES, seed=3)
    f.prox(v, 0.7)
    assert f.inner_steps > 3
    part = f.select(torch.tensor([2, 1]))
    assert part.inner_steps == 0
    part.prox(v[[2, 1]], 0.7)
    assert part.inner_steps == 0  # it starts at the answer
    swapped = f.select(torch.tensor([2, 1]))
    swapped.prox(v[[1, 2]], 0.7)
    assert swapped.inner_steps > 3


def test_misses_are_told_by_the_places_in_the_whole_batch():
    f, _, _, _, _ = term(SCALES["of four"], False, tol=1e-13, steps=1)
    v = image(B, *SIDES, seed=3)
    part = f.select(torch.tensor([3, 1])).select(torch.tensor([1]))
    with pytest.warns(UserWarning, match="stopped short"):
        part.prox(v[1:2], 1.0)
    assert [missed.images for missed in f.stopped_short] == [(1,)]
    assert f.stopped_short is part.stopped_short


def test_a_prox_and_its_value_belong_together():
    f, _, _, _, _ = term(SCALES["of four"], True)
    v = image(B, *SIDES, seed=3)
    for _ in range(2):  # cold, and from a start that is the answer
        x, value = f.prox_and_value(v, 0.7)
        torch.testing.assert_close(value, f.value(x), rtol=1e-12, atol=0)


def test_a_pair_of_images_with_a_parameter_each_is_a_batch_too():
    d, y = 0.5 + image(2, 5, 6), image(2, *SIDES, seed=1)
    f = LinearData(y, Each(d), Weights(torch.ones(2).double(), None), Accuracy(1e-13, 500))
    x = f.select(torch.tensor([1])).prox(y[1:], 1.0)
    assert relative(x, (y + d[:, None] * y)[1:] / (1 + d[1:, None] ** 2)) < 1e-11


def test_an_answer_of_another_shape_is_refused():
    f, op, *_ = term(SCALES["for all"], False)
    op.A = lambda x: x[..., 1:]
    with pytest.raises(ValueError, match=r"A x has shape \[4, 1, 5, 5\], but y has \[4, 1, 5, 6\]"):
        f.value(image(B, *SIDES))
