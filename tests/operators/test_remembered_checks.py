"""Answers about an operator are remembered as long as nothing in it changes, and no longer."""

import gc
import threading
import weakref

import pytest
import torch
from deepinv import physics as dp

from proxlab import operators
from proxlab.operators import checks
from proxlab.operators.checks import OperatorCheck, check_operator
from tests.images.pictures import image
from tests.operators.test_operator_checks import KERNEL, SIDE, ask, linear


def test_it_is_asked_once_and_again_when_something_changed(monkeypatch):
    asked, plain = [], checks._asked
    monkeypatch.setattr(checks, "_asked", lambda *a: (asked.append(1), plain(*a))[1])
    op = operators.deblur(KERNEL, normalize=True)
    x = image(2, 1, SIDE, SIDE, dtype=torch.float32)
    assert check_operator(op, x, x) is check_operator(op, x + 1, x) and len(asked) == 1
    check_operator(op, x[:1], x[:1])
    check_operator(op, x.double(), x.double())
    assert len(asked) == 3
    count = len(asked)
    for change in (
        lambda: op.kernel.mul_(2),
        lambda: setattr(op, "kernel", op.kernel.clone()),
        lambda: setattr(op, "A", lambda x: x),
        lambda: setattr(op, "scale", 2.0),
        lambda: setattr(op, "weight", torch.ones(2)),
        lambda: op.weight.add_(1),
        lambda: setattr(op.kernel, "data", 2 * op.kernel),
    ):
        change()
        check_operator(op, x, x)
        count += 1
        assert len(asked) == count
        check_operator(op, x, x)
        assert len(asked) == count


def test_nothing_is_kept_alive_and_threads_agree():
    op = operators.deblur(KERNEL, normalize=True)
    found: list[OperatorCheck] = []

    def work(op=op):
        found.append(ask(op))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    gone = weakref.ref(op)
    del op, work, threads
    gc.collect()
    assert gone() is None


def test_what_takes_the_place_of_something_gone_is_asked_anew(monkeypatch):
    asked, plain = [], checks._asked
    monkeypatch.setattr(checks, "_asked", lambda *a: (asked.append(1), plain(*a))[1])
    op = operators.deblur(KERNEL, normalize=True)
    x = image(2, 1, SIDE, SIDE, dtype=torch.float32)
    check_operator(op, x, x)
    before = checks._state(op)[0]
    kernel = op.kernel
    op.kernel = kernel.clone()
    monkeypatch.setattr(checks, "_state", lambda op: (before, []))  # another one where it lay
    check_operator(op, x, x)
    assert len(asked) == 1
    del kernel
    gc.collect()
    op._kept = None  # it held the first kernel too
    check_operator(op, x, x)
    assert len(asked) == 2


def test_an_operator_of_many_states_keeps_the_last_alone():
    op = operators.deblur(KERNEL, normalize=True)
    x = image(2, 1, SIDE, SIDE, dtype=torch.float32)
    for _ in range(3):
        op.kernel.mul_(1)
        check_operator(op, x, x)
    assert len(checks._known[op]) == 1


class Unhashable(dp.LinearPhysics):
    __hash__ = None  # type: ignore[assignment]

    def A(self, x, **kwargs):
        return x

    def A_adjoint(self, y, **kwargs):
        return y


def test_what_can_be_no_key_is_asked_each_time():
    assert ask(Unhashable()).doubts == ()


def test_the_draw_is_neither_global_nor_shared_by_neighbours():
    state = torch.get_rng_state()
    seen = []

    def A(x):
        seen.append(x)
        return x

    x = image(3, 1, SIDE, SIDE)
    check_operator(linear(A), x, x)
    whole, seen = seen, []
    check_operator(linear(lambda z: (seen.append(z), z)[1]), x[1:2], x[1:2])
    assert torch.equal(torch.get_rng_state(), state)
    for together, alone in zip(whole[:2], seen[:2], strict=True):
        assert torch.equal(together[1], alone[0])


def test_shapes_that_do_not_fit_are_refused():
    x = image(2, 1, SIDE, SIDE)
    with pytest.raises(ValueError, match=r"A x has shape \[2, 1, 16, 16\], expected \[2, 1, 16, 8"):
        check_operator(linear(lambda x: x), x[..., :8], x)
    with pytest.raises(ValueError, match=r"A_adjoint\(y\) has shape \[2, 1, 16, 15\]"):
        check_operator(linear(lambda x: x, lambda y: y[..., 1:]), x, x)
