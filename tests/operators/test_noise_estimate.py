"""The noise of a measurement, read off it: near the truth, and refused where it cannot be."""

import pytest
import torch
from deepinv import physics as dp
from skimage.data import camera

from proxlab import operators
from proxlab.operators.estimates import noise_level as noise_estimate
from proxlab.operators.estimates import quiet_places
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.operators.noise import measurement_weights

SIDE = 128
HAAR = torch.tensor([1.0, -1], dtype=torch.float64) / 2**0.5


def scene(side: int = SIDE, batch: int = 2, channels: int = 1) -> torch.Tensor:
    """Areas with edges, shading, and texture in one half, in [0.15, 0.85]."""
    i, j = torch.meshgrid(*2 * [torch.arange(side, dtype=torch.float64)], indexing="ij")
    shade = 0.3 + 0.2 * (i / side) + 0.15 * ((i - side / 3) ** 2 + (j - side / 2) ** 2 < 500)
    texture = 0.1 * ((0.9 * i).sin() * (1.1 * j).cos()) * (j > 0.6 * side)
    return (shade + texture).expand(batch, channels, side, side).clone()


def noisy(A, x, level, seed: int = 0):
    y = A(x)
    each = torch.as_tensor(level, dtype=x.dtype).view(-1, *[1] * (y.ndim - 1))
    rng = torch.Generator().manual_seed(seed)
    return y + each * torch.randn(y.shape, generator=rng, dtype=y.dtype)


def mask(missing: float):
    rng = torch.Generator().manual_seed(1)
    return operators.random_mask((SIDE, SIDE), missing, rng)


OPERATORS = {
    "denoising": (lambda: dp.Denoising(), 0.1),
    "circular": (lambda: operators.deblur(operators.gaussian_kernel(1.2)), 0.1),
    "valid": (lambda: operators.deblur(operators.gaussian_kernel(1.2), boundary="valid"), 0.1),
    "half missing": (lambda: operators.inpaint(mask(0.5)), 0.15),
    "most missing": (lambda: operators.inpaint(mask(0.8)), 0.25),
    "deepinv mask": (lambda: dp.Inpainting((1, SIDE, SIDE), mask(0.3)[None].double()), 0.15),
    "boxes": (lambda: operators.inpaint(operators.boxes_mask((SIDE, SIDE), 8)), 0.1),
}


