"""`deblur --psf FILE` and `--blur-sigma auto`: what is done is told, and nonsense refused."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.data import camera

from proxlab import operators
from proxlab.commands.main import main
from proxlab.images.metrics import psnr

FAST = "--boundary circular --prior tv --steps 60 --device cpu"


def bead(at, level=0.05, size=(24, 26)):
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in size)
    return level + np.exp(-((rows[:, None] - at[0]) ** 2 + (columns - at[1]) ** 2) / (2 * 1.6**2))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a photograph, its blurred copy, and pictures of the PSF."""
    monkeypatch.chdir(tmp_path)
    x = torch.from_numpy(camera()[60:188, 180:308] / 255).float()[None, None]
    op = operators.deblur(operators.gaussian_kernel(1.6), 0.01)
    y = op(x, generator=torch.Generator().manual_seed(0))
    np.save("x.npy", x.numpy())
    np.save("y.npy", y.numpy())
    np.save("psf.npy", bead((1.3, -2.2)))
    np.savez("psf.npz", bead=bead((1.3, -2.2)), dark=1 - bead((0, 0)))
    frames = np.stack([bead((1.3, -2.2)), bead((0.4, 2.0), 0.1), bead((-1.0, 0.5), 0.0)])
    deep = (30000 * frames).astype(np.uint16)
    tifffile.imwrite("stack.tif", deep, photometric="minisblack")
    tifffile.imwrite("one.tif", deep[0], photometric="minisblack")
    Image.fromarray((200 * frames[0]).astype(np.uint8)).save("psf.png")
    return x, y


@pytest.mark.parametrize("name", ["psf.npy", "psf.npz:bead", "stack.tif", "one.tif", "psf.png"])
def test_a_measured_psf_restores_as_the_true_one(here, capsys, name):
    x, y = here
    assert main(f"restore y.npy deblur --psf {name} --noise 0.01 {FAST} --out r.npy".split()) == 0
    said = capsys.readouterr().out
    assert "PSF of 24 x 26 pixels" in said and "background" in said and "moved by (" in said
    assert ("mean of 3 frames" in said) == (name == "stack.tif")
    restored = torch.from_numpy(np.load("r.npy"))
    main(f"restore y.npy deblur --blur-sigma 1.6 --noise 0.01 {FAST} --out t.npy".split())
    true = torch.from_numpy(np.load("t.npy"))
    near, best = (psnr(image.reshape(x.shape), x).item() for image in (restored, true))
    assert best > psnr(y, x).item() + 1 and near > best - 0.1


@pytest.mark.parametrize("noise", ["0.01", "auto"])
def test_a_blur_is_estimated_and_told(here, capsys, noise):
    words = f"restore y.npy deblur --blur-sigma auto --noise {noise} {FAST} --out r.npy"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("blur estimated: ")]
    width = float(line.split("width ")[1].split()[0])
    assert "by chance alone" in line and abs(width - 1.6) < 0.4


@pytest.mark.parametrize(
    "words, said",
    [
        ("y.npy deblur --noise 0.01", "deblur needs --kernel, --psf or --blur-sigma"),
        ("y.npy deblur --psf psf.npy --kernel psf.npy --noise 0.01", "not allowed with argument"),
        ("y.npy deblur --psf psf.npy --blur-sigma 1 --noise 0.01", "not allowed with argument"),
        ("y.npy deblur --blur-sigma wide --noise 0.01", "invalid number_or_auto value: 'wide'"),
        ("x.npy deblur --blur-sigma auto --noise 0.01 --simulate", "auto is for measurements"),
        ("y.npy deblur --blur-sigma auto --noise 0", "auto needs the noise: --noise above 0"),
        ("y.npy inpaint --missing 0.5 --noise 0.01 --psf psf.npy", "--psf is for deblur"),
    ],
)
def test_usage_is_checked(here, capsys, words, said):
    with pytest.raises(SystemExit):
        main(f"restore {words} {FAST}".split())
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        ("y.npy deblur --psf gone.npy --noise 0.01", "gone.npy does not exist"),
        ("y.npy deblur --psf psf.npz --noise 0.01", "holds 2 arrays; pick one"),
        ("y.npy deblur --psf psf.npz:dark --noise 0.01", "pass its negative"),
        ("y.npy deblur --psf y.npy --noise 0.01", "has shape (1, 1, 128, 128); a PSF is [h, w]"),
        ("y.npy deblur --blur-sigma auto --noise 0.1", "the noise is not 0.1"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(here, capsys, words, said):
    assert main(f"restore {words} {FAST}".split()) == 1
    assert said in capsys.readouterr().err
