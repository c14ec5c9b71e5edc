"""Kernels, PSFs, masks and angles from every kind of file, and files that are none of these."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from proxlab.images import write_image
from proxlab.images.operator_files import read_kernel, read_mask, read_psf
from tests.images.pictures import as_tensor, whole


def test_kernels_from_every_kind_of_file(tmp_path, rng):
    k = rng.random((3, 5))
    k /= k.sum()
    np.save(tmp_path / "k.npy", k)
    np.savez(tmp_path / "k.npz", k)
    np.savez(tmp_path / "two.npz", first=k + 1, second=k)
    np.savetxt(tmp_path / "k.txt", k)
    np.savetxt(tmp_path / "k.csv", k, delimiter=",")
    for name in ("k.npy", "k.npz", "k.npz:arr_0", "two.npz:second", "k.txt", "k.csv"):
        back = read_kernel(f"{tmp_path}/{name}")
        assert back.dtype == np.float64 and np.array_equal(back, k), name
    tifffile.imwrite(tmp_path / "k.tif", k, photometric="minisblack")
    assert np.array_equal(read_kernel(tmp_path / "k.tif"), k)
    drawn = whole(rng, 16, 1, (3, 5))
    write_image(tmp_path / "k.png", as_tensor(drawn), 16)
    write_image(tmp_path / "rgb.png", as_tensor(drawn).expand(1, 3, 3, 5), 16)
    np.save(tmp_path / "whole.npy", drawn[:, :, 0])
    for name in ("k.png", "rgb.png", "whole.npy"):
        expected = drawn[:, :, 0] / drawn.sum(dtype=float)
        np.testing.assert_allclose(read_kernel(tmp_path / name), expected, rtol=1e-15)


def test_bad_kernels_are_refused(tmp_path, rng):
    np.savez(tmp_path / "two.npz", first=np.eye(2), second=np.eye(2))
    np.savez(tmp_path / "pickled.npz", np.array([{"a": 1}]))
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    np.save(tmp_path / "none.npy", np.ones((0, 2)))
    np.save(tmp_path / "zero.npy", np.zeros((2, 2)))
    np.save(tmp_path / "edge.npy", np.array([[-1, 0, 1]]))
    np.save(tmp_path / "nan.npy", np.array([[1.0, np.nan]]))
    (tmp_path / "words.csv").write_text("a,b\n1,2\n")
    (tmp_path / "ragged.txt").write_text("1 2\n3\n")
    Image.fromarray(whole(rng, 8, 3)).save(tmp_path / "colour.png")
    Image.fromarray(whole(rng, 8, 3)).save(tmp_path / "k.jpg")
    for name, match in {
        "two.npz": "holds 2 arrays; pick one as .*two.npz:NAME of first, second",
        "two.npz:third": "no array 'third'; pick one",
        "two.npz:": "no array ''; pick one",
        "none.npz:a": "none.npz does not exist",
        "pickled.npz": "holds Python objects, which can run code",
        "cube.npy": r"shape \(2, 2, 2\); a kernel is \[h, w\]",
        "none.npy": r"shape \(0, 2\)",
        "zero.npy": "sums to 0",
        "edge.npy": "sums to 0",
        "nan.npy": "1 values NaN",
        "words.csv": "is no table of numbers .*commas",
        "ragged.txt": "is no table of numbers .*spaces",
        "colour.png": "has colours; save it as gray",
        "k.jpg": "unknown type '.jpg'; supported are .npy, .npz",
    }.items():
        with pytest.raises(ValueError, match=match):
            read_kernel(f"{tmp_path}/{name}")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    "how", [{}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}]
)
def test_psfs_come_as_they_are_stored_frames_too(tmp_path, rng, kind, how):
    frames = rng.integers(0, 200, (3, 20, 22)).astype(kind)
    np.save(tmp_path / "one.npy", frames[0])
    np.save(tmp_path / "all.npy", frames)
    np.savez(tmp_path / "two.npz", a=frames, b=frames[1])
    if kind == np.float32:
        how = {key: value for key, value in how.items() if key != "predictor"}
    tifffile.imwrite(tmp_path / "all.tif", frames, photometric="minisblack", **how)
    tifffile.imwrite(tmp_path / "one.tif", frames[0], photometric="minisblack")
    for name, right in {
        "one.npy": frames[0],
        "all.npy": frames,
        "two.npz:a": frames,
        "two.npz:b": frames[1],
        "all.tif": frames,
        "one.tif": frames[0],
    }.items():
        back = read_psf(f"{tmp_path}/{name}")
        assert back.dtype == kind and np.array_equal(back, right), name
    with pytest.raises(ValueError, match="holds 3 pages, and one image is read"):
        read_kernel(tmp_path / "all.tif")


def test_pages_that_are_no_frames_are_refused(tmp_path, rng):
    frames = rng.integers(0, 200, (3, 20, 22)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "sizes.tif") as tiff:
        tiff.write(frames[0])
        tiff.write(frames[0, :10])
    with tifffile.TiffWriter(tmp_path / "types.tif") as tiff:
        tiff.write(frames[0])
        tiff.write(frames[0].astype(np.float32))
    tifffile.imwrite(tmp_path / "signed.tif", frames.astype(np.int16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "white.tif", frames, photometric="miniswhite")
    rgb = np.stack([frames] * 3, 3).astype(np.uint8)
    tifffile.imwrite(tmp_path / "colours.tif", rgb, photometric="rgb")
    tifffile.imwrite(tmp_path / "nan.tif", frames * np.float32("nan"), photometric="minisblack")
    whole = tmp_path / "whole.tif"
    tifffile.imwrite(whole, frames, photometric="minisblack", compression="zlib")
    (tmp_path / "cut.tif").write_bytes(whole.read_bytes()[:-900])
    for name, match in {
        "sizes.tif": r"page 2 of .*sizes.tif is \(10, 22\) of uint16, the first \(20, 22\)",
        "types.tif": "page 2 of .* float32",
        "signed.tif": "page 1 of .* int16",
        "white.tif": "TIFF kind 0, not gray with 0 black",
        "colours.tif": "page 1 of .* is YXS data of TIFF kind 2",
        "nan.tif": "NaN",
        "cut.tif": "cut.tif",
    }.items():
        with pytest.raises(ValueError, match=match):
            read_psf(tmp_path / name)


def test_masks(tmp_path, rng):
    seen = np.array([[True, False, True], [False, False, True]])
    for i, stored in enumerate(
        (seen, seen * 1.0, seen.astype(np.int64), seen[None, None] * np.uint8(9))
    ):
        np.save(tmp_path / f"{i}.npy", stored)
        assert np.array_equal(read_mask(tmp_path / f"{i}.npy"), seen)
    Image.fromarray(seen).save(tmp_path / "a.png")
    Image.fromarray((seen * 255).astype(np.uint8)).convert("RGB").save(tmp_path / "b.png")
    Image.fromarray((seen * 255).astype(np.uint8)).save(tmp_path / "c.tif")
    for name in ("a.png", "b.png", "c.tif"):
        back = read_mask(tmp_path / name)
        assert back.dtype == bool and np.array_equal(back, seen), name
    Image.fromarray(whole(rng, 8, 1, (8, 8))[:, :, 0]).save(tmp_path / "many.png")
    Image.fromarray(whole(rng, 8, 3)).save(tmp_path / "colour.png")
    for name, stored in {"ones": seen | True, "split": seen + 1.0, "nan": seen * np.nan}.items():
        np.save(tmp_path / f"{name}.npy", stored)
    for name, match in {
        "many.png": r"different values \(.*, \.\.\.\); a mask has two",
        "colour.png": "has colours",
        "ones.npy": r"1 different values \(1\)",
        "split.npy": r"2 different values \(1, 2\)",
        "nan.npy": "6 values NaN",
        "gone.npy": "does not exist",
    }.items():
        with pytest.raises(ValueError, match=match):
            read_mask(tmp_path / name)
