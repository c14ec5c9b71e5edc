"""Files that cannot be read or written in full are refused in a sentence; nothing stays behind."""

import io

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from proxlab.images import image_writing, read_image, write_image
from tests.images.pictures import names

PNG, JPEG = "PNG", "JPEG"


def bad_files(folder):
    """Words of the refusal by the name of the file, for files that are made on the spot."""

    def save(name, array, **options):
        if name.endswith(".npy"):
            np.save(folder / name, array, **options)
        else:
            tifffile.imwrite(folder / name, array, **options)
        return name

    def cut(name, kind, keep=0.6):
        noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, kind)
        data = buffer.getvalue()
        (folder / name).write_bytes(data[: int(keep * len(data))])
        return name

    (folder / "empty.png").touch()
    (folder / "empty.npy").touch()
    (folder / "folder.png").mkdir()
    (folder / "a.gif").write_bytes(b"GIF89a")
    (folder / "no suffix").write_bytes(b"x")
    (folder / "text.png").write_text("no image")
    (folder / "text.tif").write_text("no image")
    (folder / "text.npy").write_text("no image")
    (folder / "text.dcm").write_text("no image")
    gray = np.zeros((8, 8), np.uint8)
    Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(folder / "cmyk.tif")
    frames = [Image.fromarray(gray), Image.fromarray(gray + 9)]
    frames[0].save(folder / "moving.png", save_all=True, append_images=frames[1:])
    (folder / "shut.png").symlink_to(folder / "nowhere")
    half = np.full((8, 8), 0.5)
    mini = {"photometric": "minisblack"}
    damaged = "cannot be decoded.*copy it again"
    return {
        "missing.png": "does not exist; check the name",
        "shut.png": "does not exist",
        "empty.png": r"empty \(0 bytes\)",
        "empty.npy": r"empty \(0 bytes\)",
        "folder.png": "is a folder; name an ordinary file",
        "a.gif": "unknown type '.gif'; supported are .png, .jpg",
        "no suffix": "unknown type ''",
        "text.png": damaged,
        "text.tif": damaged,
        "text.npy": damaged,
        "text.dcm": damaged,
        cut("cut.png", PNG): damaged,
        cut("cut.jpg", JPEG): damaged,
        cut("cut.tif", "TIFF"): damaged,
        cut("head.png", PNG, 0.001): damaged,
        "cmyk.jpg": "CMYK image; convert it to gray or RGB",
        "cmyk.tif": "CMYK image; convert it to gray or RGB",
        "moving.png": "holds 2 frames",
        save("nan.npy", np.where(np.eye(8) > 0, np.nan, half)): "8 values NaN or infinite",
        save("inf.tif", np.where(np.eye(8) > 0, np.inf, half), **mini): "8 values NaN or infinite",
        save("loud.npy", half * 255): r"values from 127.5 to 127.5.*divide by 255\?",
        save("loud.tif", (half * 255).astype(np.float32), **mini): r"divide by 255\?",
        save("below.npy", half - 0.51): "expected .0, 1.",
        save("none.npy", np.zeros((0, 8))): r"shape \(0, 8\); expected one image",
        save("row.npy", np.zeros(8)): r"shape \(8,\)",
        save("either.npy", np.zeros((3, 8, 3))): r"\[C, H, W\] or \[H, W, C\]; save it as",
        save("five.npy", np.zeros((8, 8, 5))): r"shape \(8, 8, 5\)",
        save("batch.npy", np.zeros((2, 3, 8, 8))): r"shape \(2, 3, 8, 8\)",
        save("whole.npy", np.zeros((8, 8), np.int64)): "type int64; save it as uint8",
        save("bool.npy", np.zeros((8, 8), bool)): "type bool; save it as uint8",
        save("complex.npy", half + 1j): "type complex128; save real numbers",
        save("pickled.npy", np.array([{"a": 1}]), allow_pickle=True): "Object arrays cannot",
        save("pages.tif", np.zeros((4, 8, 8), np.uint16), **mini): "4 pages, and one",
        save("pages8.tif", np.zeros((4, 8, 8), np.uint8), **mini): "4 pages, and one",
        save("signed.tif", np.zeros((8, 8), np.int16), **mini): r"int16\)",
        save("signed8.tif", np.zeros((8, 8), np.int8), **mini): r"int8\)",
        save("wide.tif", np.zeros((8, 8), np.uint32), **mini): "type uint32",
        save("cmyk16.tif", np.zeros((8, 8, 4), np.uint16), photometric="separated"): "convert it",
    }


def test_bad_files_are_refused_in_one_sentence_with_their_name(tmp_path):
    cases = bad_files(tmp_path)
    before = names(tmp_path)
    for name, match in cases.items():
        with pytest.raises(ValueError, match=match) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value), name
        assert "\n" not in str(caught.value), name
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    "name, x, bits, match",
    [
        ("a.gif", torch.zeros(1, 1, 4, 4), 8, "unknown type '.gif'; supported are .png"),
        ("a.dcm", torch.zeros(1, 1, 4, 4), 8, r"copy of the DICOM file .*, got none; use \.png"),
        ("a", torch.zeros(1, 1, 4, 4), 8, "unknown type ''"),
        ("a.jpg", torch.zeros(1, 1, 4, 4), 16, r"bits=16; .jpg takes \(8,\)"),
        ("a.png", torch.zeros(1, 1, 4, 4), 32, "bits=32"),
        ("a.png", torch.zeros(2, 1, 4, 4), 8, r"shape \(2, 1, 4, 4\).*index the batch"),
        ("a.png", torch.zeros(1, 2, 4, 4), 8, r"shape \(1, 2, 4, 4\)"),
        ("a.png", torch.zeros(4, 4), 8, r"shape \(4, 4\)"),
        ("a.png", torch.zeros(1, 1, 0, 4), 8, "shape"),
        ("a.png", torch.zeros(1, 1, 4, 4, dtype=torch.uint8), 8, "torch.uint8, expected floats"),
        ("a.png", torch.full((1, 1, 4, 4), torch.nan), 8, "16 pixels are NaN or infinite"),
        ("a.npy", torch.full((1, 1, 4, 4), torch.inf), 8, "16 pixels are NaN or infinite"),
        ("no/a.png", torch.zeros(1, 1, 4, 4), 8, "there is no folder"),
    ],
)
def test_bad_writes_are_refused_and_leave_nothing(tmp_path, name, x, bits, match):
    with pytest.raises(ValueError, match=match):
        write_image(tmp_path / name, x, bits)
    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", list(image_writing.WRITABLE))
def test_an_existing_file_is_kept_unless_asked(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError, match="exists already; choose another name"):
        write_image(path, torch.zeros(1, 3, 4, 4))
    assert path.read_bytes() == b"old"
    write_image(path, torch.zeros(1, 3, 4, 4), overwrite=True)
    assert read_image(path).pixels.shape == (1, 3, 4, 4) and names(tmp_path) == [path.name]