@pytest.mark.parametrize("level", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("name", OPERATORS)
def test_it_is_near_the_truth(name, level):
    make, near = OPERATORS[name]
    op, x = make(), scene()
    y = noisy(op.A, x, [level, 2 * level])
    found = estimate_noise(y, op)
    assert found.dtype == torch.float64 and found.shape == (2,)
    near += 0.15 * (level == 0.01 and "missing" in name)  # a pixel of an edge is louder
    assert (found / torch.tensor([level, 2 * level]) - 1).abs().max() < near
    # planted: all places, by the shortest difference
    wrong = noisy(op.A, x, level)
    simple = (wrong[..., 1:] - wrong[..., :-1]).std() / 2**0.5
    assert simple > 1.2 * level or level == 0.1 or name == "valid" or name == "circular"


@pytest.mark.parametrize("level", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_sinograms_have_neighbours_along_detectors(level, channels):
    op, x = operators.ct(SIDE, 12), scene(channels=channels)  # so few views differ
    y = noisy(op.A, x, level)
    found = (estimate_noise(y, op) / level - 1).abs().max()
    assert found < (0.3 if level == 0.05 else 0.12)  # of line integrals up to 70
    # planted: neighbours in both directions
    as_image = (estimate_noise(y, dp.Denoising()) / level - 1).abs().max()
    assert level > 0.05 or as_image > 2 * found


def test_places_are_not_chosen_for_being_small():
    """On noise alone, where quiet places by the difference itself would give far too little."""
    y = noisy(lambda x: x, 0 * scene(256, 4) + 0.5, 0.1)
    assert (estimate_noise(y, dp.Denoising()) / 0.1 - 1).abs().max() < 0.04
    finest = torch.nn.functional.conv2d(y, (HAAR[:, None] * HAAR)[None, None])[:, :, ::2, ::2]
    small = finest.abs().flatten(1).sort(1).values[:, : finest[0].numel() // 4]
    assert (small.median(1).values / 0.6745 < 0.05).all()


def test_clipped_areas_do_not_count_as_quiet():
    x = scene()
    x[..., :40] = -0.3  # black, and clipped there
    x[..., -20:] = 1.4
    y = noisy(lambda x: x, x, 0.05).clamp(0, 1)
    found = estimate_noise(y, dp.Denoising())
    assert (found / 0.05 - 1).abs().max() < 0.12
    sharp = torch.nn.functional.conv2d(y, (HAAR[:, None] * HAAR)[None, None])
    assert sharp.abs().median() / 0.6745 < 0.6 * 0.05  # what a median over all places says


@pytest.mark.parametrize("level, near", [(0.004, 0.12), (0.02, 0.08)])
def test_eight_bits_count_as_noise(level, near):
    y = (255 * noisy(lambda x: x, scene(192), level)).round() / 255
    total = (level**2 + (1 / 255) ** 2 / 12) ** 0.5
    for dtype in (torch.float64, torch.float32):
        found = estimate_noise(y.to(dtype), dp.Denoising())
        assert (found / total - 1).abs().max() < near


def test_each_image_is_by_itself_and_units_are_those_of_y():
    y = noisy(lambda x: x, scene(batch=3, channels=3), [0.01, 0.05, 0.1])
    op = dp.Denoising()
    whole = estimate_noise(y, op)
    for b in range(3):
        assert estimate_noise(y[b : b + 1], op).item() == pytest.approx(whole[b].item(), rel=1e-12)
    assert (estimate_noise(1000 * y, op) / 1000).tolist() == pytest.approx(whole.tolist())
    assert estimate_noise(y.float(), op).tolist() == pytest.approx(whole.tolist(), rel=1e-3)


def test_missing_pixels_may_hold_anything():
    seen = mask(0.3)
    op = operators.inpaint(seen)
    y = noisy(op.A, scene(), 0.05)
    holes = torch.where(seen, y, torch.nan)
    assert torch.equal(estimate_noise(holes, op), estimate_noise(torch.where(seen, y, 0), op))


UNSEEN = torch.stack([mask(0.3), torch.zeros(SIDE, SIDE, dtype=torch.bool)])[:, None].double()
NOTHING = [
    (lambda x: x, dp.Inpainting((1, SIDE, SIDE), UNSEEN), "from 0 places"),
    (lambda x: 0 * x, dp.Denoising(), "from 0 places"),
    (lambda x: (x > 0.5).to(x), dp.Denoising(), "from 0 places"),
    (lambda x: (255 * x).round() / 255, dp.Denoising(), "less noise than its steps of 3.9e-03"),
    (
        lambda x: torch.linspace(0, 1, SIDE).double().expand_as(x),
        dp.Denoising(),
        "less noise than its steps of 7.9e-03",
    ),
    (lambda x: x, operators.deblur(operators.gaussian_kernel(4)), "no noise that could be read"),
    (lambda x: x[..., :3, :3], dp.Denoising(), "from . places"),
    (lambda x: x.flatten(1), dp.Denoising(), "neighbours, which y"),
    (lambda x: x, operators.inpaint(mask(0.999)), "places where neighbours were seen"),
    (lambda x: x, dp.MRI(img_size=(2, SIDE, SIDE)), "neighbours, which y"),
    (lambda x: x, operators.ct(8, 3, operators.PhotonCounts(1e4, 0.1)), "leave noise out"),
]


@pytest.mark.parametrize("made, op, said", NOTHING, ids=[said for _, _, said in NOTHING])
def test_where_nothing_can_be_told_it_says_so(made, op, said):
    y = made(scene(channels=2 if isinstance(op, dp.MRI) else 1))
    if isinstance(op, dp.Inpainting) and len(op.mask) == 2:
        y = noisy(lambda x: x, y, 0.05)  # of which the first image alone would do
    if "no noise" in said:
        y = op.A(op.A(y))
    with pytest.raises(ValueError, match=said):
        estimate_noise(y, op)


def test_stencils_see_no_slope_and_leave_noise_as_it_is():
    ramp = torch.arange(9, dtype=torch.float64)
    for several in quiet_places.IMAGES + quiet_places.SINOGRAMS:
        for rows, columns in several:
            assert (rows.norm().item() == pytest.approx(1) and columns.norm().item() == 1.0) or (
                columns.norm().item() == pytest.approx(1)
            )
            assert min(rows.sum().abs(), columns.sum().abs()) < 1e-12
    assert (torch.nn.functional.conv1d(ramp[None], quiet_places.FOURTH[None, None])).norm() < 1e-12


def photograph():
    """A part of scikit-image's photograph whose quietest places have some texture."""
    return torch.from_numpy(camera()[150:406, 150:406] / 255)[None, None]


def test_the_line_goes_down_to_what_is_as_quiet_as_noise(monkeypatch):
    level = 2 / 255
    y = noisy(lambda x: x, photograph(), level)
    error = abs(float(estimate_noise(y, dp.Denoising())) / level - 1)
    monkeypatch.setattr(noise_estimate, "STEEP", 0.0)  # planted: no line
    assert error < 0.1
    assert abs(float(estimate_noise(y, dp.Denoising())) / level - 1) > error + 0.02


@pytest.mark.parametrize("stencils", [quiet_places.IMAGES, quiet_places.SINOGRAMS])
def test_the_loudness_of_noise_alone(stencils):
    y = noisy(lambda x: x, torch.zeros(1, 1, 512, 512, dtype=torch.float64), 2.0)
    found = quiet_places.places(y, y, torch.ones_like(y, dtype=torch.bool), stencils)
    assert found.loud.mean().item() == pytest.approx(4 * found.of_noise, rel=0.03)
    assert quiet_places.robust_variance(found.detail).item() == pytest.approx(4, rel=0.03)
    both = torch.corrcoef(torch.stack([found.detail.abs(), found.loud]))[0, 1]
    assert abs(both) < 0.02  # looking for quiet places favours no small noise
    slopes = y.diff(dim=3)[..., 2:-2, 2:-1].flatten()  # planted: loudness that sees the difference
    middle = quiet_places.filtered(y, quiet_places.ONE, quiet_places.FOURTH)[..., 2:-2, :].flatten()
    planted = torch.corrcoef(torch.stack([middle.abs(), slopes.abs()]))[0, 1]
    assert planted > 0.1


@pytest.mark.parametrize("model", [None, dp.GaussianNoise(0.0), dp.UniformNoise()])
def test_noise_is_never_assumed(model):
    op, y = dp.LinearPhysics(A=lambda x: x, A_adjoint=lambda y: y), scene()
    if model is not None:
        op.set_noise_model(model)
    has = "UniformNoise" if isinstance(model, dp.UniformNoise) else "0.0"
    with pytest.raises(ValueError, match=rf"knows no noise level .it has {has}.: pass noise="):
        measurement_weights(y, op)
    assert measurement_weights(y, op, assumed=0.5).image.tolist() == [4, 4]
    assert measurement_weights(y, op, 0.1).image.tolist() == pytest.approx([100, 100])


@pytest.mark.parametrize("bad", [torch.nan, 0.0, -0.1, torch.inf])
def test_levels_that_cannot_be_are_refused(bad):
    op, y = dp.LinearPhysics(A=lambda x: x, A_adjoint=lambda y: y), scene()
    for noise in (bad, torch.tensor([0.1, bad])):
        with pytest.raises(ValueError, match="noise is positive and finite, got"):
            measurement_weights(y, op, noise)
    op.set_noise_model(dp.GaussianNoise(torch.tensor([0.1, bad])))
    with pytest.raises(ValueError, match="noise is positive and finite, got"):
        measurement_weights(y, op)
