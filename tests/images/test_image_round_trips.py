"""Images that were written come back bit for bit, whatever the depth, the size and the writer."""

import types

import numpy as np
import pytest
import torch
from PIL import Image

from proxlab.images import read_image, write_image
from tests.images.pictures import as_tensor, names, png, whole


def round_trip_error(read, folder, rng, suffix, bits, channels):
    """Largest difference, in steps of the file, between integer pixels and what is read back."""
    stored = whole(rng, bits, channels)
    path = folder / f"a{suffix}"
    assert write_image(path, as_tensor(stored), bits, overwrite=True) == 0
    back = read(path).pixels * (2.0**bits - 1)
    return (back - torch.tensor(stored.astype(float)).permute(2, 0, 1)[None]).abs().max()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
def test_integer_files_come_back_bit_for_bit(tmp_path, rng, suffix, bits, channels):
    assert round_trip_error(read_image, tmp_path, rng, suffix, bits, channels) < 0.02
    back = read_image(tmp_path / f"a{suffix}")
    assert back.pixels.dtype == torch.float32 and back.pixels.shape == (1, channels, 5, 7)
    assert (back.bits, back.kind, back.clipped) == (bits, suffix.lower(), 0)
    assert back.scale == (0, 2**bits - 1) and back.source == tmp_path / f"a{suffix}"
    assert names(tmp_path) == [f"a{suffix}"]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_round_trip_catches_a_reader_that_cuts_16_bits_to_8(tmp_path, rng, suffix):
    def plain_pillow(path):
        array = np.array(Image.open(path)).astype(np.float32) / 255
        return types.SimpleNamespace(pixels=torch.from_numpy(array).permute(2, 0, 1)[None])

    assert round_trip_error(plain_pillow, tmp_path, rng, suffix, 8, 3) < 0.02
    assert round_trip_error(plain_pillow, tmp_path, rng, suffix, 16, 3) > 50


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_float_files_are_not_clipped(tmp_path, suffix, channels):
    x = torch.rand(1, channels, 5, 7, generator=torch.Generator().manual_seed(0)) * 3 - 1
    path = tmp_path / f"a{suffix}"
    assert write_image(path, x, 32) == 0
    with pytest.raises(ValueError, match=r"values from -0.9.* to 1.[89].*rescale or clip"):
        read_image(path)
    back = read_image(path, unbounded=True)
    assert torch.equal(back.pixels, x) and back.bits == 32


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_comes_back_nearly(tmp_path, channels):
    ramp = torch.linspace(0, 1, 32).expand(1, channels, 24, 32)
    write_image(tmp_path / "a.jpg", ramp)
    back = read_image(tmp_path / "a.jpg")
    assert back.pixels.shape == ramp.shape and back.bits == 8
    assert (back.pixels - ramp).abs().max() < 0.03


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 4), (64, 3)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_odd_sizes(tmp_path, rng, size, suffix, bits):
    for channels in (1, 3):
        stored = as_tensor(whole(rng, bits, channels, size))
        write_image(tmp_path / f"a{suffix}", stored, bits, overwrite=True)
        assert torch.equal(read_image(tmp_path / f"a{suffix}").pixels, stored)


def test_our_16_bit_png_is_what_another_reader_sees(tmp_path, rng):
    for channels in (1, 3):
        stored = whole(rng, 16, channels)
        path = tmp_path / f"{channels}.png"
        write_image(path, as_tensor(stored), 16)
        Image.open(path).verify()  # the checksums
        seen = np.array(Image.open(path)).reshape(stored.shape)
        assert np.array_equal(seen, stored if channels == 1 else stored >> 8)


def filtered(rows, step):
    """Rows under the five filters of PNG in turn, byte by byte as the standard defines them."""
    above = bytes(len(rows[0]))
    for k, row in enumerate(rows):
        line = []
        for i, byte in enumerate(row):
            left, up = row[i - step] if i >= step else 0, above[i]
            corner = above[i - step] if i >= step else 0
            near = min((left, up, corner), key=lambda n: abs(left + up - corner - n))
            line.append((byte - (0, left, up, (left + up) // 2, near)[k % 5]) % 256)
        yield bytes([k % 5, *line])
        above = row


@pytest.mark.parametrize("channels, colour", [(1, 0), (3, 2), (4, 6)])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_of_other_writers(tmp_path, rng, channels, colour, bits):
    stored = whole(rng, bits, channels, (11, 6))
    stored[:, :, 3:] = 2**bits - 1
    rows = [r.astype(">u2" if bits == 16 else "u1").tobytes() for r in stored]
    lines = filtered(rows, channels * bits // 8)
    (tmp_path / "a.png").write_bytes(png(rows, 6, bits, colour, lines=lines))
    assert torch.equal(read_image(tmp_path / "a.png").pixels, as_tensor(stored[:, :, :3]))


def test_a_write_rounds_clips_and_says_how_much(tmp_path):
    x = torch.tensor([-0.5, -0.001, 0.0, 0.5, 1.001, 1.0, 2.0, 1.5]).reshape(1, 1, 2, 4)
    assert write_image(tmp_path / "a.png", x) == 3 / 8  # 0.001 is less than half a step of 1/255
    levels = read_image(tmp_path / "a.png").pixels.flatten() * 255
    assert levels.tolist() == [0, 0, 0, 128, 255, 255, 255, 255]
    assert write_image(tmp_path / "b.png", x, 16) == 5 / 8  # but more than half of 1/65535
