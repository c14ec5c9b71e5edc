"""Samples drawn in threads are those drawn one after the other."""

from concurrent.futures import ThreadPoolExecutor

import torch

import proxlab
from proxlab.checkpoints import load_diffusion


def test_threads_share_a_model_and_no_noise():
    model = load_diffusion("proxdm-mnist")
    draw = lambda seed: proxlab.sample(model, n=1, steps=5, seed=seed)  # noqa: E731
    alone = [draw(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as threads:
        shared = list(threads.map(draw, (0, 1)))
    assert all(torch.equal(a, b) for a, b in zip(shared, alone, strict=True))
    assert not torch.equal(*alone)
