"""Patches of CT slices at other pixel sizes, sharpness and windows."""

import pytest
import torch

from proxlab.training import scan_patches
from proxlab.training.scan_patches import ScanPatches


def drawn(image, size=16, count=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return ScanPatches([image], size).draw(count, generator)


def test_the_generator_alone_decides():
    image = torch.rand(64, 64, generator=torch.Generator().manual_seed(3))
    first = drawn(image)
    assert first.shape == (64, 1, 16, 16) and torch.equal(first, drawn(image))
    assert not torch.equal(first, drawn(image, seed=1))
    assert first.min() >= 0 and first.max() <= 1


def test_pixels_are_of_many_sizes(monkeypatch):
    """A ramp's slope is that of its pixels: 1 / zoom, over both ends of `ZOOM`."""
    monkeypatch.setattr(scan_patches, "WHOLE", 1.0)
    ramp = torch.linspace(0, 1, 64).expand(64, 64)
    x = drawn(ramp, count=200)
    across, down = (x.diff(dim=d)[..., 4:-4, 4:-4].abs().mean((1, 2, 3)) for d in (-1, -2))
    slopes = torch.maximum(across, down) * 63
    assert 0.6 < slopes.min() < 0.8 and 2.4 < slopes.max() < 3.0


def test_sharpness_varies_and_leaves_flat_parts(monkeypatch):
    monkeypatch.setattr(scan_patches, "WHOLE", 1.0)
    monkeypatch.setattr(scan_patches, "ZOOM", (1.0, 1.0))
    assert torch.allclose(drawn(torch.full((64, 64), 0.4)), torch.tensor(0.4))
    board = 0.5 + 0.2 * (-1.0) ** (torch.arange(64)[:, None] + torch.arange(64))
    contrast = drawn(board, count=200)[..., 4:-4, 4:-4].std(dim=(1, 2, 3))
    assert contrast.min() < 0.01 and contrast.max() > 0.28


def test_windows_keep_the_scale_of_half(monkeypatch):
    """A flat slice of 0 HU has one value in the whole scale, and others in windows."""
    flat = drawn(torch.full((64, 64), 1024 / 4095), count=400).mean((1, 2, 3))
    whole = (flat - 1024 / 4095).abs() < 1e-6
    assert 0.42 < whole.double().mean() < 0.58
    # 0 HU lies 900 to 1024 above the black of a window that is 1500 to 4095 wide.
    rest = flat[~whole]
    assert rest.min() >= 900 / 4095 - 1e-6 and rest.max() <= 1024 / 1500 + 1e-6
    assert rest.max() > 0.6 and rest.min() < 0.26


def test_small_slices_are_refused():
    with pytest.raises(
        ValueError, match=r"46 pixels need images at least as large, got \(40, 64\)"
    ):
        ScanPatches([torch.zeros(40, 64)], 16)
