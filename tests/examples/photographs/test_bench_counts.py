"""The bench of counts: scenes that are images, rivals that work, a table with all of them."""

import pytest
import torch

from examples.benchmarks.photographs import bench_counts as bench
from examples.benchmarks.photographs.count_scenes import FLOOR, scenes
from proxlab import operators
from proxlab.images.metrics import psnr


def test_scenes_are_dark_images_with_bright_parts():
    for name, x in scenes(0).items():
        assert x.shape == (1, 1, 96, 96) and float(x.min()) >= FLOOR - 1e-6, name
        assert float(x.max()) <= 1 and float(x.quantile(0.99)) > 0.3 and float(x.median()) < 0.3
        assert torch.equal(x, scenes(0)[name])


def test_richardson_and_lucy_sharpen():
    x = scenes(0)["nuclei"]
    op = operators.deblur(operators.gaussian_kernel(bench.WIDTH), operators.CameraNoise(1e-4))
    y = op(x, generator=torch.Generator().manual_seed(0))
    several = bench.richardson_lucy(y, op)
    image = bench.best(several, x)
    assert float(psnr(image, x)) > float(psnr(y, x)) + 1
    assert psnr(image, x) == max(psnr(one, x) for one in several)


def test_dark_counts_have_a_photon_for_their_noise_where_none_is_estimated():
    op = operators.denoise(0.0)
    y = torch.zeros(2, 1, 64, 64)
    y[0, 0, ::8, ::8], y[1] = 0.02, torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    noise = bench.estimated(y, op)
    assert noise[0].item() == pytest.approx(0.02) and noise[1] > 0.1


@pytest.mark.parametrize("problem", ["deblur", "inpaint"])
def test_the_table_has_every_method(problem, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench, "NOISES", (1.0,))
    words = f"bench --problem {problem} --peaks 30 --only stain --photographs 0 --steps 3"
    words += f" --prior lpn-gray-small --out {tmp_path / 'a.png'}"
    monkeypatch.setattr("sys.argv", words.split())
    bench.main()
    told = capsys.readouterr().out
    rival = "Richardson-Lucy" if problem == "deblur" else "Anscombe"
    for method in ("Gaussian, best constant", "weights", "likelihood", rival):
        assert method in told
    assert "| stain | " in told and "PSNR of the root" in told
    assert (tmp_path / "a.png").stat().st_size > 1000
