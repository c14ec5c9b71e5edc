"""PSNR and SSIM: of images of any size what can be had, and a sentence where there is nothing."""

import numpy as np
import pytest
import torch
from PIL import Image

from proxlab.commands.main import main
from proxlab.images.metrics import SMALLEST_SIDE, has_ssim, psnr, ssim

X = torch.rand(2, 3, 12, 14, generator=torch.Generator().manual_seed(0))


def test_of_known_images_they_are_known():
    assert psnr(X, X + 0.1).tolist() == pytest.approx([20, 20])
    assert ssim(X, X).tolist() == pytest.approx([1, 1]) and float(ssim(X, 1 - X).max()) < 0.1
    assert psnr(X[..., :1, :1], X[..., :1, :1] + 0.01).tolist() == pytest.approx([40, 40], abs=1e-3)


@pytest.mark.parametrize("side", [1, SMALLEST_SIDE - 1, SMALLEST_SIDE])
def test_ssim_is_had_where_its_window_fits_and_refused_in_a_sentence_elsewhere(side):
    small = X[..., :side, :]
    assert has_ssim(small) == (side >= SMALLEST_SIDE)
    if has_ssim(small):
        assert ssim(small, small).tolist() == pytest.approx([1, 1])
        return
    with pytest.raises(ValueError, match=f"at least 11 x 11 pixels, got {side} x 14; PSNR takes"):
        ssim(small, small)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize("truth", [X[:1], X[:, :1], X[..., :13], X[0]])
def test_what_would_be_broadcast_in_silence_is_refused(metric, truth):
    with pytest.raises(ValueError, match=r"of their shape, got \[2, 3, 12, 14\] and"):
        metric(X, truth)


@pytest.mark.parametrize(
    "side, said", [(9, ", no SSIM: the image is too small"), (12, ", SSIM 0.")]
)
def test_the_command_leaves_out_the_ssim_of_a_small_image_and_says_so(side, said, tmp_path, capsys):
    levels = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(levels).save(tmp_path / "tiny.png")
    words = f"restore {tmp_path / 'tiny.png'} deblur --blur-sigma 0.5 --noise 0.05 --simulate"
    assert main([*words.split(), "--steps", "3", "--device", "cpu"]) == 0
    assert "PSNR " in (told := capsys.readouterr().out) and said in told
    assert (tmp_path / "tiny-restored.png").exists()


@pytest.mark.filterwarnings("error")
def test_what_is_no_number_has_no_ssim_and_its_neighbour_has():
    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    odd = x.clone()
    odd[0, 0, 3, 3] = torch.inf
    for one, other in ((odd, x), (x, odd)):
        found = ssim(one, other)
        assert found[0].isnan() and found[1] == pytest.approx(1.0)
