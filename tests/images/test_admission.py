"""FIFOs, sockets and devices are never opened, and no header makes anybody take memory."""

import contextlib
import io
import json
import os
import socket
import struct
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from proxlab.images import admission, list_images, read_image
from proxlab.images.admission import read_json, regular_file
from proxlab.images.data_sets import load_cifar10
from proxlab.images.operator_files import read_angles, read_kernel, read_mask
from proxlab.images.reading import read_shape
from proxlab.images.shards import find_shards, list_members
from proxlab.images.stored import find_photographs
from proxlab.operators.tomography.sinograms import read_geometry, read_sinogram
from proxlab.training.state import _read
from tests.images.pictures import chunk

READERS = {
    "image.png": read_image,
    "slice.dcm": read_image,
    "shape.tif": read_shape,
    "kernel.npy": read_kernel,
    "kernel.txt": read_kernel,
    "kernel.npz": read_kernel,
    "mask.png": read_mask,
    "angles.csv": read_angles,
    "sinogram.npy": read_sinogram,
    "geometry.json": read_geometry,
    "shard.tar": lambda path: list_members(path, (".png",)),
    "state.pt": _read,
    "cifar.zip": lambda path: load_cifar10("test", path),
    "any": regular_file,
}


def special(path, kind):
    """Something at `path` that is no file, and what keeps it there."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's name has 107 bytes at most
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
        os.chdir(here)
    elif kind == "link to a fifo":
        os.mkfifo(path.parent / "pipe")
        path.symlink_to("pipe")
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["fifo", "socket", "link to a fifo", "link to a device"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_never_opened(tmp_path, name, kind):
    path, what = tmp_path / name, "device" if "device" in kind else kind.split()[-1]
    special(path, kind)
    refused = pytest.raises(ValueError, match=rf"{name} is a (?i:{what}); name an ordinary file")
    with opened_from_the_other_side(tmp_path) as seen, refused:
        READERS[name](path)
    assert not seen


@contextlib.contextmanager
def opened_from_the_other_side(folder):
    """Names of the FIFOs that somebody waits at; nobody waits longer than a moment."""
    seen, over = [], threading.Event()
    pipes = [p for p in folder.iterdir() if p.is_fifo()]

    def watch():
        while not over.wait(0.01):
            for pipe in pipes:
                with contextlib.suppress(OSError):  # ENXIO: nobody reads
                    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                    seen.append(pipe.name)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_that_watch_sees_who_opens_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with opened_from_the_other_side(tmp_path) as seen:
        (tmp_path / "a.png").read_bytes()
    assert seen


def test_folders_pass_over_what_is_no_file_or_refuse_it(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "b.png")
    with opened_from_the_other_side(tmp_path) as seen:
        assert [p.name for p in list_images(tmp_path)] == ["b.png"]
        os.mkfifo(tmp_path / "c.tar")
        for find in (find_photographs, lambda p: list_members(find_shards(p)[0], (".png",))):
            with pytest.raises(ValueError, match="move either|c.tar is a FIFO"):
                find(tmp_path)
    assert not seen


def npy(shape, dtype="<f4", content=b""):
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def big_png(side):
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def big_jpeg():
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG")
    data = file.getvalue()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + b"\xff\xf0\xff\xf0" + data[at + 4 :]


def big_tiff(depth):
    file = io.BytesIO()
    array = np.zeros((4, 4), np.uint8 if depth == 8 else np.uint16)
    tifffile.imwrite(file, array, photometric="minisblack", metadata=None)
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        tags = tiff.pages.first.tags
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            data[tags[name].valueoffset : tags[name].valueoffset + 2] = b"\xf0\xff"
    return bytes(data)


BOMBS = {
    "a.png": big_png(100_000),
    "b.png": big_png(20_000),
    "a.jpg": big_jpeg(),
    "a.tif": big_tiff(8),
    "b.tif": big_tiff(16),
    "a.npy": npy((10**6, 10**6)),
    "b.npy": npy((10**30,)),
    "c.npy": npy((2**14, 2**14 + 1), "|u1"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_that_promises_too_much_is_refused_by_size_and_limit(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BOMBS[name])
    with pytest.raises(ValueError, match=r"million values, and at most 268 million are read; cut"):
        read_image(path)
    assert "damaged" not in refusal(read_image, path) and str(path) in refusal(read_image, path)


def refusal(read, path):
    with pytest.raises(ValueError) as caught:
        read(path)
    return str(caught.value)


def test_the_limit_is_on_values_and_may_be_raised(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((10, 10), np.uint8))
    monkeypatch.setattr(admission, "MOST_VALUES", 99)
    assert "is 10 x 10, 100 values, and at most 99" in refusal(read_image, tmp_path / "a.npy")
    monkeypatch.setattr(admission, "MOST_VALUES", 100)
    assert read_image(tmp_path / "a.npy").pixels.shape == (1, 1, 10, 10)


def test_a_promise_that_a_file_does_not_keep_is_damage(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy((8, 8), "<f4", bytes(100)))
    assert "100 of 256 bytes" in refusal(read_image, tmp_path / "a.npy")


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_a_strip_that_unpacks_to_more_than_it_holds_is_refused(tmp_path, compression):
    from proxlab.images.decoders.tiff import _unpacked

    array = np.zeros((64, 64), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", compression=compression)
    assert read_image(path).pixels.shape == (1, 1, 64, 64)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages.first.tags
        for name in ("ImageLength", "RowsPerStrip"):
            data[tags[name].valueoffset : tags[name].valueoffset + 2] = b"\x08\0"
    path.write_bytes(data)
    assert "unpacks to more than its 1024 bytes" in refusal(read_image, path)
    packed = zlib.compress(bytes(10**7))
    assert _unpacked(8, packed, 1000) == 1000  # and no more is unpacked


def test_arrays_of_a_zip_are_bounded_too(tmp_path):
    for name, content, said in (
        ("a.npz", npy((10**6, 10**6)), "1e+12 million|1000000 x 1000000"),
        ("b.npz", npy((8, 8), "<f4", bytes(9)), "9 of 256 bytes"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("k.npy", content)
        with pytest.raises(ValueError, match=said):
            read_kernel(tmp_path / name)


@pytest.mark.parametrize(
    "text, said",
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 200_000, "is not JSON .*recursion"),
        (b"", "is not JSON"),
    ],
)
def test_json_that_is_none_is_refused_in_a_sentence(tmp_path, text, said):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=said):
        read_json(path)
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    assert "write it anew, or remove it" in refusal(read_sinogram, tmp_path / "a.npy")


def test_json_is_bounded_and_read(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": [1, None]}))
    assert read_json(path) == {"a": [1, None]}
    monkeypatch.setattr(admission, "MOST_TEXT", 10)
    with pytest.raises(ValueError, match="has 16 bytes or more, and at most 10 are read"):
        read_json(path)


def test_names_that_are_none(tmp_path):
    for path in (tmp_path / "a\0.png", "\0", tmp_path / ("x" * 300 + ".png")):
        with pytest.raises(ValueError, match="is no file name|File name too long"):
            read_image(path)
