"""An interrupt, wherever it comes, ends the command in a sentence and leaves no half of a file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import camera
from test_bad_input import BLUR, contents, refuse

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(camera()[96:128, 200:236]).save("photo.png")
    Path("old.png").write_text("old")
    return tmp_path


def test_an_interrupt_while_writing_leaves_nothing(here, monkeypatch, capsys):
    def stopped(path, kind, array, kept):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("proxlab.images.image_writing.encode", stopped)
    assert "interrupted" in refuse(f"restore photo.png {BLUR}", capsys)
    assert "interrupted" in refuse(f"restore photo.png {BLUR} --out old.png --overwrite", capsys)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_in_the_middle_of_the_work_ends_it_in_a_sentence(here):
    before = contents(here)
    code = (
        "import runpy, solvers; run = solvers.run;"
        "solvers.run = lambda *a, **k: run(*a, watch=lambda *_: print(end='.', flush=True), **k);"
        "runpy.run_module('proxlab', run_name='__main__')"
    )
    words = f"restore photo.png {BLUR} --steps 100000000 --tol 1e-300".split()
    work = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in its background makes them deaf to this signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert work.stdout.read(40) == "." * 40
        work.send_signal(signal.SIGINT)
        _, said = work.communicate(timeout=60)
    finally:
        work.kill()
    assert work.returncode == 1
    assert said == "proxlab: interrupted; nothing was left half-written\n"
    assert contents(here) == before
