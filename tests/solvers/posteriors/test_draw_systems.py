"""The system of a draw: its answer against a dense solve, its products, its ends."""

import pytest
import torch
from torch import Tensor

from solvers.posteriors import draw_systems
from solvers.posteriors.draw_systems import Answer, draw_system

f64 = torch.float64
IMAGES, PIXELS, SEEN = 3, 30, 20


def matrices() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    F = torch.randn(SEEN, PIXELS, generator=generator, dtype=f64)
    root = torch.randn(IMAGES, PIXELS, PIXELS, generator=generator, dtype=f64) / PIXELS**0.5
    b = torch.randn(IMAGES, SEEN, generator=generator, dtype=f64)
    return F, root @ root.mT, b * torch.tensor([[1.0], [5.0], [0.01]], dtype=f64)


def solved(goal: float, max_steps: int = 200, calls: list | None = None) -> Answer:
    F, C, b = matrices()

    def back(w: Tensor) -> Tensor:
        if calls is not None:
            calls.append(1)
        return (C @ (w @ F)[..., None])[..., 0]

    return draw_system(
        lambda x: x @ F.T, back, b, torch.full((IMAGES,), goal, dtype=f64), max_steps
    )


def truth() -> tuple[Tensor, Tensor]:
    F, C, b = matrices()
    w = torch.linalg.solve(torch.eye(SEEN, dtype=f64) + F @ C @ F.T, b)
    return w, (C @ (w @ F)[..., None])[..., 0]


def away(found: Answer) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(found, truth(), strict=False))


def test_answer_and_change_are_those_of_a_dense_solve():
    assert away(solved(1e-12)) < 1e-10


@pytest.mark.parametrize("goal", [1.0, 1e-2, 1e-8])
def test_the_residual_is_at_its_goal_and_is_what_it_says(goal):
    F, _, b = matrices()
    found = solved(goal)
    left = (b - found.change @ F.T - found.w).norm(dim=1)
    torch.testing.assert_close(found.residual, left)
    assert (left <= goal).all()


def test_each_step_takes_one_product_and_the_answer_none():
    calls = []
    solved(1e-6, calls=calls)
    many = []
    found = solved(1e-6, max_steps=len(calls) - 1, calls=many)
    assert len(many) == len(calls) - 1 and (found.residual > 1e-6).any()


def test_an_image_at_its_goal_is_left_alone():
    found = solved(0.5)
    assert not found.w[2].any() and not found.change[2].any() and found.w[1].any()


def test_a_change_that_is_added_up_wrongly_is_caught(monkeypatch):
    right = draw_systems._sweep

    def wrong(*args):
        answer, steps = right(*args)
        return answer._replace(change=answer.change * 1.01), steps

    monkeypatch.setattr(draw_systems, "_sweep", wrong)
    assert away(solved(1e-12)) > 1e-6


def test_where_nothing_is_to_do_nothing_changes():
    F, _, b = matrices()
    goal = torch.full((IMAGES,), 100.0, dtype=f64)
    found = draw_system(lambda x: x @ F.T, lambda w: w @ F, b, goal, 5)
    assert not found.w.any() and not found.change.any()
