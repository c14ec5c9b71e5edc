"""A prior shared by threads, asked twice, on one thread and on two, after NaN: one answer each."""

from concurrent.futures import ThreadPoolExecutor

import deepinv
import pytest
import torch

import proxlab
from proxlab.machine import FULL, _precision, full_precision
from proxlab.model_kinds import KINDS
from proxlab.priors.classical import CLASSICAL
from solvers.protocols import HasProxAndValue

NETWORKS = [name for name, card in proxlab.models().items() if KINDS[card["kind"]].use == "prior"]
BRINGS = {
    "tv of deepinv": lambda: proxlab.DenoiserPrior(
        deepinv.models.TVDenoiser(n_it_max=20), argument=lambda s: 8 * s**2
    ),
    "tiles": lambda: proxlab.Tiled(proxlab.load("lpn-gray"), 16),
}


def answers(prior, v):
    sigma = min(max(0.1, prior.sigma_range[0]), prior.sigma_range[1])
    with_value = isinstance(prior, HasProxAndValue)
    return prior.prox_and_value(v, sigma) if with_value else (prior.prox(v, sigma),)


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def made(name):
    return BRINGS[name]() if name in BRINGS else proxlab.load(name)


@pytest.mark.parametrize("name", [*CLASSICAL, *NETWORKS, *BRINGS])
def test_one_answer_whoever_asks_and_when(name):
    prior, generator = made(name), torch.Generator().manual_seed(0)
    channels = getattr(prior, "channels", 1)
    images = [torch.rand(1, channels, 8 - k, 9, generator=generator) for k in range(2)]
    alone = [answers(prior, v) for v in images]
    answers(prior, torch.full_like(images[0], torch.nan))
    with ThreadPoolExecutor(3) as threads:
        shared = list(threads.map(lambda v: answers(prior, v), images * 2))
    assert all(same(a, b) for a, b in zip(shared, alone * 2, strict=True))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for a, b in zip(answers(prior, images[0]), alone[0], strict=True):
            assert (a - b).norm() <= 1e-5 * b.norm()
    finally:
        torch.set_num_threads(before)


def test_a_prior_that_remembers_is_seen():
    run = BRINGS["tv of deepinv"]().for_run()
    v = torch.rand(1, 1, 8, 9, generator=torch.Generator().manual_seed(0))
    assert not same(answers(run, v), answers(run, v))


def test_the_precision_of_all_is_reset_by_the_last_one_out():
    before = _precision()
    first, second = full_precision(), full_precision()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert _precision() == FULL != before
    second.__exit__(None, None, None)
    assert _precision() == before
