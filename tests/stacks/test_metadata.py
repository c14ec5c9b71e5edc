"""Colour profile, EXIF, pixel size and orientation: what a result says of itself."""

import struct

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from proxlab.images import read_image, write_image
from tests.stacks.stack_files import pages

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RGB = np.stack(pages(3), 2)
MODEL, ORIENTATION, CAMERA, WIDTH, HEIGHT, EXPOSURE = 0x0110, 0x0112, 0x8769, 0xA002, 0xA003, 0x829A


def photograph(path, turn=1, profile=PROFILE):
    """A photograph of a camera, lying as the tag `turn` says."""
    exif = Image.Exif()
    exif[MODEL], exif[ORIENTATION] = "scope 7", turn
    if path.suffix != ".tif":
        exif[CAMERA] = {EXPOSURE: 0.25, WIDTH: 20, HEIGHT: 24}
    Image.fromarray(RGB).save(path, exif=exif, icc_profile=profile, dpi=(200, 300), quality=95)


def faults(after, turn=1):
    """Whatever a copy of a photograph of `photograph` does not say."""
    found = []
    with Image.open(after) as two:
        if two.info.get("icc_profile") != PROFILE:
            found.append("profile")
        exif, camera = two.getexif(), two.getexif().get_ifd(CAMERA)
        if two.format != "TIFF" and (exif.get(MODEL), camera.get(EXPOSURE)) != ("scope 7", 0.25):
            found.append("exif")
        if exif.get(ORIENTATION, 1) != 1:
            found.append("orientation")
        if two.format != "TIFF" and (camera.get(WIDTH), camera.get(HEIGHT)) != two.size:
            found.append("size")
        if two.size != ((24, 20) if turn >= 5 else (20, 24)):
            found.append("turn")
        dpi = tuple(round(value) for value in two.info["dpi"]) if "dpi" in two.info else None
        if dpi != ((300, 200) if turn >= 5 else (200, 300)):
            found.append("dpi")
    return found


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.tif"])
def test_a_photograph_keeps_what_it_says_and_is_upright(tmp_path, source, turn):
    photograph(tmp_path / source, turn)
    image = read_image(tmp_path / source)
    for bits, name in ((8, "b.jpg"), (8, "b.png"), (16, "c.png"), (8, "b.tif"), (16, "c.tif")):
        write_image(tmp_path / name, image.pixels, bits, source=tmp_path / source)
        if bits == 16 and name == "c.tif":
            with tifffile.TiffFile(tmp_path / name) as tiff:
                assert tiff.pages.first.tags.valueof(34675) == PROFILE
                assert "Orientation" not in tiff.pages.first.tags
        else:
            missing = faults(tmp_path / name, turn)
            # a TIFF's EXIF has no way into other files, which docs/guides/files.md says
            assert [f for f in missing if source != "a.tif" or f not in ("exif", "size")] == []
        back = read_image(tmp_path / name).pixels
        assert (back - image.pixels).abs().max() < (0.2 if name == "b.jpg" else 0.01)


def test_the_check_catches_planted_mistakes(tmp_path):
    before, after = tmp_path / "a.jpg", tmp_path / "b.jpg"
    for turn in (1, 6):
        photograph(before, turn)
        write_image(after, read_image(before).pixels, overwrite=True)
        assert set(faults(after, turn)) >= {"profile", "exif", "dpi"}
        with Image.open(before) as image:  # turned by nobody, or turned twice
            twice = image.transpose(Image.Transpose.ROTATE_90)
            twice.save(after, exif=image.getexif(), icc_profile=PROFILE)
        assert ("orientation" in faults(after, turn)) == (turn == 6)
    assert faults(before, 6) == ["orientation", "turn", "dpi"]


def test_a_profile_of_colours_is_not_that_of_a_gray_image(tmp_path):
    Image.fromarray(RGB[..., 0]).quantize(9).save(tmp_path / "a.png", icc_profile=PROFILE)
    pixels = read_image(tmp_path / "a.png").pixels
    assert pixels.shape[1] == 1
    for name, bits in (("b.png", 8), ("c.png", 16), ("b.tif", 16)):
        write_image(tmp_path / name, pixels, bits, source=tmp_path / "a.png")
        with Image.open(tmp_path / name) as image:
            assert "icc_profile" not in image.info


def with_preview() -> bytes:
    """EXIF with a camera's name in its first directory, and a preview in its second."""
    name, small = b"scope 7\0", b"\xff\xd8old pixels\xff\xd9"
    first = struct.pack("<HHHIII", 1, MODEL, 2, len(name), 26, 34)
    entries = struct.pack("<HHII", 0x0201, 4, 1, 64) + struct.pack(
        "<HHII", 0x0202, 4, 1, len(small)
    )
    second = struct.pack("<H", 2) + entries + struct.pack("<I", 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + name + second + small


def test_a_preview_of_the_old_pixels_is_dropped(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=with_preview())
    assert b"old pixels" in (tmp_path / "a.jpg").read_bytes()
    write_image(tmp_path / "b.jpg", torch.rand(1, 3, 24, 20), source=tmp_path / "a.jpg")
    assert b"old pixels" not in (tmp_path / "b.jpg").read_bytes()
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif()[MODEL] == "scope 7"


def test_broken_exif_costs_no_image(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0broken")
    write_image(tmp_path / "b.png", torch.rand(1, 3, 24, 20), source=tmp_path / "a.png")
    assert read_image(tmp_path / "b.png").pixels.shape == (1, 3, 24, 20)


def test_a_tiff_keeps_its_tags_in_its_byte_order(tmp_path):
    tags = [(315, "s", 0, "Ada", True), (33550, "d", 3, (0.5, 0.25, 0.0), True)]
    for order in "<>":
        tifffile.imwrite(
            tmp_path / "a.tif",
            pages(1, "float32")[0],
            byteorder=order,
            extratags=tags,
            description="from the scope",
            resolution=(10.5, 20),
            resolutionunit=3,
            metadata=None,
        )
        image = read_image(tmp_path / "a.tif")
        write_image(tmp_path / "b.tif", image.pixels, 32, True, source=tmp_path / "a.tif")
        with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
            page = tiff.pages.first
            assert page.tags.valueof(315) == "Ada" and page.description == "from the scope"
            assert page.tags.valueof(33550) == (0.5, 0.25, 0.0)
            assert page.tags.valueof(282) == (21, 2) and page.tags.valueof(296) == 3
            np.testing.assert_array_equal(page.asarray(), image.pixels[0, 0])


@pytest.mark.parametrize("kind", ["shaped", "ome"])
def test_a_description_is_told_the_size_of_what_it_describes(tmp_path, kind):
    told = {"axes": "YX", "PhysicalSizeX": 0.25} if kind == "ome" else {"axes": "YX", "by": "Ada"}
    tifffile.imwrite(tmp_path / "a.tif", pages(1)[0], ome=kind == "ome", metadata=told)
    write_image(tmp_path / "b.tif", torch.rand(1, 1, 28, 25), source=tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.series[0].shape == (28, 25) and tiff.series[0].kind == kind
        assert ("Ada" if kind == "shaped" else "PhysicalSizeX") in tiff.pages.first.description
