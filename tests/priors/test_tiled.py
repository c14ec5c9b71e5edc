"""Tiles: what each prior says of its reach is the truth, and tiles give the whole image's prox."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import proxlab
from examples.benchmarks import bench_tiles
from proxlab.checkpoints import save
from proxlab.commands.main import main
from proxlab.comparison.case import Counted
from proxlab.priors.classical import TV, Identity
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.gradient_step import GradientStep
from proxlab.priors.lpn.icnn import ImageICNN, ImageICNNConfig
from proxlab.priors.lpn.log_density import LogDensityConfig, LogDensityPotential
from proxlab.priors.lpn.network import LPN
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from proxlab.tiled import Tiled, seam_error
from tests.images.pictures import image
from tests.priors.lpn.potentials import potential

SMALL = CrateConfig(patch=4, stride=2, width=16, heads=2, layers=1, side=2)
SMOOTH = replace(SMALL, smoothing=0.5)
SMOOTH_UNET = UNetConfig(widths=(4, 4, 4, 4), smoothing=0.01)


def rough(network):
    """Random weights of size one, in float64: what is far away counts, too."""
    torch.manual_seed(0)
    for p in network.double().requires_grad_(False).parameters():
        p.copy_(torch.randn_like(p) / (p[0].numel() ** 0.5 if p.ndim > 1 else 1))
    return network


def mixture(context):
    return LPN(potential(context, spread=1.0).requires_grad_(False))


def icnn(*strides):
    config = ImageICNNConfig(width=36, strides=strides)
    return LPN(ImageICNN(config).double().requires_grad_(False))


def crate(**sizes):
    return rough(CrateDenoiser(replace(SMALL, **sizes)))


PRIORS = {
    "lpn, no context": lambda: mixture(1),
    "lpn": lambda: mixture(5),
    "lpn, wide context": lambda: mixture(7),
    "icnn": lambda: icnn(2, 1, 2),
    "icnn, no stride": lambda: icnn(1),
    "crate": lambda: crate(),
    "crate, two layers": lambda: crate(layers=2),
    "crate, patches side by side": lambda: crate(patch=2),
    "crate, patches far over": lambda: crate(patch=10),
    "crate, wide windows": lambda: crate(side=4),
    "gradient step": lambda: rough(GradientStep(SMOOTH, length=0.5)),
    "gradient step of a unet": lambda: rough(GradientStep(SMOOTH_UNET)),
    "completion": lambda: rough(Completion(SMALL)),
    "dncnn": lambda: rough(DnCNNDenoiser(DnCNNConfig(depth=4, width=6))),
    "unet": lambda: rough(UNetDenoiser(UNetConfig(widths=(4, 4, 4, 4)))),
}
VALUED = ("lpn, no context", "lpn", "lpn, wide context", "gradient step", "gradient step of a unet")


@pytest.fixture(scope="module", params=PRIORS)
def prior(request):
    return PRIORS[request.param]()


def faint(*shape, seed=0):
    """Of low contrast, or a mixture is sure of one component and nothing else matters."""
    return 0.5 + 0.05 * image(*shape, seed=seed)


def cut(prior):
    """An image and a side: three tiles along the rows, none of which sees both ends."""
    reach, step = prior.capabilities.reach, prior.capabilities.alignment
    return faint(1, 1, 13, 2 * reach + 3 * step + 1), reach + step


def slack(prior):
    """What a reach may be above the least there is: that of a gradient step is twice another."""
    return prior.capabilities.alignment if isinstance(prior, GradientStep) else 0


def test_tiles_give_the_whole(prior):
    step = prior.capabilities.alignment
    last_of_one_pixel = faint(1, 1, 16 * step + 1, 9, seed=1), 4 * step
    for v, side in (cut(prior), last_of_one_pixel):
        assert seam_error(prior, v, 0.1, side).largest < 1e-12
    *_, last = Tiled(prior, side).tiles(v.shape[-2:])
    assert last.core[0] == slice(16 * step, 16 * step + 1)


def test_with_one_alignment_less_there_are_seams(prior):
    v, side = cut(prior)
    too_little = prior.capabilities.reach - slack(prior) - prior.capabilities.alignment
    assert seam_error(prior, v, 0.1, side, reach=too_little).largest > 1e-10


def test_a_block_sees_as_far_as_its_reach_and_no_farther(prior):
    step, reach = prior.capabilities.alignment, prior.capabilities.reach
    v = faint(1, 1, 16, 2 * reach + 5 * step).requires_grad_()
    first = (reach // step + 2) * step
    block = slice(first, first + step)
    answer = prior.prox(v, 0.1)[..., block]
    (slope,) = torch.autograd.grad((answer * image(*answer.shape, seed=1)).sum(), v)
    size = slope.abs().amax((0, 1, 2))
    seen = (size > 1e-14 * size.max()).nonzero().flatten()
    # the windows of a mixture count by where they lie, and that is farther than they see
    least = min(reach, 20) - step if "lpn" in prior.name else reach - slack(prior) - step
    for far in (first - int(seen.min()), int(seen.max()) + 1 - block.stop):
        assert least <= far <= reach
    moved = v.detach().clone()
    moved[..., block.stop + reach :] += 1
    after, before = (prior.prox(x, 0.1)[..., block] for x in (moved, v.detach()))
    assert (after - before).abs().max() < 1e-12 * (before - v.detach()[..., block]).abs().max()


@pytest.mark.parametrize("name", VALUED)
def test_the_parts_of_a_value_add_up(name):
    prior = PRIORS[name]()
    _, side = cut(prior)
    v = faint(2, 2, 13, 2 * side + 1)
    sigma = torch.tensor([0.1, 0.05], dtype=torch.float64)
    x, r = prior.prox_and_value(v, sigma)
    y, s = Tiled(prior, side).prox_and_value(v, sigma)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(s, r, rtol=1e-11, atol=0)
    assert Tiled(Identity(), 8).prox_and_value(v, sigma)[1].tolist() == [0, 0]


def test_a_value_is_offered_where_it_is_exact_alone():
    prior = mixture(5)
    assert Tiled(prior, 8).capabilities.exact and Tiled(prior, 8, reach=40).capabilities.exact
    for tiled in (
        Tiled(prior, 8, reach=10),
        Tiled(prior, 9, alignment=3),
        Tiled(icnn(2), 8),
        Tiled(crate(), 8),
        Tiled(TV(), 8, reach=10),
    ):
        assert not hasattr(tiled, "prox_and_value")
    assert not Tiled(prior, 8, reach=10).capabilities.exact
    assert not Tiled(TV(), 8, reach=10).capabilities.convex


def test_the_shipped_models_say_their_reach():
    """As in the table of `Tiled`."""
    for name, reach, factor in (
        ("lpn-gray", 20, 1.16),
        ("dncnn-gray", 19, 1.15),
        ("unet-gray-wide", 48, 1.41),
        ("crate-gray", 208, 3.29),
        ("crate-gray-step", 416, 6.89),
        ("none", 0, 1.0),
    ):
        tiled = Tiled(proxlab.load(name))
        assert tiled.reach == reach
        assert ((tiled.side + 2 * reach) / tiled.side) ** 2 == pytest.approx(factor, abs=0.005)


def test_cores_make_up_the_image_and_the_cost_is_that_of_what_is_seen():
    tiled, count = Tiled(crate(), 13), torch.zeros(45, 71)
    sizes = 0
    for core, seen, inside in tiled.tiles((45, 71)):
        count[core] += 1
        sizes += count[seen].numel()
        assert torch.equal(count[seen][inside], count[core])
        assert all(s.stop - s.start <= tiled.side == 16 for s in core)
        assert all(s.start % tiled.alignment == 0 for s in (*core, *seen))
    assert (count == 1).all() and tiled.cost((45, 71)) == pytest.approx(sizes / count.numel())


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Tiled(TV()), "tv has no finite reach.*give Tiled a reach"),
        (
            lambda: Tiled(LPN(LogDensityPotential(LogDensityConfig(8, 8, 2, 3)))),
            "lpn has no finite reach",
        ),
        (lambda: seam_error(TV(), image(1, 1, 8, 8), 0.1), "tv has no finite reach"),
        (lambda: Tiled(Identity(), 0), "at least 1 pixel.*got 0"),
        (lambda: Tiled(Identity(), 8, reach=-1), "got 8, None and -1"),
        (lambda: Tiled(Identity(), 8).prox(image(8, 8), 0.1), r"\[B, C, H, W\]"),
        (lambda: Tiled(crate(), 8).prox(image(1, 1, 8, 8), 9.0), "knows noise levels"),
    ],
)
def test_nonsense_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_foreign_prior_takes_the_reach_it_is_given_and_seams_are_measured():
    v = image(1, 1, 24, 90)
    near, far = (seam_error(TV(), v, 0.1, 30, reach=reach) for reach in (0, 12))
    assert far.largest < near.largest and far.seams < near.seams / 3
    assert near.seams > 2 * near.elsewhere
    tiled = Tiled(TV(), 30, reach=12)
    assert torch.equal(tiled.prox(v, 0.1), tiled.prox(v, 0.1))  # from no last state
    assert seam_error(Identity(), v, 0.1, 30) == (0, 0, 0)


def test_a_restoration_through_tiles_is_the_same():
    clean = image(1, 1, 24, 60)
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(0.8), 0.05).double()
    y = op(clean, generator=torch.Generator().manual_seed(0))
    prior, count = mixture(3), [0]
    whole = proxlab.restore(y, op, prior, steps=30)
    tiled = proxlab.restore(y, op, Counted(copy.deepcopy(Tiled(prior, 32)), count), steps=30)
    torch.testing.assert_close(tiled.image, whole.image, rtol=0, atol=1e-10)
    torch.testing.assert_close(tiled.trace.objective, whole.trace.objective, rtol=1e-10, atol=0)
    assert tiled.doubts == whole.doubts and count[0] >= int(tiled.steps[0])


def test_the_command_takes_tiles(tmp_path, capsys):
    clean, out, alone = (tmp_path / f"{name}.npy" for name in ("clean", "tiled", "whole"))
    np.save(clean, image(24, 70).float().numpy())
    words = ["restore", str(clean), "inpaint", "--missing", "0.3", "--noise", "0.1", "--simulate"]
    words += ["--prior", "lpn-gray-small", "--steps", "4", "--quiet", "--device", "cpu"]
    assert main([*words, "--tile", "32", "--out", str(out)]) == 0
    assert main([*words, "--out", str(alone)]) == 0
    np.testing.assert_allclose(np.load(out), np.load(alone), atol=2e-5)
    words[words.index("lpn-gray-small")] = "tv"
    assert main([*words, "--tile", "32", "--overwrite", "--out", str(out)]) == 1
    assert "tv has no finite reach" in capsys.readouterr().err


def test_the_bench_runs(tmp_path, photos, monkeypatch):
    monkeypatch.setattr(bench_tiles, "alone", bench_tiles.prox)  # without processes
    network = DnCNNDenoiser(DnCNNConfig(depth=4, width=6))
    file = save(tmp_path / "dncnn-small", network, {})
    words = ["--priors", str(file), "--size", "96", "--side", "32", "--data", str(photos)]
    row = bench_tiles.main(words)[str(file)]
    assert row.reach == 4 and row.cost == pytest.approx((2 * 36 + 40) ** 2 / 96**2)
    assert row.error.largest < 1e-5 < row.half.largest
    assert row.seconds[0] > 0 and row.seconds[1] > 0
