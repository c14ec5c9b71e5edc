"""`proxlab restore` on stacks and folders: every page, in its order, by one operator, and said."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from proxlab.commands.main import main
from proxlab.commands.stacks import measuring, restoring
from proxlab.images import read_image
from proxlab.priors.tiles import within_memory
from solvers import Diverged
from tests.stacks.stack_files import GRAY, KINDS, ZYX, faults, pages, write_stack

BLUR = "deblur --blur-sigma 0.6 --noise 0.02 --prior tv --steps 40 --device cpu"
FAST = "deblur --blur-sigma 0.6 --noise 0.02 --prior none --steps 2 --device cpu"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(words, status=0):
    assert main(f"restore {words}".split()) == status


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_comes_back_as_what_it_was(here, kind, capsys):
    write_stack(here / "a.tif", kind)
    run(f"a.tif {BLUR}")
    assert faults(here / "a.tif", here / "a-restored.tif", 0.05) == []
    said = capsys.readouterr().out
    axes = "" if kind == "plain" else " (T 2 x Z 3 x C 2)"
    assert f"a.tif: 12 pages{axes}, 24 x 20, by one operator\n" in said
    assert said.endswith("\na-restored.tif\n")


def test_pages_come_out_as_they_do_alone(here):
    write_stack(here / "a.tif", "imagej")
    words = "deblur --blur-sigma 0.8 --noise 0.02 --prior lpn-gray-small --steps 6 --device cpu"
    run(f"a.tif {words} --out b.tif --quiet")
    for number in (1, 5, 12):
        run(f"a.tif {words} --page {number} --quiet")
        alone = tifffile.imread(f"a-page{number}-restored.tif").astype(int)
        together = tifffile.TiffFile("b.tif").pages[number - 1].asarray().astype(int)
        assert alone.shape == (24, 20) and np.abs(alone - together).max() <= 7  # of 65535
        assert np.abs(alone - tifffile.TiffFile("a.tif").pages[number - 1].asarray()).max() > 99


def test_batches_change_nothing_and_one_operator_serves_all(here, monkeypatch):
    write_stack(here / "a.tif", "shaped")
    made = []
    plain = measuring.READERS["inpaint"]
    sizes = []
    monkeypatch.setitem(measuring.READERS, "inpaint", lambda args: noted(plain(args), made))
    restore = restoring.restore
    monkeypatch.setattr(
        restoring, "restore", lambda y, *a, **k: sizes.append(len(y)) or restore(y, *a, **k)
    )
    words = "a.tif inpaint --missing 0.3 --noise 0.05 --prior tv --steps 5 --device cpu --simulate"
    run(f"{words} --out b.tif --quiet")
    assert sizes == [12] and len(made) == 1
    monkeypatch.setattr(within_memory, "BUDGET", 5 * 24 * 20 * within_memory.UNKNOWN)
    run(f"{words} --out c.tif --quiet")
    assert sizes == [12, 5, 5, 2] and len(made) == 2
    one, two = (tifffile.imread(name).astype(int) for name in ("b.tif", "c.tif"))
    assert np.abs(one - two).max() <= 1


def noted(source, made):
    """The source, which writes down that an operator was made."""
    return source._replace(measure=lambda generator: made.append(1) or source.measure(generator))


def test_a_folder_comes_back_under_the_same_names(here, capsys):
    Path("in/deeper").mkdir(parents=True)
    Path("in/notes.txt").write_text("no image")
    gray, deep, real = pages(3), pages(1, "uint16")[0], pages(1, "float32", (30, 20))[0]
    Image.fromarray(np.stack(gray, 2)).save("in/a.jpg")
    Image.fromarray(deep).save("in/b.png")
    tifffile.imwrite("in/c.tif", real)
    tifffile.imwrite("in/d.tif", gray, **ZYX)
    run(f"in {FAST}")
    names = ["a.jpg", "b.png", "c.tif", "d.tif"]
    assert sorted(path.name for path in Path("in-restored").iterdir()) == names
    assert read_image("in-restored/a.jpg").pixels.shape == (1, 3, 24, 20)
    assert read_image("in-restored/b.png").bits == 16
    assert tifffile.imread("in-restored/c.tif").dtype == np.float32
    assert faults(here / "in/d.tif", here / "in-restored/d.tif", 0.1) == []
    said = capsys.readouterr().out
    assert "in: 6 pages of 4 files, 2 sizes, by one operator of each size" in said
    assert "2 of what lies in in is no image and was left out: deeper, notes.txt" in said
    run(f"in {FAST}", status=1)
    assert "in-restored/a.jpg exists already" in capsys.readouterr().err
    run(f"in {FAST} --overwrite --quiet")


def test_the_verdict_names_what_is_not_certified(here, monkeypatch, capsys):
    """One page of ten is noise that cannot be, another diverges."""
    stack = pages(10, "float32")
    tifffile.imwrite("a.tif", stack, imagej=True, metadata={"axes": "TYX"})
    restore = restoring.restore

    def spoilt(y, *args, **told):
        result = restore(y, *args, **told)
        result.doubts[6], result.certified[6] = "residual 2.1e-03 above tol", False
        result.doubts[7], result.certified[7] = "residual 4.7e-03 above tol", False
        return result

    monkeypatch.setattr(restoring, "restore", spoilt)
    run(f"a.tif {BLUR} --steps 400 --boundary circular --trace t.json")
    said = capsys.readouterr().out
    line = "certified: 8 of 10 pages; not pages 7-8: residual 2.1e-03 above tol\n"
    assert line in said
    runs = json.loads(Path("t.json").read_text())["pages"]
    assert [run["page"] for run in runs] == [f"a.tif, page {k}" for k in range(1, 11)]
    assert [run["certified"] for run in runs] == [k not in (7, 8) for k in range(1, 11)]
    assert len({len(run["residual"]) for run in runs}) > 1  # each ends where it stopped


def test_all_certified_is_one_line(here, capsys):
    tifffile.imwrite("a.tif", pages(3), **ZYX)
    run(f"a.tif {BLUR} --steps 600")
    assert "\ncertified: all 3 pages\n" in capsys.readouterr().out


def test_a_page_that_diverges_is_told_and_the_others_are_kept(here, monkeypatch, capsys):
    stack = pages(4, "float32")
    tifffile.imwrite("a.tif", stack, **ZYX)
    restore = restoring.restore

    def one_blows_up(y, *args, **told):
        result = restore(y, *args, **told)
        result.stopped[2] = "diverged"
        result.image[2] = torch.nan
        return result

    monkeypatch.setattr(restoring, "restore", one_blows_up)
    run(f"a.tif {BLUR}", status=1)
    said = capsys.readouterr()
    assert "1 of 4 pages diverged (page 3): of a TIFF they are first estimates" in said.err
    assert "not page 3: the iterates blew up" in said.out and said.err.count("\n") == 1
    assert faults(here / "a.tif", here / "a-restored.tif", 0.1) == []

    def all_blow_up(*args, **told):
        raise Diverged("at step 3", 3, [0, 1, 2, 3])

    monkeypatch.setattr(restoring, "restore", all_blow_up)
    run(f"a.tif {BLUR} --out b.tif", status=1)
    assert "all 4 pages of a.tif diverged" in capsys.readouterr().err
    assert not list(here.glob("b.tif*")) and not list(here.glob(".tmp*"))


REFUSED = [
    (f"bad.tif {FAST}", r"bad\.tif, page 7 holds 1 values NaN or infinite"),
    (f"ok.tif {FAST} --page 4", r"ok\.tif has the pages 1, 2, 3; --page is one of them, not 4"),
    (f"a.png {FAST} --page 1", r"a\.png is no TIFF, and has no pages"),
    (f"ok.tif {FAST} --out b.png", r"b\.png: ok\.tif holds 3 pages, .*TIFF alone holds several"),
    (f"in {FAST} --out b.tif", r"b\.tif: in is a folder, and so is its result; name a folder"),
    (f"in {FAST} --out a.png", r"a\.png: in is a folder, and so is its result"),
    (f"in {FAST} --trace in", r"in: it is a folder"),
    (f"twins {FAST}", r"twins/a\.tif and .*twins/a\.png are both to be twins-restored/a\.tif"),
    (f"none {FAST}", "none holds no image"),
    (f"mixed.tif {FAST}", r"mixed\.tif, page 2 has 16 bits, and the pages before it 8"),
    ("ok.tif ct --simulate --angles 9 --noise 0.1", r"ct takes one image at a time, and ok\.tif"),
    ("in ct --angles 9 --size 9 --noise 0.1", "ct takes one image at a time, and in is a folder"),
    (f"ok.tif inpaint --mask m.npy {FAST[24:]}", r"\[1, 9, 9\], .*\[1, 24, 20\]; make"),
]


@pytest.mark.parametrize("words, sentence", REFUSED, ids=[words for words, _ in REFUSED])
def test_what_cannot_be_is_refused_before_the_work(here, words, sentence, monkeypatch, capsys):
    spoilt = pages(10, "float32")
    spoilt[6, 2, 3] = np.nan
    tifffile.imwrite("bad.tif", spoilt, **GRAY)
    tifffile.imwrite("ok.tif", pages(3), **GRAY)
    with tifffile.TiffWriter("mixed.tif") as tiff:
        tiff.write(pages(1)[0], metadata=None)
        tiff.write(pages(1, "uint16")[0], metadata=None)
    for folder in ("in", "none", "twins"):
        Path(folder).mkdir()
    for path in ("a.png", "in/a.png"):
        Image.fromarray(pages(1)[0]).save(path)
    tifffile.imwrite("twins/a.tif", pages(1)[0])
    tifffile.imwrite("twins/b.tif", pages(1)[0])
    Path("twins/b.tif").rename("twins/a.png")
    np.save("m.npy", np.eye(9))
    before = sorted(here.rglob("*"))
    monkeypatch.setattr(restoring, "restore", lambda *a, **k: pytest.fail("work was done"))
    run(f"{words} --quiet", status=1)
    err = capsys.readouterr().err
    assert re.search(sentence, err) and err.count("\n") == 1
    assert sorted(here.rglob("*")) == before


def test_the_bar_counts_pages(here, monkeypatch, capsys):
    tifffile.imwrite("a.tif", pages(3), **GRAY)
    monkeypatch.setattr(restoring, "on_terminal", lambda: True)
    run(f"a.tif {FAST}")
    assert "3/3" in capsys.readouterr().err


def test_simulated_pages_are_scored_together(here, capsys):
    tifffile.imwrite("a.tif", pages(3), **GRAY)
    run(f"a.tif {BLUR} --simulate --seed 3")
    said = capsys.readouterr().out
    mean, least = re.search(
        r"-> ([\d.]+) dB, SSIM [\d.]+ -> [\d.]+ on average, least ([\d.]+) dB of page \d\n", said
    ).groups()
    assert float(least) < float(mean)


def test_pages_have_noise_of_their_own(here, capsys):
    generator = np.random.default_rng(0)
    stack = pages(3, "float32", (64, 64)) / 2 + 0.2
    stack += np.array([0.02, 0.05, 0.1])[:, None, None] * generator.standard_normal(stack.shape)
    tifffile.imwrite("a.tif", stack.astype(np.float32), **GRAY)
    run(f"a.tif {FAST.replace('0.02', 'auto')}")
    low, high = map(
        float, re.search(r"at ([\d.]+) to ([\d.]+), of each", capsys.readouterr().out).groups()
    )
    assert 0.01 < low < 0.04 and 0.07 < high < 0.14


def test_a_page_can_leave_its_stack(here):
    for kind in ("imagej", "ome", "shaped"):
        write_stack(here / "a.tif", kind)
        run(f"a.tif {FAST} --page 4 --out b.tif --quiet --overwrite")
        with tifffile.TiffFile("b.tif") as tiff:
            assert tiff.series[0].shape == (24, 20) and tiff.pages.first.tags.valueof(282) == (4, 1)
            assert kind != "imagej" or tiff.imagej_metadata["unit"] == "um"
