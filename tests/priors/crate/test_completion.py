"""Completion fills what is missing, keeps to what is seen, and starts a restoration."""

import pytest
import torch
from PIL import Image
from skimage.data import camera

import proxlab
from proxlab import checkpoints
from proxlab.commands.main import main
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig
from proxlab.training.config import TrainConfig
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.recipes.completion import (
    MaskedPatches,
    completion_error,
    crate_completion,
    held_out_figures,
)

SMALL = CrateConfig(width=32, heads=2, layers=1)


@pytest.fixture(scope="module")
def model():
    model = Completion(SMALL).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn(p.shape, generator=generator)
    return model.requires_grad_(False)


@pytest.fixture
def masked():
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(2, 1, 24, 30, generator=generator)
    seen = (torch.rand(2, 1, 24, 30, generator=generator) < 0.6).float()
    return y, seen


def test_what_lies_in_a_hole_means_nothing(model, masked):
    y, seen = masked
    found = model.complete(y, seen, 0.05)
    other = torch.where(seen > 0, y, 7.0)
    assert torch.allclose(model.complete(other, seen, 0.05), found, atol=1e-5)
    assert not torch.allclose(model.complete(y + 0.01 * seen, seen, 0.05), found, atol=1e-4)


def test_where_a_hole_is_matters_and_not_its_filling_alone(model, masked):
    y, seen = masked
    assert not torch.allclose(
        model.refine(y, seen, 0.05), model.refine(y, torch.ones_like(y), 0.05), atol=1e-3
    )


def test_a_seen_pixel_moves_by_noise_and_a_missing_one_by_doubt(model, masked):
    y, seen = masked
    quiet = (model.refine(y, seen, 1 / 255) - y).abs()
    assert quiet[seen > 0].mean() < 0.1 * quiet[seen == 0].mean()


def test_as_a_prior_it_sees_everything(model, masked):
    y, _ = masked
    assert torch.equal(model.prox(y, 0.05), model.complete(y, torch.ones_like(y), 0.05))
    assert model(y.repeat(1, 3, 1, 1), 0.05).shape == (2, 3, 24, 30)


def test_starts_a_restoration_of_inpainting_and_of_nothing_else(model):
    x = torch.from_numpy(camera()[:40, :48]).float()[None, None] / 255
    mask = torch.rand(40, 48, generator=torch.Generator().manual_seed(0)) < 0.5
    op = proxlab.operators.inpaint(mask, noise=0.02)
    y = op(x, generator=torch.Generator().manual_seed(0))
    init = model.start(y, op)
    assert torch.allclose(init, model.complete(y, mask.float(), 0.02))
    result = proxlab.restore(y, op, proxlab.load("lpn-gray"), init=init, steps=5)
    assert result.image.shape == x.shape and result.descent == 0
    blur = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0))
    with pytest.raises(TypeError, match="starts inpainting, not CircularBlur"):
        model.start(x, blur)


def test_the_command_starts_inpainting_from_it(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints.save("fill", model, {})
    Image.fromarray(camera()[:40, :48]).save("photo.png")
    words = "restore photo.png inpaint --missing 0.5 --noise 0.02 --simulate --steps 2 --tol 1e-9"
    for out, more in (("a.png", ""), ("b.png", "--start fill.safetensors")):
        assert main(f"{words} --out {out} {more}".split()) == 0
    a, b = (Image.open(name).tobytes() for name in ("a.png", "b.png"))
    assert a != b
    capsys.readouterr()
    assert main(f"{words} --out c.png --start lpn-gray".split()) == 1
    assert "--start names a completion" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["restore", "photo.png", "deblur", "--blur-sigma", "1", "--start", "fill.safetensors"])
    assert "--start is for inpaint, not for deblur" in capsys.readouterr().err


def test_masks_are_of_three_kinds_and_the_condition_says_how_much_is_missing():
    images = [torch.from_numpy(camera())]
    pairs = MaskedPatches(NoisyPatches(Patches(images, 48), (0.02, 0.1)))
    clean, given, condition = pairs.draw(24, torch.Generator().manual_seed(0))
    seen = given[:, 1]
    assert torch.allclose(condition[:, 1], 1 - seen.mean((1, 2)))
    hole = 1 - seen
    down = [(h[1:] - h[:-1]).abs().sum() / h.sum() for h in hole]  # border per missing pixel
    assert any(d > 0.4 for d in down) and any(d < 0.1 for d in down)
    blocks = seen.view(24, 12, 4, 12, 4)
    whole = (blocks.amax((2, 4)) == blocks.amin((2, 4))).flatten(1).all(1)
    assert 4 <= whole.sum() < 20
    away = ((given[:, :1] - clean).abs() * given[:, 1:]).sum() / seen.sum()
    assert 0.01 < away < 0.1  # noise at most, where something was seen


def test_an_error_weighs_less_where_more_is_missing():
    clean, estimate = torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), 0.1)
    some, more = (completion_error(estimate, clean, torch.tensor([[0.05, m]])) for m in (0.1, 0.5))
    assert some > more > 0


def test_is_trained_from_a_folder_of_photographs_and_loaded(photos, tmp_path):
    config = TrainConfig(steps=3, batch=2, patch=32, evaluate_every=3)
    path = crate_completion(photos, tmp_path / "out", config=config, start=SMALL)
    made = checkpoints.load(path)
    assert isinstance(made, Completion)
    image = torch.from_numpy(camera()[:96, :96])
    assert held_out_figures(made, [image])["half missing"] > 15
    with pytest.raises(ValueError, match="exists"):
        crate_completion(photos, tmp_path / "out", config=config, start=SMALL)


def test_figures_are_of_half_the_pixels_and_of_whole_boxes():
    class Blank(torch.nn.Linear):
        def complete(self, y, seen, sigma):
            return y * seen

    image = torch.from_numpy(camera()[:96, :96])
    found, energy = held_out_figures(Blank(1, 1), [image]), (image / 255).square()
    box, half = energy[32:64, 32:64].sum() / 96**2, energy.mean() / 2
    assert 10 ** (-found["boxes missing"] / 10) == pytest.approx(float(box), rel=0.01)
    assert 10 ** (-found["half missing"] / 10) == pytest.approx(float(half), rel=0.05)


def test_colours_together_are_refused():
    with pytest.raises(ValueError, match="of gray images, got 3"):
        Completion(CrateConfig(channels=3))
