"""Training: interrupted and resumed is the same as not interrupted; nonsense is refused."""

import warnings

import pytest
import torch

from proxlab.convex import MixturePotential
from proxlab.data import Patches, hold_out
from proxlab.losses import balanced_squared_error
from proxlab.lpn import LPN
from proxlab.mixture_config import MixtureConfig
from proxlab.train import TrainConfig, train

IMAGES = [
    torch.randint(256, (30, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
    for i in range(3)
]
CONFIG = TrainConfig(steps=5, batch=2, patch=16, checkpoint_every=2)


def run(out, config=CONFIG, minutes=float("inf"), resume=False, loss=balanced_squared_error):
    model = LPN(MixturePotential(MixtureConfig(4, 2, context=1)))
    groups = model.potential.parameter_groups(config.learning_rate)
    finished, _ = train(
        model, groups, Patches(IMAGES, config.patch), loss, config, out, minutes=minutes,
        resume=resume,
    )  # fmt: skip
    return finished, model.state_dict()


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_resumed_equals_uninterrupted_to_the_bit(tmp_path):
    _, whole = run(tmp_path / "a")
    pieces = 1
    finished, state = run(tmp_path / "b", minutes=0)
    while not finished:
        finished, state = run(tmp_path / "b", minutes=0, resume=True)
        pieces += 1
    assert pieces == 5
    assert same(whole, state)
    assert not same(
        whole, run(tmp_path / "c", TrainConfig(5, 2, 16, seed=1, checkpoint_every=2))[1]
    )


def test_a_run_is_not_overwritten_or_mixed(tmp_path):
    run(tmp_path, minutes=0)
    with pytest.raises(ValueError, match="already holds a training run"):
        run(tmp_path)
    with pytest.raises(ValueError, match="another configuration"):
        run(tmp_path, TrainConfig(steps=9, batch=2, patch=16), resume=True)


def test_a_broken_loss_stops_the_run(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FloatingPointError, match="the loss is nan at step 0; lower the rate"):
            run(tmp_path, loss=lambda x, clean, sigma: (x * torch.nan).sum())


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="divide by 255"):
        TrainConfig(sigma_range=(1, 75))
    with pytest.raises(ValueError, match="at least 1"):
        TrainConfig(steps=0)
    with pytest.raises(ValueError, match="smaller patch"):
        Patches(IMAGES, 31)


def test_held_out_images_are_not_trained_on():
    kept, held = hold_out(list(range(100)), 20)
    assert held == [0, 20, 40, 60, 80] and not set(kept) & set(held)


def test_loss_balances_levels():
    clean, error = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    at = [float(balanced_squared_error(error, clean, torch.tensor([s / 255]))) for s in (25, 50)]
    assert at[0] == pytest.approx(1000) and at[0] / at[1] == pytest.approx(2**1.2)
