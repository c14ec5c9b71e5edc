"""Inverting the prox: to its tolerance or an error, image by image, and the value that follows."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from proxlab.checkpoints import load
from proxlab.priors import inversion
from proxlab.priors.inversion import invert
from proxlab.priors.local_gains import energies, local_gains, undo_gains

SIGMA = 25 / 255
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def prior():
    return load("lpn-gray")


@pytest.fixture(scope="module")
def images():
    """[2, 1, 12, 10]: a ramp with an edge, noise-free, and a noisy one."""
    x = torch.linspace(0.2, 0.6, 10, dtype=torch.float64).repeat(12, 1)
    x[6:, 5:] += 0.3
    noise = torch.randn(12, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.stack([x, x + SIGMA * noise])[:, None]


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def residual(prior, v, x):
    away = (prior.prox(v, SIGMA) - x).flatten(1).norm(dim=1)
    return float((away / (x - x.mean((1, 2, 3), keepdim=True)).flatten(1).norm(dim=1)).max())


def slow_value(prior, x):
    """R at one image, as sup_v <x, v> - psi(v) - |x|^2 / 2 by scipy's L-BFGS on values."""
    s, target = torch.tensor([SIGMA], dtype=torch.float64), x / SIGMA

    def loss(flat):
        v = torch.from_numpy(flat).view_as(x).requires_grad_()
        loss = prior.potential.value(v, s).sum() - (target * v).sum()
        (grad,) = torch.autograd.grad(loss, v)
        return loss.item(), grad.flatten().numpy()

    start = np.zeros(x.numel())
    result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return SIGMA**2 * (-result.fun - float(target.square().sum()) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_keeps_its_tolerance_and_type(prior, images, dtype):
    x = prior.prox(images.to(dtype), SIGMA)
    v = prior.inverse(x, SIGMA, tol=1e-6)
    assert v.dtype == dtype
    assert residual(prior, v.double(), x.double()) < 2e-6


def test_outside_outputs_the_value_is_that_of_a_slow_twin(prior, images):
    x = images[1:]
    slow = slow_value(prior, x)
    assert float(prior.value(x, SIGMA)) == pytest.approx(slow, rel=1e-5)
    assert float(prior.value(x, 1.1 * SIGMA)) != pytest.approx(slow, rel=1e-3)


def test_a_wild_image_has_a_value_or_a_clear_error(prior, images):
    wild = 20 * (images - 0.5)
    try:
        assert (prior.value(wild, SIGMA) > 0).all()
    except RuntimeError as error:
        assert "could not be inverted" in str(error)


def test_the_constant_is_that_of_constant_images(prior):
    x = torch.tensor([0.0, 0.3, 1.7]).double().view(3, 1, 1, 1).expand(3, 1, 15, 13)
    assert prior.value(x, SIGMA).abs().max() < 1e-12
    assert prior.prox_and_value(x, SIGMA)[1].abs().max() < 1e-12
    assert (prior.value(x + 0.01 * (torch.arange(13) % 2), SIGMA) > 1e-3).all()


def test_each_image_stops_for_itself(prior, images):
    def f(v, index):
        counts.scatter_add_(0, index, torch.ones_like(index))
        return prior.potential.gradient(v, torch.full((len(v),), SIGMA, dtype=v.dtype))

    scaled = prior.prox(images, SIGMA) / SIGMA
    together, alone = [], []
    with torch.no_grad():
        counts = torch.zeros(2, dtype=torch.long)
        v = invert(f, scaled, tol=1e-6)
        together = counts.tolist()
        for i in range(2):
            counts = torch.zeros(2, dtype=torch.long)
            torch.testing.assert_close(invert(f, scaled[i : i + 1], tol=1e-6), v[i : i + 1])
            alone.append(int(counts.sum()))
    assert together == alone and alone[0] != alone[1]


def test_no_inverse_is_an_error_that_names_the_image():
    def flat(v, index):  # the second image meets a gradient that stops at 1
        return torch.where((index == 1).view(-1, 1, 1, 1), v.clamp(-1, 1), v)

    x = torch.linspace(-3, 3, 64, dtype=torch.float64).view(1, 1, 8, 8).repeat(2, 1, 1, 1)
    with pytest.raises(RuntimeError, match="image 1: relative residual"):
        invert(flat, x, tol=1e-6, max_steps=50)


def test_a_wrong_direction_is_seen(monkeypatch):
    shares = torch.linspace(0.4, 0.6, 64, dtype=torch.float64).view(8, 8)

    def shrink(v, index):
        return shares * v

    x = torch.linspace(-3, 3, 64, dtype=torch.float64).view(1, 1, 8, 8)
    torch.testing.assert_close(
        invert(shrink, x, tol=1e-6, max_steps=20), x / shares, rtol=1e-4, atol=0
    )
    monkeypatch.setattr(inversion, "undo_gains", lambda gains, r: -undo_gains(gains, r))
    with pytest.raises(RuntimeError, match="could not be inverted"):
        invert(shrink, x, tol=1e-6, max_steps=20)


def test_gains_learned_from_the_steps_halve_their_number(prior, monkeypatch):
    def f(v, index):
        nonlocal evaluations
        evaluations += 1
        return prior.potential.gradient(v, torch.tensor([SIGMA], dtype=v.dtype))

    x = torch.linspace(0.2, 0.8, 32, dtype=torch.float64).repeat(32, 1)
    x[12:, 9:] -= 0.3
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).double()
    target = prior.prox((x + SIGMA * noise)[None, None], SIGMA) / SIGMA
    evaluations, first = 0, inversion.energies(target, prior.prox(target * SIGMA, SIGMA) / SIGMA)
    with torch.no_grad():
        invert(f, target, tol=1e-6)
        monkeypatch.setattr(inversion, "energies", lambda v, output: first)
        with pytest.raises(RuntimeError, match="could not be inverted"):
            invert(f, target, tol=1e-6, max_steps=2 * evaluations)


