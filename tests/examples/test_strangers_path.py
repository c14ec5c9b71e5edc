"""The stranger's path says what the README says: commands and code, line by line."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "strangers_path.sh"
BLOCK = re.compile(r"```(?:python)?\n(.*?)```", re.DOTALL)
OWN = re.compile(r"<<'OWN'\n(.*?)^OWN$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:python3 -m venv|proxlab ).*$", re.MULTILINE)


def code(readme: str) -> set[str]:
    """Lines of the blocks of commands and code."""
    return {line for block in BLOCK.findall(readme) for line in block.splitlines() if line}


def drifted(script: str, readme: str) -> list[str]:
    """Commands of the script, and lines of the stranger's own file, that the README lacks."""
    own = [line for block in OWN.findall(script) for line in block.splitlines() if line]
    return [line for line in COMMAND.findall(script) + own if line not in code(readme)]


def test_every_command_of_the_path_is_one_of_the_readme():
    script, readme = SCRIPT.read_text(), (ROOT / "README.md").read_text()
    assert len(COMMAND.findall(script)) == 2 and len(OWN.findall(script)[0].splitlines()) > 10
    assert drifted(script, readme) == []
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0


@pytest.mark.parametrize(
    "said, instead",
    [
        ("--noise auto", "--noise 0.01"),
        ("pip install -q .", "pip install -q -e ."),
        ("Mean(), steps=100", "Mean(), steps=10"),
    ],
)
def test_that_check_catches_a_drift(said, instead):
    script, readme = SCRIPT.read_text(), (ROOT / "README.md").read_text()
    assert len(drifted(script.replace(said, instead), readme)) == 1
