"""The driver: each image stops by itself, divergence is loud, certificates tell the truth."""

import math
import re

import pytest
import torch

from solvers import Diverged, State, admm, drs, fista, hqs, pgd, run
from solvers.book import REMEDY
from solvers.protocols import narrow
from tests.toys import L1, Quadratic, Ridge, Stubborn, Valueless, problem

ALL = [pgd, fista, admm, drs, hqs]


def uneven(batch: int = 4) -> Quadratic:
    """Images of different condition, so that they stop at different steps."""
    f = problem(batch=batch)
    scale = torch.linspace(0.7, 1.0, batch, dtype=torch.float64)[:, None, None]
    return Quadratic(f.A * scale, f.y)


def start(f: Quadratic) -> torch.Tensor:
    return f.y.new_zeros(len(f.y), f.A.shape[2])


def run_all(solver, f, g, tau, x=None, tol=1e-5):
    return run(solver(f, g, start(f) if x is None else x, tau=tau), max_steps=3000, tol=tol)


def run_alone(solver, f, g, tau, b):
    one = torch.tensor([b])
    return run_all(solver, f.select(one), g, tau[one] if isinstance(tau, torch.Tensor) else tau)


TAUS = {
    "constant": 0.3,
    "per image": torch.tensor([0.2, 0.25, 0.3, 0.35], dtype=torch.float64),
    "schedule": [0.35, 0.3, torch.full((4,), 0.25, dtype=torch.float64)],
}


@pytest.mark.parametrize("solver", ALL)
@pytest.mark.parametrize("kind", TAUS)
def test_a_batch_is_its_images_run_alone(solver, kind):
    f, tau = uneven(), TAUS[kind]
    together = run_all(solver, f, L1(0.1), tau)
    assert len(set(together.steps.tolist())) > 1
    for b in range(4):
        if kind == "schedule":
            alone = run_alone(solver, f, L1(0.1), [0.35, 0.3, 0.25], b)
        else:
            alone = run_alone(solver, f, L1(0.1), tau, b)
        k = int(alone.steps)
        assert k == together.steps[b]
        assert (alone.x[0] - together.x[b]).norm() < 1e-12
        for ours, theirs in zip(together.trace[:4], alone.trace[:4], strict=True):
            assert torch.allclose(ours[:k, b], theirs[:, 0], rtol=1e-6, atol=1e-12)
            assert ours[k:, b].isnan().all()


@pytest.mark.parametrize("solver", ALL)
def test_a_term_that_cannot_select_gives_the_same_results_in_a_full_batch(solver):
    f, narrowing, full = uneven(), L1(0.1), L1(0.1)
    a = run_all(solver, f, narrowing, 0.3)
    b = run(solver(Stubborn(f), full, start(f), tau=0.3), max_steps=3000, tol=1e-5)
    assert (a.x - b.x).norm() < 1e-12 and a.steps.tolist() == b.steps.tolist()
    assert all(
        torch.allclose(s, t, atol=1e-12, equal_nan=True)
        for s, t in zip(a.trace[:4], b.trace[:4], strict=True)
    )
    assert set(full.sizes) == {4}
    assert narrowing.sizes == [int((a.steps >= k).sum()) for k in range(1, a.steps.max() + 1)]
    assert min(narrowing.sizes) < 4


def test_a_frozen_image_does_not_move_though_its_batch_goes_on():
    f, seen = uneven(), {}
    steps = pgd(Stubborn(f), L1(0.1), start(f), tau=0.3)
    result = run(steps, max_steps=3000, tol=1e-4, watch=lambda k, s: seen.update({k: s.x.clone()}))
    for b, k in enumerate(result.steps.tolist()):
        assert torch.equal(result.x[b], seen[k][b])
    last = seen[int(result.steps.max())]
    assert not torch.equal(result.x, last)  # the planted mistake: to return the last batch


def test_offering_a_batch_to_something_without_select_would_mix_images():
    f, index = uneven(), torch.tensor([2])
    assert narrow(index, Stubborn(f), L1(0.1), start(f))[2].shape[0] == 4
    assert narrow(index, f, Ridge(0.1), start(f))[2].shape[0] == 4
    assert narrow(index, f, L1(0.1), start(f))[2].shape[0] == 1
    x = start(f)[index]
    assert Stubborn(f).value(x).shape == (4,)  # one image against four sets of data: no error


def test_max_steps_is_told_from_tolerance():
    f = uneven()
    full = run_all(pgd, f, L1(0.1), 0.3)
    limit = int(full.steps.sort().values[1])
    result = run(pgd(f, L1(0.1), start(f), tau=0.3), max_steps=limit, tol=1e-5)
    assert sorted(result.stopped) == ["max_steps"] * 2 + ["tolerance"] * 2
    for stopped, certified, doubt in zip(
        result.stopped, result.certified, result.doubts, strict=True
    ):
        assert certified == (stopped == "tolerance")
        assert ("above tol 1.0e-05" in doubt) == (stopped == "max_steps")


