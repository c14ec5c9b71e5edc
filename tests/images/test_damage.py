"""Damaged files are refused in a sentence or read; sound ones are never called damaged."""

import errno
import importlib.util
import re
import warnings

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from proxlab.images import read_image, write_image
from proxlab.images.decoder_failures import decoding
from tests.images.pictures import as_tensor, png, whole
from tests.images.test_dicom import dataset, save_dicom

CASES = 30
"""Corruptions of each kind of each file."""


def sound(folder):
    """Files of every kind that is read, by name, and their pixels as read."""
    rng = np.random.default_rng(5)
    smooth = np.add.outer(np.arange(24) * 5, np.arange(20) * 6).astype(np.uint8)
    deep, rgb = smooth.astype(np.uint16) * 250 + 3, whole(rng, 16, 3, (24, 20))
    Image.fromarray(smooth).save(folder / "gray.png")
    Image.fromarray(np.stack([smooth] * 3, 2)).save(folder / "colour.jpg", exif=Image.Exif())
    Image.fromarray(smooth).save(folder / "lzw8.tif", compression="tiff_lzw")
    Image.fromarray(deep).save(folder / "lzw16.tif", compression="tiff_lzw")
    zipped = dict(photometric="rgb", compression="zlib", predictor=True, rowsperstrip=5)
    tifffile.imwrite(folder / "zip16.tif", rgb, **zipped)
    tifffile.imwrite(folder / "float.tif", np.float32(smooth / 255), photometric="minisblack")
    np.save(folder / "a.npy", smooth)
    save_dicom(folder / "a.dcm", deep)
    pydicom = pytest.importorskip("pydicom")
    data = dataset(folder / "a.dcm")
    data.compress(pydicom.uid.RLELossless)
    data.save_as(folder / "rle.dcm")
    write_image(folder / "deep.png", as_tensor(rgb), 16)
    return sorted(folder.iterdir())


def corrupted(data, rng, how):
    """The bytes, cut short or with up to four bits turned over."""
    if how == "cut":
        return data[: rng.integers(0, len(data))]
    changed = bytearray(data)
    for at in rng.integers(0, len(data), rng.integers(1, 5)):
        changed[at] ^= 1 << rng.integers(8)
    return bytes(changed)


