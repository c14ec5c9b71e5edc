"""Training: interrupted and resumed is the same as not interrupted; nonsense is refused."""

import itertools
import warnings

import pytest
import torch
from PIL import Image

from proxlab import checkpoints
from proxlab.commands.main import main
from proxlab.images.folders import hold_out
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.training.config import Run, TrainConfig
from proxlab.training.loop import Task, train
from proxlab.training.losses import (
    ProximalMatching,
    balanced_absolute_error,
    balanced_squared_error,
)
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.recipes.proximal_matching import lpn_gray_pm, proximal_matching_stages
from proxlab.training.stages import Stage

IMAGES = [
    torch.randint(256, (30, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
    for i in range(3)
]
CONFIG = TrainConfig(steps=5, batch=2, patch=16, checkpoint_every=2)


def run(out, config=CONFIG, pause=float("inf"), resume=False, loss=balanced_squared_error):
    model = LPN(MixturePotential(MixtureConfig(4, 2, context=1)))
    groups = model.potential.parameter_groups(config.learning_rate)
    pairs = NoisyPatches(Patches(IMAGES, config.patch), config.sigma_range).draw
    how = Run(pause=pause, resume=resume)
    trained = train(Task(model, groups, pairs, loss), config, out, how)
    return trained.finished, model.state_dict()


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_resumed_equals_uninterrupted_to_the_bit(tmp_path):
    _, whole = run(tmp_path / "a")
    pieces = 1
    finished, state = run(tmp_path / "b", pause=0)
    while not finished:
        finished, state = run(tmp_path / "b", pause=0, resume=True)
        pieces += 1
    assert pieces == 5
    assert same(whole, state)
    assert not same(
        whole, run(tmp_path / "c", TrainConfig(5, 2, 16, seed=1, checkpoint_every=2))[1]
    )


STAGES = [Stage(balanced_absolute_error, 1e-3, 2), Stage(ProximalMatching(0.05), 1e-4, 3)]


def test_stages_resume_to_the_bit_across_their_borders(tmp_path):
    _, whole = run(tmp_path / "a", loss=STAGES)
    finished, state = run(tmp_path / "b", pause=0, loss=STAGES)
    while not finished:
        finished, state = run(tmp_path / "b", pause=0, resume=True, loss=STAGES)
    assert same(whole, state)
    assert not same(whole, run(tmp_path / "c", loss=balanced_absolute_error)[1])


def test_one_stage_is_the_plain_loss(tmp_path):
    one = [Stage(balanced_squared_error, CONFIG.learning_rate, CONFIG.steps)]
    assert same(run(tmp_path / "a")[1], run(tmp_path / "b", loss=one)[1])


def test_other_stages_are_another_run(tmp_path):
    run(tmp_path, pause=0, loss=STAGES)
    for other in ([STAGES[0], Stage(ProximalMatching(0.04), 1e-4, 3)], balanced_squared_error):
        with pytest.raises(ValueError, match="another configuration"):
            run(tmp_path, resume=True, loss=other)
    with pytest.raises(ValueError, match="the stages have 2 steps and the configuration 5"):
        run(tmp_path / "short", loss=STAGES[:1])


def test_a_single_loss_is_saved_as_before(tmp_path):
    run(tmp_path, pause=0)
    assert "stages" not in torch.load(tmp_path / "state.pt", weights_only=True)["config"]


def test_proximal_matching_goes_on_from_a_model(tmp_path):
    for i, image in enumerate(IMAGES):
        Image.fromarray(image.numpy()).save(tmp_path / f"{i}.png")
    start = LPN(MixturePotential(MixtureConfig(4, 2, context=1)))
    start = checkpoints.save(tmp_path / "start", start, {})
    config = TrainConfig(steps=6, batch=2, patch=16, learning_rate=1e-7)
    path = lpn_gray_pm(tmp_path, tmp_path / "run", start=start, config=config)
    before, after = checkpoints.load(start), checkpoints.load(path)
    y = torch.rand(1, 1, 20, 20)
    assert not torch.equal(before.prox(y, 0.1), after.prox(y, 0.1))
    torch.testing.assert_close(before.prox(y, 0.1), after.prox(y, 0.1), rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="not 'tv'"):
        lpn_gray_pm(tmp_path, tmp_path / "other", start="tv")


def test_only_proximal_matching_starts_from_a_model(tmp_path, capsys):
    assert main(["train", "lpn-gray", "--start", "tv", "--out", str(tmp_path / "a")]) == 1
    assert "trained from scratch" in capsys.readouterr().err
    assert main(["train", "lpn-gray-pm", "--start", "tv", "--out", str(tmp_path / "b")]) == 1
    assert "not 'tv'" in capsys.readouterr().err


def test_gamma_is_halved_to_well_below_the_error():
    gammas = [stage.loss.gamma for stage in proximal_matching_stages(TrainConfig())[1:]]
    assert len(gammas) >= 4 and min(gammas) < 0.035 / 3
    assert all(b == a / 2 for a, b in itertools.pairwise(gammas))


def test_a_run_is_not_overwritten_or_mixed(tmp_path):
    run(tmp_path, pause=0)
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
