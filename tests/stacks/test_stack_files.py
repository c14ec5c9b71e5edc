"""Pages of TIFFs that other programs wrote: all found, each read, and written as they were."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from proxlab.images import list_pages, read_image
from proxlab.images.decoders.tiff_layout import tiff_layout
from proxlab.images.stack_writing import writing_stack
from tests.stacks.stack_files import KINDS, faults, pages, write_stack


def copied(path: Path, out: Path, order=None) -> None:
    """Write all pages of a file again as they were read, in another order if one is told."""
    layout = tiff_layout(path)
    loaded = [read_image(page) for page in layout.pages]
    values = sum(image.pixels.numel() for image in loaded)
    with writing_stack(out, layout, values, loaded[0].bits, None, False) as writer:
        for k, page in enumerate(layout.pages):
            writer.add(page, loaded[k if order is None else order[k]].pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_is_found_and_read(tmp_path, kind):
    stack = write_stack(tmp_path / "a.tif", kind)
    layout = tiff_layout(tmp_path / "a.tif")
    assert [page.number for page in layout.pages] == list(range(1, 13))
    along = ("TZC", (2, 3, 2)) if kind != "plain" else ("I", (12,))
    assert (layout.axes, layout.lengths) == along
    white = 1 if kind == "imagej-float" else 65535
    for page, array in zip(list_pages(tmp_path / "a.tif"), stack, strict=True):
        image = read_image(page)
        assert image.bits == (32 if white == 1 else 16) and str(page) in str(image.source)
        np.testing.assert_allclose(image.pixels[0, 0], array / white, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_is_not_read_as_its_first_page(tmp_path, kind):
    write_stack(tmp_path / "a.tif", kind)
    with pytest.raises(ValueError, match=r"a\.tif holds 12 pages, and one image is read; .*--page"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_page_by_page_is_the_same_stack(tmp_path, kind):
    write_stack(tmp_path / "a.tif", kind)
    copied(tmp_path / "a.tif", tmp_path / "b.tif")
    assert faults(tmp_path / "a.tif", tmp_path / "b.tif", 0) == []
    assert len(list_pages(tmp_path / "b.tif")) == 12


def test_the_comparison_catches_planted_mistakes(tmp_path):
    before, after = tmp_path / "a.tif", tmp_path / "b.tif"
    stack = write_stack(before, "imagej").reshape(2, 3, 2, 24, 20)

    def planted(array, axes="TZCYX", **told):
        after.unlink(missing_ok=True)
        with tifffile.TiffFile(before) as tiff:
            kept = {**(tiff.imagej_metadata or {}), "axes": axes}
        told = {"resolution": (4.0, 5.0), "imagej": True, "metadata": kept, **told}
        tifffile.imwrite(after, array, **told)
        return " ".join(faults(before, after, 0.01))

    assert planted(stack) == ""
    assert "order" in planted(stack[:, ::-1])
    assert "order" in planted(stack.swapaxes(1, 2).reshape(stack.shape))
    assert "axes" in planted(stack[:, :, 0], "TZYX")
    assert "shape" in planted(stack.swapaxes(0, 1))
    assert "dtype" in planted(np.float32(stack))
    assert "differ by" in planted(stack + 700)
    assert "tag 282" in planted(stack, resolution=(4.1, 5.0))
    assert "ImageJ metadata" in planted(stack, metadata={"axes": "TZCYX"})
    assert "kind" in planted(stack, imagej=False, metadata={"axes": "TZCYX"})
    after.unlink()
    copied(before, after, order=[1, 0, *range(2, 12)])
    assert "order" in " ".join(faults(before, after, 0.01))


def test_pages_of_colours_of_other_kinds_and_sizes(tmp_path):
    path = tmp_path / "a.tif"
    gray, rgb = pages(1)[0], np.stack(pages(3), 2)
    large = pages(1, "uint8", (30, 26))[0]
    packed = Image.fromarray(gray)
    packed.save(path, compression="tiff_lzw", save_all=True, append_images=[Image.fromarray(rgb)])
    with tifffile.TiffWriter(path, append=True) as tiff:
        tiff.write(large, photometric="miniswhite", metadata=None)
        tiff.write(rgb, photometric="rgb", metadata=None, compression="zlib")
        tiff.write(gray[::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
        tiff.write(gray > 99, photometric="minisblack", metadata=None)
    layout = tiff_layout(path)
    assert [page.number for page in layout.pages] == [1, 2, 3, 4, 6] and layout.left_out == [5]
    expected = [gray[..., None], rgb, 255 - large[..., None], rgb, 255 * (gray > 99)[..., None]]
    for page, array in zip(layout.pages, expected, strict=True):
        got = read_image(page).pixels[0].permute(1, 2, 0).numpy() * 255
        np.testing.assert_allclose(got, array, atol=1e-4)


def test_a_lookup_table_of_imagej_is_kept_and_its_values_are_gray(tmp_path):
    before, after = tmp_path / "a.tif", tmp_path / "b.tif"
    green = np.zeros((3, 256), np.uint16)
    green[1] = np.arange(256) * 257
    stack = pages(3)
    tifffile.imwrite(before, stack, imagej=True, colormap=green, metadata={"axes": "ZYX"})
    assert read_image(list_pages(before)[1]).pixels.shape == (1, 1, 24, 20)
    copied(before, after)
    with tifffile.TiffFile(after) as tiff:
        assert np.array_equal(tiff.pages[2].colormap, green)
        assert np.array_equal(np.stack([page.asarray() for page in tiff.pages]), stack)


def test_a_bigtiff_stays_one(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pages(2), bigtiff=True, metadata={"axes": "ZYX"})
    copied(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.is_bigtiff and tiff.series[0].axes == "ZYX"


def test_one_image_has_one_page(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pages(1)[0])
    (page,) = list_pages(tmp_path / "a.tif")
    assert torch.equal(read_image(page).pixels, read_image(tmp_path / "a.tif").pixels)
    Image.fromarray(pages(1)[0]).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="is no TIFF, and has no pages"):
        list_pages(tmp_path / "a.png")


def test_a_stack_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    write_stack(path, "one-header")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"a\.tif"):
        [read_image(page) for page in list_pages(path)]


@pytest.mark.parametrize("planar", ["separate", "contig"])
def test_colours_stay_in_planes_or_pixels(tmp_path, planar):
    """As tifffile writes three pages if nobody says what they are."""
    stack = pages(6, "uint16").reshape(2, 3, 24, 20)
    stack = stack if planar == "separate" else stack.transpose(0, 2, 3, 1)
    told = {"photometric": "rgb", "planarconfig": planar}
    tifffile.imwrite(tmp_path / "a.tif", stack, metadata={}, **told)
    copied(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.series[0].axes == ("QSYX" if planar == "separate" else "QYXS")
        assert np.array_equal(tiff.asarray(), stack)
