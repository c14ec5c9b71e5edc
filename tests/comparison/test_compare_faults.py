"""Whatever ends a comparison, what was finished is kept, and resumed it ends as if nothing was."""

import errno
import json
import os
import re
import resource
import signal
import sys
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from PIL import Image
from skimage.data import camera
from strikes import main_in_a_process, struck

import proxlab
from proxlab.commands import compare as command
from proxlab.commands.main import main
from proxlab.comparison import comparing
from proxlab.comparison.case import PriorSettings
from proxlab.comparison.plan import Plan
from proxlab.comparison.rows import ROWS, key_of, read_rows
from proxlab.comparison.table import markdown

WORDS = "compare --priors none,tv --problems deblur --images photographs --steps 2 --device cpu"
FEW = Plan(default=PriorSettings(steps=2))
KEPT = "every finished case is kept in out, and --resume runs the others"


def photographs():
    Path("photographs").mkdir()
    for i in range(2):
        Image.fromarray(camera()[100 * i : 100 * i + 24, 200:224]).save(f"photographs/{i}.png")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with two photographs."""
    monkeypatch.chdir(tmp_path)
    photographs()


class Found(NamedTuple):
    figures: dict[str, float]
    table: str
    files: set[Path]


def found(out=Path("out")):
    """What a comparison left in the folder `out`."""
    rows = [row for row in read_rows(out / ROWS) if "psnr" in row]
    table = out / "table.md"
    return Found(
        {key_of(row): row["psnr"] for row in rows},
        table.read_text() if table.exists() else "",
        # a killed process leaves what it was writing under names that no program looks for
        {p.relative_to(out) for p in out.rglob("*") if not p.name.startswith(".tmp-")},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the comparison leaves when nothing happens to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        photographs()
        assert main([*WORDS.split(), "--quiet", "--out", "out"]) == 0
        return found()


def ends_as_if_nothing_was(whole, kept):
    assert kept.items() <= whole.figures.items()
    assert main([*WORDS.split(), "--quiet", "--out", "out", "--resume"]) == 0
    assert found() == whole
    assert len(read_rows(Path("out") / ROWS)) == len(whole.figures)  # none was run twice


def in_a_process(work):
    return main_in_a_process([*WORDS.split(), "--resume", "--out", "out"], work)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_loses_nothing(by, here, whole):
    draw, kept, ends = Random(int(by)), {}, []
    for _ in range(4):
        at = draw.randint(1, 150)
        status, said = in_a_process(lambda at=at: struck(at, by))
        now = found().figures
        assert kept.items() <= now.items() <= whole.figures.items()
        kept = now
        ends.append(status)
        if by == signal.SIGKILL or status == 0:
            assert status in (-by, 0)
            continue
        assert status == 1 and re.fullmatch(r"proxlab: (interrupted|terminated); [^\n]+\n", said)
        assert not list(Path("out").rglob(".tmp-*"))
    assert set(ends) != {0}
    ends_as_if_nothing_was(whole, kept)


def test_an_interrupt_says_how_to_go_on(here, monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "run_case", interrupted)
    assert main([*WORDS.split(), "--quiet", "--out", "out"]) == 1
    said = "proxlab: interrupted; nothing was left half-written; "
    assert capsys.readouterr().err == f"{said}{KEPT}\n"


def test_closed_output_costs_nothing(here, whole):
    def nobody_reads():
        read, write = os.pipe()
        os.close(read)
        os.dup2(write, 1)
        sys.stdout = os.fdopen(1, "w", closefd=False)

    status, said = in_a_process(nobody_reads)
    assert status == 1 and said.count("\n") == 1 and "output" in said
    assert found() == whole


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
DOORS = {
    "picture": (comparing, "write_image"),
    "curves": (comparing, "write_json"),
    "row": (comparing, "append"),
    "table": (command, "markdown"),
    "figure": (command, "draw_comparison"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_full_disk_is_a_sentence_wherever_it_is_met(door, here, whole, monkeypatch, capsys):
    module, name = DOORS[door]
    real, calls = getattr(module, name), []

    def full(*args, **words):
        calls.append(args)
        if len(calls) == 2 or module is command:
            raise FULL
        return real(*args, **words)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        assert main([*WORDS.split(), "--quiet", "--out", "out"]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(f"proxlab: .*No space left on device.*; {KEPT}\n", said)
    kept = found().figures
    assert len(kept) == {"picture": 0, "curves": 1, "row": 1}.get(door, 4)
    ends_as_if_nothing_was(whole, kept)


@pytest.mark.parametrize("most", [300, 4000])
def test_so_is_a_limit_of_the_size_of_files(most, here, whole):
    """Which takes a part of a write in silence, as a full disk does."""

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    status, said = in_a_process(limited)
    # the file of what is said is under the limit too
    assert status == 1 and ("cannot write" in said or f"out/{ROWS}: " in said)
    ends_as_if_nothing_was(whole, found().figures)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="/proc stands for a shut folder")
def test_a_shut_folder_is_found_out_before_the_work(here, monkeypatch, capsys):
    monkeypatch.setattr(comparing, "run_case", lambda *a: pytest.fail("work was done"))
    assert main([*WORDS.split(), "--out", "/proc/comparison"]) == 1
    assert re.search("cannot write /proc/comparison: .*; choose", capsys.readouterr().err)


class Explodes:
    """A prior whose restorations diverge."""

    def prox(self, v, sigma):
        return 1e3 * v


class Careless:
    def prox(self, v, sigma):
        return {}["what"]


def test_one_image_that_cannot_be_read_costs_no_other(here, whole, capsys):
    for name in ("cut.png", "text.tif"):
        Path("photographs", name).write_bytes(Path("photographs/0.png").read_bytes()[:200])
    assert main([*WORDS.split(), "--quiet", "--out", "out"]) == 1
    said = capsys.readouterr().err
    assert "proxlab: 4 cases failed, first none on deblur of " in said and said.count("\n") == 1
    assert re.search(r"(cut\.png|text\.tif) .*; --resume tries them again", said)
    assert found() == whole
    failed = [row for row in read_rows(Path("out") / ROWS) if "error" in row]
    assert len(failed) == 4 and all(row["image"] in row["error"] for row in failed)
    for name in ("cut.png", "text.tif"):
        Path("photographs", name).unlink()
    assert main([*WORDS.split(), "--quiet", "--resume", "--out", "out"]) == 0


def test_one_prior_that_diverges_or_is_careless_costs_no_other(here):
    priors = {"none": proxlab.load("none"), "explodes": Explodes(), "careless": Careless()}
    few = Plan(default=PriorSettings(steps=20))
    done = comparing.compare(priors, ["deblur"], "photographs", "out", few)
    assert [row["prior"] for row in done] == ["none", "none"]
    errors = {row["prior"]: row["error"] for row in read_rows(Path("out") / ROWS) if "error" in row}
    assert "not finite at step" in errors["explodes"]
    assert errors["careless"] == "KeyError: 'what'"


def test_an_image_too_small_for_ssim_leaves_its_cell_blank(here):
    Image.fromarray(camera()[100:109, 200:209]).save("photographs/tiny.png")
    done = comparing.compare(["none", "tv"], ["inpaint"], "photographs", "out", FEW)
    assert [row["ssim"] is None for row in done] == [False] * 4 + [True] * 2
    words = WORDS.replace("deblur", "inpaint")
    assert main([*words.split(), "--quiet", "--resume", "--out", "out"]) == 0
    said = Path("out/table.md").read_text()
    assert said.count(" /  |") == 2 and "SSIM is left blank where an image is too small" in said
    assert "nan" not in said.lower() and said == markdown(done)
    page = Path("out/report.html").read_text().split('id="data">')[1].split("</script>")[0]
    versions = {m["name"]: m["versions"][3]["said"] for m in json.loads(page)["measurements"]}
    assert "SSIM" in versions["0.png"] and "SSIM" not in versions["tiny.png"]
