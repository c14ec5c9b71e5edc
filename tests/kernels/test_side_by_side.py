"""Several threads with a piece of the images each give what one gives, and follow its rules."""

import multiprocessing
import threading
import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import proxlab
from proxlab.priors.lpn import cache_blocks
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.threads import side_by_side, threads_for

NAME = "lpn-gray-small"


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    count = torch.get_num_threads()
    monkeypatch.setattr(cache_blocks, "PIXELS", 0)  # images of any size are cut
    yield
    torch.set_num_threads(count)


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def made(threads: int, v: torch.Tensor) -> list[torch.Tensor]:
    torch.set_num_threads(threads)
    prior = proxlab.load(NAME)
    with torch.no_grad():
        jacobian = prior.jacobian(v[..., :12, :12], 0.1)
        diagonal = jacobian.diagonal()
        return [*prior.prox_and_value(v, 0.1), jacobian(v[..., :12, :12]), diagonal]


@pytest.mark.parametrize(
    "shape, threads", [((1, 1, 133, 40), 2), ((1, 1, 190, 24), 5), ((3, 1, 21, 24), 2)]
)
def test_they_give_what_one_gives(shape, threads):
    v = image(*shape)
    for one, several in zip(made(1, v), made(threads, v), strict=True):
        torch.testing.assert_close(several, one, rtol=1e-5, atol=2e-6)


def test_strips_that_see_too_little_are_found(monkeypatch):
    v = image(1, 1, 133, 40)
    one = made(1, v)
    monkeypatch.setattr(MixturePotential, "reach", 8)
    assert (made(2, v)[0] - one[0]).abs().max() > 1e-4


def test_each_has_one_of_torchs_threads_and_later_ones_all_of_them():
    torch.set_num_threads(3)
    assert side_by_side([torch.get_num_threads] * 9) == [1] * 9
    assert torch.get_num_threads() == 3
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [3]


def test_they_work_at_the_same_time():
    torch.set_num_threads(2)
    both = threading.Barrier(2, timeout=10)
    assert sorted(side_by_side([both.wait, both.wait])) == [0, 1]


def test_results_come_in_order_and_errors_are_raised():
    torch.set_num_threads(2)
    assert side_by_side([lambda: time.sleep(0.02) or "slow", lambda: "quick"]) == ["slow", "quick"]
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1, lambda: 1 // 0])


def test_there_is_one_where_others_would_not_be_in_the_same_mode():
    torch.set_num_threads(2)
    x = image(4)
    assert threads_for(x) == 2
    assert threads_for(x.requires_grad_()) == 1
    with torch.no_grad():
        assert threads_for(x) == 2
    with FlopCounterMode(display=False), torch.no_grad():
        assert threads_for(x) == 1
    with torch.autocast("cpu"), torch.no_grad():
        assert threads_for(x) == 1


def test_autograd_follows_all_of_it():
    torch.set_num_threads(2)
    v = image(1, 1, 133, 40).requires_grad_()
    prior = proxlab.load(NAME)
    with torch.enable_grad():
        (grad,) = torch.autograd.grad(prior.prox(v, 0.1).sum(), v)
    torch.set_num_threads(1)
    with torch.enable_grad():
        (one,) = torch.autograd.grad(prior.prox(v, 0.1).sum(), v)
    torch.testing.assert_close(grad, one, rtol=1e-5, atol=1e-6)


def test_inference_mode_is_theirs_too():
    torch.set_num_threads(2)
    with torch.inference_mode():
        assert side_by_side([torch.is_inference_mode_enabled] * 2) == [True] * 2
        x = proxlab.load(NAME).prox(image(1, 1, 133, 40), 0.1)
    assert x.is_inference()


def forked(result) -> None:
    torch.set_num_threads(2)
    result.put(side_by_side([lambda: 1, lambda: 2]))


def test_a_forked_process_has_threads_of_its_own():
    torch.set_num_threads(2)
    side_by_side([lambda: 1, lambda: 2])
    fork = multiprocessing.get_context("fork")
    result = fork.Queue()
    child = fork.Process(target=forked, args=(result,))
    child.start()
    assert result.get(timeout=30) == [1, 2]
    child.join()
