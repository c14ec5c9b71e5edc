"""The kinds of files that other programs write: each is read as the picture it stands for."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from proxlab.images import read_image, write_image
from tests.images.pictures import as_tensor, chunk, png, whole


def test_big_and_other_byte_orders(tmp_path, rng):
    for channels in (1, 3):
        stored = whole(rng, 16, channels)
        kind = "rgb" if channels == 3 else "minisblack"
        flat = stored if channels == 3 else stored[:, :, 0]
        tifffile.imwrite(tmp_path / "a.tif", flat, photometric=kind, byteorder=">")
        np.save(tmp_path / "a.npy", flat.astype(">u2"))
        assert torch.equal(read_image(tmp_path / "a.tif").pixels, as_tensor(stored))
        assert torch.equal(read_image(tmp_path / "a.npy").pixels, as_tensor(stored))


def test_tiff_kinds(tmp_path, rng):
    deep = whole(rng, 16, 3)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    assert torch.equal(read_image(path).pixels, as_tensor(deep))
    tifffile.imwrite(path, deep, photometric="rgb", compression="zlib")
    assert torch.equal(read_image(path).pixels, as_tensor(deep))
    for bits in (8, 16):
        flat = whole(rng, bits, 1)
        tifffile.imwrite(path, flat[:, :, 0], photometric="miniswhite")
        assert torch.equal(read_image(path).pixels, as_tensor(np.iinfo(flat.dtype).max - flat))
    Image.fromarray(deep.astype(np.uint8)).save(path, compression="tiff_lzw")
    assert torch.equal(read_image(path).pixels, as_tensor(deep.astype(np.uint8)))
    tifffile.imwrite(path, np.eye(4, dtype=np.float64), photometric="minisblack")
    assert torch.equal(read_image(path).pixels[0, 0], torch.eye(4))


def test_npy_layouts(tmp_path, rng):
    stored = whole(rng, 8, 3)
    planes = stored.transpose(2, 0, 1)
    for array in (stored, planes, planes[None], stored / 255, (stored / 255).astype(np.float32)):
        np.save(tmp_path / "a.npy", array)
        assert torch.equal(read_image(tmp_path / "a.npy").pixels, as_tensor(stored))


def test_palettes_are_expanded_and_bits_become_gray(tmp_path, rng):
    coloured = Image.fromarray(whole(rng, 8, 3)).quantize(16)
    coloured.save(tmp_path / "a.png")
    rgb = np.array(coloured.convert("RGB"))
    assert torch.equal(read_image(tmp_path / "a.png").pixels, as_tensor(rgb))
    grays = Image.fromarray(whole(rng, 8, 1)[:, :, 0] // 16 * 16).quantize(16)
    grays.save(tmp_path / "b.png")
    flat = np.array(grays.convert("L"))[:, :, None]
    assert torch.equal(read_image(tmp_path / "b.png").pixels, as_tensor(flat))
    Image.fromarray(np.eye(9, dtype=bool)).save(tmp_path / "c.png")
    assert torch.equal(read_image(tmp_path / "c.png").pixels[0, 0], torch.eye(9))
    (tmp_path / "d.png").write_bytes(png([bytes([0b00011011])], 4, 2, 0))
    assert (read_image(tmp_path / "d.png").pixels.flatten() * 3).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_tag_is_obeyed(tmp_path, rng, turn):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.fromarray(np.kron(whole(rng, 8, 3, (2, 3)), np.ones((8, 8, 1), np.uint8)))
    image.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    image.save(tmp_path / "a.png", exif=exif)
    image.save(tmp_path / "a.tif", exif=exif)
    for name in ("a.jpg", "a.png", "a.tif"):
        other = np.array(ImageOps.exif_transpose(Image.open(tmp_path / name)))
        assert torch.equal(read_image(tmp_path / name).pixels, as_tensor(other)), name
    deep = np.array(image).astype(np.uint16) * 257
    tag = [(274, "H", 1, turn, True)]
    tifffile.imwrite(tmp_path / "b.tif", deep, photometric="rgb", extratags=tag)
    other = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    assert torch.equal(read_image(tmp_path / "b.tif").pixels, as_tensor(other))


def test_gray_is_the_601_luma_and_false_gives_three_channels(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    luma = read_image(tmp_path / "a.png", gray=True).pixels
    expected = torch.tensor([0.299, 0.587, 0.114, 9 / 255]).reshape(1, 1, 1, 4)
    torch.testing.assert_close(luma, expected, rtol=0, atol=1e-7)
    write_image(tmp_path / "b.png", luma)
    assert read_image(tmp_path / "b.png", gray=False).pixels.shape == (1, 3, 1, 4)
    assert read_image(tmp_path / "b.png", gray=True).pixels.shape == (1, 1, 1, 4)


def test_an_opaque_alpha_channel_is_dropped_and_a_transparent_one_refused(tmp_path, rng):
    files = {}
    for bits in (8, 16):
        rgba = whole(rng, bits, 4)
        rgba[:, :, 3] = np.iinfo(rgba.dtype).max
        for hidden in (0, 1):
            rgba[0, 0, 3] -= hidden
            name = f"{bits}-{hidden}"
            rows = [r.astype(">u2" if bits == 16 else "u1").tobytes() for r in rgba]
            (tmp_path / f"{name}.png").write_bytes(png(rows, 7, bits, 6))
            two = [r[:, 2:].astype(">u2" if bits == 16 else "u1").tobytes() for r in rgba]
            (tmp_path / f"{name}-gray.png").write_bytes(png(two, 7, bits, 4))
            tifffile.imwrite(
                tmp_path / f"{name}.tif", rgba, photometric="rgb", extrasamples=["unassalpha"]
            )
            files[f"{name}.png"] = files[f"{name}.tif"] = rgba[:, :, :3].copy()
            files[f"{name}-gray.png"] = rgba[:, :, 2:3].copy()
    del files["16-0-gray.png"], files["16-1-gray.png"]
    with pytest.raises(ValueError, match="kind LA;16B, which no reader here keeps"):
        read_image(tmp_path / "16-0-gray.png")
    for name, expected in files.items():
        if "-1" in name:
            with pytest.raises(ValueError, match="alpha channel with transparent pixels; flatten"):
                read_image(tmp_path / name)
        else:
            assert torch.equal(read_image(tmp_path / name).pixels, as_tensor(expected)), name


@pytest.mark.parametrize(
    "rows, depth, colour, used, unused",
    [
        ([bytes([0b10000000])], 1, 0, b"\0\1", None),
        ([bytes([0b00011000])], 2, 0, b"\0\2", b"\0\3"),
        ([bytes([5, 6, 7])], 8, 0, b"\0\6", b"\0\x09"),
        ([bytes(range(9))], 8, 2, b"\0\0\0\1\0\2", b"\0\0\0\1\0\3"),
        ([bytes([1, 2, 3, 4, 5, 6])], 16, 0, b"\3\4", b"\4\3"),
        ([bytes(range(18))], 16, 2, bytes(range(6, 12)), bytes(range(1, 7))),
    ],
)
def test_a_transparent_colour_of_png_is_refused_if_used(
    tmp_path, rows, depth, colour, used, unused
):
    (tmp_path / "a.png").write_bytes(png(rows, 3, depth, colour, chunk(b"tRNS", used)))
    with pytest.raises(ValueError, match="transparent pixels; flatten"):
        read_image(tmp_path / "a.png")
    if unused is not None:
        (tmp_path / "b.png").write_bytes(png(rows, 3, depth, colour, chunk(b"tRNS", unused)))
        assert read_image(tmp_path / "b.png").pixels.shape == (1, 3 if colour else 1, 1, 3)