@pytest.mark.parametrize("solver", [pgd, fista])
def test_too_large_a_step_sets_its_image_aside(solver):
    f = uneven()
    tau = torch.full((4,), 0.3, dtype=torch.float64)
    plain = run_all(solver, f, Ridge(0.0), tau, tol=1e-4)
    assert plain.stopped == ["tolerance"] * 4
    tau[2] = 3 / f.select(torch.tensor([2])).lipschitz()
    found = run_all(solver, f, Ridge(0.0), tau, tol=1e-4)
    assert found.stopped == ["tolerance", "tolerance", "diverged", "tolerance"]
    assert found.certified[2] is False and found.x[2].isnan().all()
    words = found.doubts[2].replace("1e+06", "").removesuffix(f"; {REMEDY}")
    told = re.fullmatch(r"\D+ at step (\d+)", words)
    assert told is not None and int(told[1]) == found.steps[2]
    others = torch.tensor([0, 1, 3])
    assert torch.equal(found.x[others], plain.x[others])
    assert torch.equal(found.steps[others], plain.steps[others])


@pytest.mark.parametrize("solver", [pgd, fista])
def test_too_large_a_step_in_all_images_raises_with_the_step_number(solver):
    f = uneven()
    with pytest.raises(Diverged, match=r"at step \d+ in image 0, 1, 2, 3 of the batch; try a smal"):
        run_all(solver, f, Ridge(0.0), 6 / f.lipschitz(), tol=1e-4)


def spoilt(images, at=7):
    """Two images, of which some have a NaN objective from a step on."""
    one = torch.ones(2, dtype=torch.float64)
    for k in range(1, 100):
        bad = torch.tensor([math.nan if k >= at and b in images else 1.0 for b in range(2)])
        yield State(torch.ones(2, 3), one, bad, one, k > 3)


@pytest.mark.parametrize("at", [2, 7])  # while a schedule runs, and after it
def test_not_a_number_is_found_at_once(at):
    found = run(spoilt([1], at), max_steps=20, tol=1e-3)
    assert found.stopped == ["max_steps", "diverged"] and found.steps.tolist() == [20, at]
    assert found.doubts[1] == f"residual or objective not finite at step {at}; {REMEDY}"
    with pytest.raises(Diverged, match=f"at step {at} in image 0, 1") as caught:
        run(spoilt([0, 1], at), max_steps=20, tol=1e-3)
    assert caught.value.step == at and caught.value.images == [0, 1]


def test_every_image_has_a_tolerance_of_its_own():
    f = uneven(3)
    tol = torch.tensor([1e-2, 1e-6, 1e-4])
    found = run(pgd(f, L1(0.1), start(f), tau=0.3), max_steps=4000, tol=tol)
    for b, one in enumerate(tol):
        alone = run(pgd(f, L1(0.1), start(f), tau=0.3), max_steps=4000, tol=float(one))
        assert found.steps[b] == alone.steps[b]
        assert torch.allclose(found.x[b], alone.x[b], atol=1e-12)
    assert len(set(found.steps.tolist())) == 3
    with pytest.raises(ValueError, match="tol > 0"):
        run(pgd(f, L1(0.1), start(f), tau=0.3), max_steps=5, tol=torch.tensor([1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match=r"tol is a float or \[B\], B = 3, got \[2\]"):
        run(pgd(f, L1(0.1), start(f), tau=0.3), max_steps=5, tol=torch.tensor([1.0, 1.0]))


@pytest.mark.parametrize("word, arguments", {"max_steps": (0, 1e-3), "tol": (5, 0.0)}.items())
def test_nonsense_is_refused(word, arguments):
    f = problem()
    with pytest.raises(ValueError, match=word):
        run(pgd(f, L1(1.0), start(f), tau=0.1), max_steps=arguments[0], tol=arguments[1])


def test_a_value_summed_over_the_batch_is_refused():
    f = problem(batch=2)
    x = start(f)
    with pytest.raises(ValueError, match="one entry per image"):
        run(iter_states(State(x, x.sum(1), None, x.sum(), True)), max_steps=2, tol=1.0)


def iter_states(*states):
    yield from states


def test_a_finished_generator_is_refused():
    f = problem()
    steps = pgd(f, L1(1.0), start(f), tau=0.1)
    run(steps, max_steps=3, tol=1e-12)
    with pytest.raises(ValueError, match="after 0 steps"):
        run(steps, max_steps=3, tol=1e-12)


def test_an_interrupt_passes_through():
    def interrupt(k, state):
        raise KeyboardInterrupt

    f = problem()
    with pytest.raises(KeyboardInterrupt):
        run(pgd(f, L1(1.0), start(f), tau=0.1), max_steps=3, tol=1e-9, watch=interrupt)


def test_watch_counts_from_one_and_gradients_pass():
    f, seen = problem(), []
    y = f.y.clone().requires_grad_()
    steps = pgd(Quadratic(f.A, y), Ridge(0.1), start(f), tau=0.1)
    x = run(steps, max_steps=4, tol=1e-12, watch=lambda k, s: seen.append(k)).x
    assert seen == [1, 2, 3, 4]
    (grad,) = torch.autograd.grad(x.sum(), y)
    assert grad.norm() > 0


def test_a_prior_without_value_runs_but_is_not_certified():
    f = problem()
    result = run_all(pgd, f, Valueless(L1(0.1)), 0.3)
    assert result.trace.objective is None
    assert result.stopped == ["tolerance"] and result.doubts == ["the prior has no value"]