@pytest.mark.parametrize("size", [1e-2, 30.0])
def test_the_size_of_f_does_not_matter_much(size):
    def shrink(v, index):
        return size * shares * v

    shares = torch.linspace(0.1, 1, 256, dtype=torch.float64).view(16, 16)
    x = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    invert(shrink, x, tol=1e-6, max_steps=40)


@pytest.mark.parametrize("shape", [(2, 1, 16, 16), (1, 3, 13, 22), (1, 1, 3, 5)])
def test_gains_of_one_undo_nothing_and_others_act_symmetrically(shape):
    a, b, v, w = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(undo_gains(local_gains(energies(v, v)), a), a)
    torch.testing.assert_close(undo_gains(local_gains(energies(v, v / 2)), a), 2 * a)
    gains = local_gains(energies(v, w))
    there, back = (a * undo_gains(gains, b)).sum(), (b * undo_gains(gains, a)).sum()
    torch.testing.assert_close(there, back)
    assert (a * undo_gains(gains, a)).sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_refused(prior, images, dtype):
    for task in (prior.prox, prior.prox_and_value, prior.value, prior.inverse):
        with pytest.raises(ValueError, match=rf"got an image of {dtype}.*\.float\(\)"):
            task(images.to(dtype), SIGMA)


def photographs(folder):
    from PIL import Image

    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (132, 132), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return str(folder)


def test_the_benches_run(tmp_path, capsys):
    data = photographs(tmp_path)
    small = ["--data", data, "--images", "1"]
    ratios = example("benchmarks/bench_inverse").main(
        [*small, "--levels", "25", "--size", "24", "--adam", "2"]
    )
    assert set(ratios) == {(25, "float32"), (25, "float64")}
    lost = example("benchmarks/bench_half").main([*small, "--size", "24"])
    assert len(lost) == 6
    assert "gradients an image" in capsys.readouterr().out


def test_reading_the_prior_runs_or_says_what_is_missing(tmp_path, monkeypatch, capsys):
    reading = example("read_the_prior")
    out = tmp_path / "prior.png"
    small = ["--out", str(out), "--digits", "2"]
    monkeypatch.setenv("PROXLAB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="MNIST"):
        reading.main([*small, "--tol", "0.5"])
    generator = torch.Generator().manual_seed(0)
    stand_in = torch.randint(0, 256, (6, 28, 28), generator=generator, dtype=torch.uint8)
    monkeypatch.setattr(reading, "digits", lambda train_split, count=None: stand_in[:count])
    tiny = {"components": 2, "rank": 2, "classes": 1}
    priors = {n: dataclasses.replace(c, **tiny) for n, c in reading.PRIORS.items()}
    monkeypatch.setattr(reading, "PRIORS", priors)
    monkeypatch.setattr(reading, "PATHS", {n: (a[:2], t) for n, (a, t) in reading.PATHS.items()})
    shares = reading.main([*small, "--tol", "0.5"])
    assert set(shares) == {"parts", "whole"} and set(shares["whole"]) == set(reading.PATHS)
    assert out.stat().st_size > 10_000
    assert "medians" in capsys.readouterr().out


def test_the_share_of_rising_digits():
    reading = example("read_the_prior")
    values = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, -1.0], [2.0, 0.5, 3.0]])
    assert reading.rising(values) == pytest.approx(1 / 3)


def test_the_paths_start_at_the_digit_and_keep_its_mass():
    reading = example("read_the_prior")
    x = torch.zeros(2, 1, 28, 28, dtype=torch.float64)
    x[0, 0, 10:18, 12] = 1
    for name in reading.PATHS:
        torch.testing.assert_close(reading.along(name, x, 0.0), x)
    assert float(reading.along("blur", x, 1.0).sum()) == pytest.approx(8)
    torch.testing.assert_close(reading.along("mixing", x, 0.25)[1], x[0] / 4)
