"""The file of rows: whole lines, or a sentence; nothing in it is guessed, nor waited for."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from proxlab.commands.main import main
from proxlab.comparison import rows
from proxlab.comparison.rows import ROWS, append
from proxlab.images import write_image

ROW = json.dumps(
    {"prior": "tv", "problem": 3, "parameters": {}, "image": "a", "noise": 1, "seed": 0}
    | {"solver": "admm", "settings": {}}
)
WORDS = "compare --priors none --problems deblur --images photographs --steps 2 --device cpu"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with a photograph of nothing."""
    monkeypatch.chdir(tmp_path)
    Path("photographs").mkdir()
    write_image("photographs/0.png", torch.full((1, 1, 16, 16), 0.5))


def test_a_row_that_is_cut_by_a_full_disk_is_taken_back(tmp_path, monkeypatch):
    path, real = tmp_path / ROWS, os.write
    append(path, {"a": 1})
    monkeypatch.setattr(rows.os, "write", lambda place, line: real(place, line[:4]))
    with pytest.raises(OSError, match="No space left on device.*results.jsonl"):
        append(path, {"b": 2})
    monkeypatch.undo()
    append(path, {"c": 3})
    assert [*map(json.loads, path.read_text().splitlines())] == [{"a": 1}, {"c": 3}]


@pytest.mark.parametrize("line", ["3", "[]", "{", "[" * 100_000, "\xff", "{}", '{"prior": 1}', ROW])
def test_a_line_that_is_no_row_is_refused_in_a_sentence(line, here, capsys):
    Path("out").mkdir()
    Path("out", ROWS).write_text(f"{line}\n", encoding="latin-1")
    assert main([*WORDS.split(), "--out", "out", "--resume"]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"proxlab: [^\n]*results\.jsonl[^\n]*; remove [^\n]*\n", said)
    assert Path("out", ROWS).read_text(encoding="latin-1") == f"{line}\n"


@pytest.mark.parametrize("place", ["out/results.jsonl", "settings.json"])
def test_a_fifo_is_not_waited_for(place, here, capsys):
    Path("out").mkdir()
    os.mkfifo(place)
    words = [*WORDS.split(), "--out", "out", "--resume", "--settings", "settings.json"]
    assert main(words[: -2 if place.startswith("out") else None]) == 1
    assert re.search("not an ordinary file|there is no file", capsys.readouterr().err)
