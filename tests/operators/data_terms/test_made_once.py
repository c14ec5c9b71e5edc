"""What a data term makes once for the proxes of a run changes no answer of any."""

import copy

import pytest
import torch

import proxlab
from proxlab.operators import deblur, gaussian_kernel, inpaint
from proxlab.operators.data_terms import arguments, circular, mask
from tests.images.pictures import image

SIZE = (6, 8)
OPERATORS = {
    "circular": lambda: deblur(gaussian_kernel(0.5)),
    "mask": lambda: inpaint(image(*SIZE, seed=1) > 0.5),
}
EACH, OTHER = torch.tensor([0.2, 0.1]), torch.tensor([0.1, 0.2])
LEVELS = [0.1, 0.1, 0.7, 0.1, EACH, EACH, OTHER, torch.tensor(0.7), EACH, 0.1]
"""Steps that stay, come, go and are tensors."""


def term(name: str):
    noise = torch.tensor([0.5, 0.1])
    return proxlab.data_terms.data_term(image(2, 1, *SIZE, seed=3), OPERATORS[name](), noise=noise)


def answers(name: str, fresh: bool) -> list[torch.Tensor]:
    """Proxes of one term, or of a fresh one each, in two dtypes, and of its last image."""
    v, f = image(2, 1, *SIZE, seed=5), term(name)

    def g():
        return term(name) if fresh else f

    found = [g().prox(v, tau) for tau in LEVELS]
    found += [g().prox(v.to(dtype), 0.1) for dtype in (torch.float32, torch.float64)]
    return [*found, g().select(torch.tensor([1])).prox(v[1:], 0.1)]


def agree(name: str) -> bool:
    pairs = zip(answers(name, False), answers(name, True), strict=True)
    return all(torch.equal(kept, fresh) for kept, fresh in pairs)


@pytest.mark.parametrize("name", OPERATORS)
def test_it_changes_no_answer(name):
    assert agree(name)


@pytest.mark.parametrize("name", OPERATORS)
def test_that_check_catches_what_is_kept_too_long(name, monkeypatch):
    monkeypatch.setattr(arguments, "_same", lambda tau, other: True)
    assert not agree(name)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_same_step_is_made_once_until_somebody_writes_over_it(name, monkeypatch):
    f, v, tau = term(name), image(2, 1, *SIZE, seed=5), EACH.clone()
    made, scaled = [], arguments.scaled
    for module in (circular, mask):
        monkeypatch.setattr(module, "scaled", lambda *a: (made.append(1), scaled(*a))[1])
    counts = []
    for step in (0.1, 0.1, tau, tau):
        f.prox(v, step)
        counts.append(len(made))
    assert counts == [1, 1, 2, 2]
    assert torch.equal(copy.deepcopy(f).prox(v, tau), f.prox(v, tau))
    tau *= 2
    assert torch.equal(f.prox(v, tau), term(name).prox(v, tau))


def test_gradients_and_inference_leave_nothing_behind():
    v, f = image(2, 1, *SIZE, seed=5), term("circular")
    with torch.inference_mode():
        f.prox(v, 0.1)
    asked = v.clone().requires_grad_()
    (slope,) = torch.autograd.grad(f.prox(asked, 0.1).sum(), asked)
    assert slope.isfinite().all()
    weight = f.weight.clone().requires_grad_()
    learned = circular.CircularData(f.spectrum, f.measured, weight, f.shape)
    with torch.no_grad():
        learned.prox(v, 0.1)
    for _ in range(2):  # one graph each
        (slope,) = torch.autograd.grad(learned.prox(v, 0.1).sum(), weight)
    h = 1e-6
    ends = [
        circular.CircularData(f.spectrum, f.measured, f.weight + d, f.shape).prox(v, 0.1).sum()
        for d in (-h, h)
    ]
    assert float(slope.sum()) == pytest.approx(float(ends[1] - ends[0]) / (2 * h), rel=1e-5)
