"""Tar shards: every member is read as the file it was; damaged files and strangers are named."""

import io
import re
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from examples.benchmarks import bench_streaming
from proxlab.commands.main import main
from proxlab.images import read_image, write_image
from proxlab.images.reading import read_shape
from proxlab.images.shards import list_members
from proxlab.images.stored import StoredImages, find_photographs, open_gray
from tests.images.shard_files import write_shard, write_shards

SUFFIXES = (".png", ".jpg")


def encoded(kind="PNG", seed=0):
    pixels = np.random.default_rng(seed).integers(256, size=(30, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture
def kinds(tmp_path):
    """A folder of image files of many kinds, 30 x 40 and upright only when turned."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    pixels = astronaut()[:30, 200:240]
    picture, turned = Image.fromarray(pixels), Image.Exif()
    turned[0x0112] = 8
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        picture.convert(mode).save(folder / f"{mode}.png")
    picture.convert("L").quantize(4).save(folder / "gray-palette.png")
    picture.save(folder / "turned-png.png", exif=turned)
    picture.save(folder / "turned.JPG", exif=turned)
    picture.convert("L").save(folder / "gray.jpeg")
    picture.save(folder / "packed.tif", compression="tiff_lzw")
    planes = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    for name, x in (("deep", planes), ("deep-gray", planes[:1])):
        for kind in ("png", "tif", "npy"):
            write_image(folder / f"{name}-{kind}.{kind}", x, bits=16)
    return folder


def test_headers_tell_what_decoding_gives(kinds):
    paths = sorted(kinds.iterdir())
    assert len(paths) == 17
    for path in paths:
        assert read_shape(path) == tuple(read_image(path).pixels.shape[1:])
    assert read_shape(kinds / "turned.JPG") == (3, 40, 30)


def test_members_are_read_as_the_files_they_were(kinds, tmp_path):
    members = find_photographs(write_shards(kinds, tmp_path / "shards", each=5))
    assert [m.name for m in members] == [p.name for p in sorted(kinds.iterdir())]
    assert len({m.shard for m in members}) == 4
    for member in members:
        alone, inside = read_image(kinds / member.name), read_image(member)
        assert torch.equal(alone.pixels, inside.pixels) and alone.bits == inside.bits
        assert read_shape(member) == read_shape(kinds / member.name)
        with member.open() as file:
            assert file.read() == (kinds / member.name).read_bytes()
            assert file.seek(-7, io.SEEK_END) == member.size - 7
            assert file.read(9) == (kinds / member.name).read_bytes()[-7:]


def test_headers_are_read_without_the_pixels(monkeypatch, tmp_path):
    shard = write_shard(tmp_path / "a.tar", {"a.png": encoded(), "b.jpg": encoded("JPEG")})
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    assert [read_shape(m) for m in list_members(shard, SUFFIXES)] == [(3, 30, 40)] * 2


def test_shards_of_webdataset(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    pixels = astronaut()[:36, 200:240]
    with webdataset.ShardWriter(f"{tmp_path}/shard-%06d.tar", maxcount=3, verbose=0) as writer:
        for i in range(7):
            sample = {"__key__": f"{i:06d}", "png": pixels[:, ::-1] if i % 2 else pixels}
            writer.write(sample | {"json": {"i": i}, "cls": i, "txt": "of an astronaut"})
    found = open_gray(tmp_path)
    assert len(found) == 7 and len(list(tmp_path.iterdir())) == 3
    Image.fromarray(pixels).save(tmp_path / "a.png")
    right = (read_image(tmp_path / "a.png", gray=True).pixels[0, 0] * 255).round()
    assert torch.equal(found[4], right.byte()) and torch.equal(found[5], right.byte().flip(1))


def test_the_command_takes_a_folder_of_shards_one_or_a_pattern(photos, tmp_path, capsys):
    shards = write_shards(photos, tmp_path / "shards", each=1)
    (shards / "notes.txt").touch()
    for data, count in ((shards, 3), (shards / "shard-000001.tar", 1), (shards / "*[01].tar", 2)):
        assert len(open_gray(data)) == count
        words = f"train lpn-color --quiet --device cpu --data {data} --out {tmp_path / 'run'}"
        assert main(words.split()) == 1
        said = "a single image of 36 x 40" if count == 1 else r"patches of 64 .*\(3, 36, 40\)"
        assert re.search(said, capsys.readouterr().err)
    for data, said in (
        (shards / "b-*.tar", "b-*.tar does not exist; give a folder of images or of .tar shards"),
        (shards / "n*.txt", "notes.txt is no .tar file; give a folder of images, or shards"),
    ):
        assert main(f"train lpn-gray --data {data} --out {tmp_path / 'run'}".split()) == 1
        assert said in capsys.readouterr().err
    (shards / "a.png").write_bytes(encoded())
    with pytest.raises(ValueError, match="holds images and .tar shards; move either"):
        find_photographs(shards)


def damaged_header(path):
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        content[tar.getmembers()[1].offset] ^= 255
    path.write_bytes(content)


def cut(path, left):
    path.write_bytes(path.read_bytes()[:left])


@pytest.mark.parametrize(
    "members, spoil, message",
    [
        ({}, None, "s.tar holds no image; looked for members .png, .jpg"),
        ({"a.json": b"{}"}, None, "s.tar holds no image"),
        ({"a.png": encoded(), "b.jpg": b""}, None, "b.jpg in .*s.tar is empty"),
        ({"a.png": encoded(), "a.mask.png": encoded()}, None, "images of sample a, a.png and a.m"),
        ({"a.png": encoded(), "b.png": encoded()}, damaged_header, "s.tar is damaged after a.png"),
        ({"a.png": encoded()}, lambda p: cut(p, 2000), "s.tar is .*cut short in a.png or after"),
        ({"a.png": encoded()}, lambda p: cut(p, 512), "s.tar is .*cut short in a.png or after"),
        ({"a.txt": b"a"}, lambda p: cut(p, 1024), "s.tar is .*cut short in a.txt or after"),
        ({}, lambda p: cut(p, 0), "s.tar is no tar file, compressed, or damaged"),
        ({}, lambda p: p.write_bytes(b"text" * 999), "s.tar is no tar file, compressed, or dam"),
        ({}, lambda p: p.write_bytes(p.read_bytes() + b"more"), "s.tar is damaged .* several tar"),
    ],
)
def test_a_bad_shard_is_named(members, spoil, message, tmp_path):
    path = write_shard(tmp_path / "s.tar", members)
    if spoil:
        spoil(path)
    with pytest.raises(ValueError, match=message) as error:
        list_members(path, SUFFIXES)
    assert "\n" not in str(error.value)


def test_a_link_and_a_compressed_shard_are_refused(tmp_path):
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        entry = tarfile.TarInfo("a.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "b.png"
        tar.addfile(entry)
    with pytest.raises(ValueError, match="a.png in .*s.tar is a link"):
        list_members(tmp_path / "s.tar", SUFFIXES)
    with tarfile.open(tmp_path / "z.tar", "w:gz"):
        pass
    with pytest.raises(ValueError, match="z.tar is no tar file, compressed, or damaged"):
        list_members(tmp_path / "z.tar", SUFFIXES)


def test_a_bad_member_is_named(tmp_path):
    whole = encoded("JPEG")
    names = {"a.jpg": whole, "b.jpg": whole[: len(whole) // 2], "c.png": encoded()}
    images = StoredImages(list_members(write_shard(tmp_path / "s.tar", names), SUFFIXES), True, 0)
    assert images[0].shape == images[2].shape == (30, 40)
    with pytest.raises(ValueError, match=r"b.jpg in .*s.tar cannot be decoded.*\(image file is tr"):
        images[1]
    for content, said in ((b"a note", "it begins with b'a note'"), (b"GIF89a", "holds a GIF file")):
        path = write_shard(tmp_path / "t.tar", {"a.jpg": whole, "d.png": content})
        with pytest.raises(ValueError, match=f"d.png in .*t.tar .*{said}"):
            open_gray(path)


def test_a_shard_that_changes_underneath_is_noticed(tmp_path):
    path = write_shard(tmp_path / "s.tar", {"a.png": encoded()})
    images = StoredImages(list_members(path, SUFFIXES), True, 0)
    file = io.BytesIO()
    Image.new("L", (20, 20)).save(file, "PNG")
    write_shard(path, {"a.png": file.getvalue() + bytes(len(encoded()) - len(file.getvalue()))})
    with pytest.raises(ValueError, match=r"a.png in .*s.tar is \[20, 20\], but \[30, 40\] by"):
        images[0]


def test_the_bench_prints_what_streaming_costs(photos, capsys):
    words = f"--data {photos} --batches 2 --patch 16 --steps 1 --per-shard 2"
    found = bench_streaming.main(words.split())
    assert list(found) == [(place, 2) for place in ("memory", "folder", "shards")]
    assert all(len(times) == 2 and min(times) > 0 for times in found.values())
    assert "shards: 3 images" in capsys.readouterr().out