def outcome(path):
    """The image, or the sentence; anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of decoders that succeed all the same
        try:
            return read_image(path).pixels
        except ValueError as error:
            text = str(error)
            assert str(path) in text and "\n" not in text and text.isprintable(), text
            return text


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_a_corrupted_file_is_refused_in_a_sentence_or_read(tmp_path, how):
    said = []
    for path in sound(tmp_path):
        data, rng = path.read_bytes(), np.random.default_rng(len(path.name))
        right = outcome(path)
        assert isinstance(right, torch.Tensor), right
        broken = path.with_name(f"broken-{path.name}")
        for _ in range(CASES):
            broken.write_bytes(corrupted(data, rng, how))
            found = outcome(broken)
            if isinstance(found, str):
                said.append(found)
            elif how == "cut":  # what was cut off was no pixel
                assert torch.equal(found, right), path.name
    assert len(said) > 3 * CASES
    if how == "cut":
        assert not [s for s in said if "damaged" not in s and "0 bytes" not in s]


def test_a_slice_that_is_cut_anywhere_is_called_damaged(tmp_path):
    """pydicom takes one that ends between two elements for whole, and one in the middle too."""
    save_dicom(tmp_path / "a.dcm", np.zeros((3, 2)))
    data = (tmp_path / "a.dcm").read_bytes()
    for end in range(140, len(data), 3):
        (tmp_path / "a.dcm").write_bytes(data[:end])
        assert "damaged" in outcome(tmp_path / "a.dcm"), end


def unreadable(folder):
    """Sound files that are refused, by words of the refusal."""
    rng = np.random.default_rng(6)
    gray, deep = whole(rng, 8, 1, (9, 8))[:, :, 0], whole(rng, 16, 3, (9, 8))
    mini, rgb = dict(photometric="minisblack"), dict(photometric="rgb")
    tifffile.imwrite(folder / "pages.tif", np.stack([gray] * 3), **mini)
    tifffile.imwrite(folder / "signed.tif", gray.astype(np.int16), **mini)
    tifffile.imwrite(folder / "deep cmyk.tif", np.dstack([deep, deep])[..., :4], photometric=5)
    Image.fromarray(gray).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(gray).save(folder / "gif.png", "GIF")
    Image.fromarray(gray).save(folder / "webp.jpg", "WEBP")
    Image.fromarray(gray).save(folder / "bmp.tif", "BMP")
    Image.fromarray(gray).save(folder / "jp2.png", "JPEG2000")
    np.save(folder / "object.npy", np.array([{}]), allow_pickle=True)
    np.savez(folder / "zip.npy.npz", gray)
    (folder / "zip.npy.npz").rename(folder / "zip.npy")
    (folder / "lfs.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    (folder / "page.jpg").write_text("<!DOCTYPE html><html>not found</html>")
    save_dicom(folder / "mr.dcm", gray, modality="MR")
    alpha = [r.astype(">u2").tobytes() for r in deep[..., :2]]
    (folder / "la16.png").write_bytes(png(alpha, 8, 16, 4))
    retagged(folder / "lzw.tif", deep, rgb, 5)
    retagged(folder / "j2k.tif", deep, rgb, 34712)
    retagged(folder / "lerc.tif", gray, mini, 34887)
    retagged(folder / "predictor.tif", deep, rgb, predictor=3)
    return {
        "pages.tif": "3 pages, and one image is read; take one",
        "signed.tif": "int16",
        "deep cmyk.tif": "colours of TIFF kind 5",
        "cmyk.jpg": "CMYK",
        "gif.png": "holds a GIF file; save it as PNG",
        "webp.jpg": "WebP",
        "bmp.tif": "BMP",
        "jp2.png": "JPEG 2000",
        "object.npy": "Python objects, which can run code",
        "zip.npy": "a zip archive",
        "lfs.png": "a pointer of git-lfs",
        "page.jpg": "an HTML",
        "mr.dcm": "modality MR",
        "la16.png": "16-bit samples of kind LA;16B",
        "lzw.tif": r"compressed by LZW \(5\), .*pip install imagecodecs",
        "j2k.tif": r"compressed by JPEG2000 \(34712\), .*pip install imagecodecs",
        "lerc.tif": r"compressed by LERC \(34887\), for which a decoder is missing",
        "predictor.tif": "with predictor 3, for which a decoder is missing here; pip install",
    }


def retagged(path, array, options, compression=8, predictor=2):
    """A TIFF that says it is compressed so: nobody here writes such."""
    tifffile.imwrite(path, array, compression="zlib", predictor=2, **options)
    set_tag(path, "Compression", compression)
    set_tag(path, "Predictor", predictor)


def set_tag(path, name, value):
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages.first.tags[name].valueoffset
    data[at : at + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)


def test_a_sound_file_is_never_called_damaged(tmp_path):
    if importlib.util.find_spec("imagecodecs"):
        pytest.skip("imagecodecs is installed, which reads some of these")
    cases = unreadable(tmp_path)
    assert set(cases) == {p.name for p in tmp_path.iterdir()}
    for name, words in cases.items():
        said = outcome(tmp_path / name)
        assert isinstance(said, str) and re.search(words, said), (name, said)
        assert "damaged" not in said and "cut short" not in said, said


@pytest.mark.parametrize(
    "error, words",
    [
        (MemoryError("Unable to allocate 3 GiB"), "does not fit into the memory .*3 GiB"),
        (ImportError("No module named 'x'"), "package that is missing .*named 'x'.; install it"),
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error; check"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be read: Permission denied"),
    ],
)
def test_trouble_of_the_machine_is_not_damage(tmp_path, error, words):
    with pytest.raises(ValueError, match=words) as caught, decoding(tmp_path):
        raise error
    assert "damaged" not in str(caught.value)


def test_what_a_file_says_of_itself_cannot_steer_a_terminal(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of such a modality
        save_dicom(tmp_path / "a.dcm", np.zeros((2, 2)), modality="MR\x1b[2J" + "x" * 300)
    said = outcome(tmp_path / "a.dcm")
    assert r"MR\x1b[2Jxxx" in said and len(said) < 400


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("turn, compression", [(1, "tiff_lzw"), (3, "tiff_lzw"), (6, "zstd")])
def test_a_deep_gray_tiff_of_any_compression_that_pillow_knows_is_read_whole(
    tmp_path, rng, dtype, turn, compression
):
    stored = whole(rng, 16, 1, (9, 8))[:, :, 0]
    stored = stored if dtype is np.uint16 else np.float32(stored / 65535)
    plain, packed = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(plain, stored, photometric="minisblack", extratags=[(274, "H", 1, turn, True)])
    image = Image.fromarray(stored)
    image.save(
        packed, compression=compression, tiffinfo={274: turn, 317: 2 + (dtype == np.float32)}
    )
    assert torch.equal(read_image(packed).pixels, read_image(plain).pixels)
    assert read_image(packed).bits == (16 if dtype is np.uint16 else 32)


def test_a_tiff_that_pillow_would_not_keep_whole_is_refused(tmp_path):
    """It takes unsigned values for signed ones, and does not know doubles."""
    path = tmp_path / "a.tif"
    Image.fromarray(np.arange(72, dtype=np.int32).reshape(9, 8)).save(path, compression="tiff_lzw")
    set_tag(path, "SampleFormat", 1)
    assert "compressed by LZW" in outcome(path)
    doubles = np.full((9, 8), 0.5)
    tifffile.imwrite(path, doubles, photometric="minisblack", compression="zlib")
    set_tag(path, "Compression", 5)
    assert "compressed by LZW" in outcome(path)


def test_a_tiff_with_a_strip_left_out_is_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.ones((9, 8), np.uint16),
        photometric="minisblack",
        rowsperstrip=3,
        compression="zlib",
    )
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        tag = tiff.pages.first.tags["StripByteCounts"]
    size = 2 if tag.dtype == 3 else 4
    data[tag.valueoffset : tag.valueoffset + size] = bytes(size)
    (tmp_path / "a.tif").write_bytes(data)
    assert "1 of its strips or tiles are not there" in outcome(tmp_path / "a.tif")
