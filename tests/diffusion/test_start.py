"""The law that samples start from: exact for Gaussian images, and refused where it is unknown."""

import pytest
import torch

from proxlab.diffusion import start
from proxlab.diffusion.start import AXES, HIGH, StartLaw, few_step_grid
from solvers import VP
from tests.tiny_diffusion import tiny_prox, tiny_score

SCHEDULE = VP()
SHAPE = (1, 5, 5)


def images(n: int = 4000) -> torch.Tensor:
    """Images whose brightness and left half vary, uint8."""
    g = torch.Generator().manual_seed(0)
    x = 100 + 5 * torch.randn(n, *SHAPE, generator=g) + 20 * torch.randn(n, 1, 1, 1, generator=g)
    x[..., :2] += 15 * torch.randn(n, 1, 1, 1, generator=g)
    return x.round().clamp(0, 255).to(torch.uint8)


def law() -> StartLaw:
    found = StartLaw(SHAPE)
    found.fit(images())
    return found


def test_it_has_the_mean_and_the_covariance_of_noisy_images():
    g = torch.Generator().manual_seed(1)
    t = SCHEDULE.time_of_noise(0.3)
    a = SCHEDULE.signal(t)
    x = law().begin(torch.randn(60_000, *SHAPE, generator=g), t, SCHEDULE).flatten(1)
    y = (images().float() / 127.5 - 1).flatten(1)
    assert (x.mean(0) - a**0.5 * y.mean(0)).abs().max() < 0.01
    wanted = a * torch.cov(y.mT) + SCHEDULE.noise(t) * torch.eye(25)
    off = torch.linalg.matrix_norm(torch.cov(x.mT) - wanted, 2)
    assert off < 0.03 * torch.linalg.matrix_norm(wanted, 2)
    # with the mean alone, or as at t = 1, it is another law
    plain = wanted - SCHEDULE.noise(t) * torch.eye(25)
    assert torch.linalg.matrix_norm(plain, 2) > 0.3 * torch.linalg.matrix_norm(wanted, 2)


def test_axes_are_orthonormal_and_in_order():
    found = law()
    torch.testing.assert_close(found.axes @ found.axes.mT, torch.eye(AXES), atol=1e-5, rtol=0)
    assert found.variances.tolist() == sorted(found.variances.tolist(), reverse=True)
    assert found.high == pytest.approx(HIGH * float(found.variances[-1]) ** 0.5)


def test_from_one_it_is_the_noise():
    z = torch.randn(2, *SHAPE)
    assert law().begin(z, 1.0, SCHEDULE) is z


def test_a_law_that_nobody_told_is_refused_below_one():
    with pytest.raises(ValueError, match="mean of this model's images is not known, .* t = 0.5"):
        StartLaw(SHAPE).begin(torch.randn(1, *SHAPE), 0.5, SCHEDULE)


@pytest.mark.parametrize("make", [tiny_prox, tiny_score])
def test_files_from_before_load_and_sample_from_one(make):
    model, older = make(), make()
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("start.")}
    older.start = StartLaw(older.shape)
    older.load_state_dict(weights)
    assert not older.start.known and older.few_steps(4)[-1] == 1.0 > model.few_steps(4)[-1]
    weights.pop("start.mean", None)
    with pytest.raises(RuntimeError, match=r"start\.mean"):  # but not files that lack a part
        older.load_state_dict(weights | {"start.axes": model.start.axes})


@pytest.mark.parametrize("steps", [1, 2, 5, 50])
@pytest.mark.parametrize("high", [0.01, 5.0, 1e9, None])
def test_grids_have_so_many_steps_and_begin_where_they_should(steps, high):
    times = few_step_grid(steps, high, SCHEDULE)
    assert len(times) == steps + 1 and times[0] == 0 and times == sorted(times)
    if high is None:
        assert times[-1] == 1
    elif high < 100:
        assert times[-1] == pytest.approx(SCHEDULE.time_of_noise(high))
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match="steps is a whole number, at least 1"):
            few_step_grid(wrong, high, SCHEDULE)


@pytest.mark.parametrize("n", [8, 20, 1500])
def test_of_large_images_the_law_is_found_by_images(n, monkeypatch):
    """Leading axes and variances are those of the covariance, which is not kept whole."""
    whole, found = StartLaw(SHAPE), StartLaw(SHAPE)
    whole.fit(images(n))
    monkeypatch.setattr(start, "MOST_PIXELS", 24)
    monkeypatch.setattr(start, "MOST_VALUES", 25 * n)
    monkeypatch.setattr(start, "_by_images", seen := Seen(start._by_images))
    found.fit(images(n))
    assert seen.shapes == [(min(n, 2000), 25)]
    if n <= 2000:
        torch.testing.assert_close(found.mean, whole.mean)
        torch.testing.assert_close(found.variances, whole.variances, atol=1e-6, rtol=1e-4)
        spread = [(law.axes.mT * law.variances[:-1]) @ law.axes for law in (found, whole)]
        torch.testing.assert_close(*spread, atol=1e-6, rtol=1e-4)
    kept = found.axes[found.axes.norm(dim=1) > 0]
    assert len(kept) == min(AXES, n - 1)
    torch.testing.assert_close(kept @ kept.mT, torch.eye(len(kept)), atol=1e-5, rtol=0)
    assert found.begin(torch.randn(2, *SHAPE), 0.5, SCHEDULE).isfinite().all()


class Seen:
    """A function, and the shapes that it was asked about."""

    def __init__(self, function):
        self.function, self.shapes = function, []

    def __call__(self, x, most):
        self.shapes.append(tuple(x.shape))
        return self.function(x, most)


def test_fewer_large_images_are_asked_for():
    assert start.images_for((3, 32, 32)) == start.images_for((1, 28, 28)) == 20_000
    assert [start.images_for((3, n, n)) for n in (64, 128, 256)] == [2000, 682, 200]


def test_black_images_have_no_axes():
    law = StartLaw((1, 60, 60))
    law.fit(torch.zeros(30, 1, 60, 60, dtype=torch.uint8))
    assert not law.known and float(law.axes.abs().max()) == 0
