"""How threads of a command wait: asleep, unless the user or a torch that is there has decided."""

import os
import subprocess
import sys

import pytest

from examples.kernels import bench_threads
from proxlab.commands.main import POLICIES, SPINS

LOOK = """
import os, sys
import proxlab.commands.main as command
{first}
command._run = lambda args: print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
sys.exit(command.main(["models"]))
"""


def said(first="", **more):
    """What a command finds in its environment when it begins, and whether torch was loaded."""
    kept = {k: v for k, v in os.environ.items() if k not in POLICIES}
    words = [sys.executable, "-c", LOOK.format(first=first)]
    found = subprocess.run(words, env=kept | more, check=True, capture_output=True, text=True)
    return found.stdout.split()


def test_a_command_decides_before_torch_loads():
    assert said() == [SPINS, "False"]


@pytest.mark.parametrize(
    "first, more, expected",
    [
        ("", {"GOMP_SPINCOUNT": "7"}, ["7", "False"]),
        ("", {"OMP_WAIT_POLICY": "ACTIVE"}, ["None", "False"]),
        ("import torch", {}, ["None", "True"]),
    ],
)
def test_who_has_decided_before_is_heard(first, more, expected):
    assert said(first, **more) == expected


def test_the_bench_prints_ratios_to_one_thread(capsys):
    rows = bench_threads.main(["--size", "16", "--busy", "0", "--runs", "1", "--count", "1"])
    assert [row[3] for row in rows if row[1] == "1 thread"] == [1.0]
    assert len(rows) == 4 and all(row[2] > 0 for row in rows)
    with pytest.raises(RuntimeError, match="with lpn-none 16 1 1 failed"):
        bench_threads.side_by_side(1, ["lpn-none", "16", "1", "1"])
    assert "asleep" in capsys.readouterr().out
