"""The pages of docs/adding, followed step by step in a copy of the packages, and run.

A page says which file is new, and after which line of which file a block goes; the commands at its
end are run in the copy. How many files it touches is counted, and is what CONTRIBUTING says.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import astronaut, camera

from tests.test_imports import circles, violations

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "adding"
TOUCHED = {
    "prior": 2,
    "learned-prior": 3,
    "operator": 3,
    "solver": 3,
    "sampler": 3,
    "recipe": 1,
}
"""Files that following each page creates or edits, weights apart."""
STEP = re.compile(
    r"(?:New file `(?P<new>[^`]+)`|At the end of `(?P<end>[^`]+)`|(?:In `(?P<file>[^`]+)`, |and )"
    r"after `(?P<line>[^`]+)`)[^`]*?:\n+```python\n(?P<code>.*?)```",
    re.DOTALL,
)
COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)
RUN = """
import sys
from proxlab.commands.main import main
for line in sys.stdin.read().splitlines():
    import shlex
    code = main(shlex.split(line)[1:] + ([] if line == "proxlab models" else ["--device", "cpu"]))
    if code:
        sys.exit(f"{line}: {code}")
import proxlab
print(proxlab.__file__)
"""


def follow(page: str, root: Path) -> set[str]:
    """The files, relative to `root`, that the steps of a page create or edit there."""
    touched, current = set(), None
    for step in STEP.finditer(page):
        code = step["code"]
        if step["new"]:
            assert not (root / step["new"]).exists()
            (root / step["new"]).write_text(code)
            touched.add(step["new"])
            continue
        current = step["end"] or step["file"] or current
        text = (root / current).read_text()
        if step["end"]:
            text += code
        else:
            assert text.count(f"\n{step['line']}\n") == 1, f"{current} has no line {step['line']!r}"
            text = text.replace(f"\n{step['line']}\n", f"\n{step['line']}\n{code}")
        (root / current).write_text(text)
        touched.add(current)
    return touched


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Both packages, with all pages followed, in a folder that also has photographs."""
    root = tmp_path_factory.mktemp("copy")
    for package in ("proxlab", "solvers"):
        ignored = shutil.ignore_patterns("__pycache__", "weights")
        shutil.copytree(ROOT / package, root / package, ignore=ignored)
    (root / "proxlab" / "weights").symlink_to(ROOT / "proxlab" / "weights")
    (root / "photos").mkdir()
    for i in range(3):
        Image.fromarray(astronaut()[70 * i : 70 * i + 66, 200:270]).save(root / f"photos/{i}.png")
    Image.fromarray(camera()[100:140, 200:248]).save(root / "photo.png")
    found = {name: follow((PAGES / f"{name}.md").read_text(), root) for name in TOUCHED}
    return root, found


def test_every_page_is_followed_and_touches_as_few_files_as_promised(copy):
    _, found = copy
    assert {page.stem for page in PAGES.glob("*.md")} == set(TOUCHED)
    assert {name: len(files) for name, files in found.items()} == TOUCHED
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for name, count in TOUCHED.items():
        (row,) = re.findall(rf"\(docs/adding/{name}\.md\) \| (\d)", contributing)
        assert int(row) == count


def test_what_was_added_keeps_to_its_room(copy):
    root, _ = copy
    assert violations(root) == circles(root) == []


def test_what_was_added_runs_from_the_command_line(copy):
    root, _ = copy
    pages = [(PAGES / f"{name}.md").read_text() for name in TOUCHED]
    lines = [
        line for page in pages for block in COMMANDS.findall(page) for line in block.split("\n")
    ]
    commands = [line for line in lines if line]
    assert len(commands) >= 9 and all(shlex.split(line)[0] == "proxlab" for line in commands)
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert Path(said[-1]).is_relative_to(root)  # not the packages that are installed
    assert any(line.startswith("ridge ") for line in said)
    for name in ("ridge", "averaged", "ddim", "columns", "two", "tiny"):
        assert (root / f"{name}.png").exists()


def test_a_page_that_no_longer_fits_is_noticed(tmp_path):
    (tmp_path / "table.py").write_text("\nTABLE = {\n}\n")
    page = 'In `table.py`, after `TABLE = {`:\n\n```python\n    "a": 1,\n```\n'
    assert follow(page, tmp_path) == {"table.py"}
    assert (tmp_path / "table.py").read_text() == '\nTABLE = {\n    "a": 1,\n}\n'
    with pytest.raises(AssertionError, match="has no line 'ROWS = {'"):
        follow(page.replace("TABLE = {", "ROWS = {"), tmp_path)
