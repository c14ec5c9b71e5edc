"""Imports run down only: examples and tests -> proxlab -> solvers -> torch. Slow ones come late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "solvers": {"proxlab", "deepinv", "examples", "tests"},
    "proxlab": {"examples", "tests"},
}


def imported(source: str) -> set[str]:
    """Top names of all modules that a file imports by name, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {name.name.split(".")[0] for name in names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.split(".")[0])
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                found.add(module.split(".")[0])
    return found


def violations(root: Path, package: str) -> list[str]:
    return [
        f"{path.relative_to(root)} imports {name}"
        for path in sorted((root / package).rglob("*.py"))
        for name in sorted(imported(path.read_text()) & FORBIDDEN[package])
    ]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_nothing_imports_upwards(package):
    assert (ROOT / package).is_dir()
    assert violations(ROOT, package) == []


@pytest.mark.parametrize(
    "line",
    [
        "import deepinv",
        "import torch, proxlab.priors.lpn.network",
        "from proxlab.priors.lpn.network import LPN",
        "def f():\n    from tests.toys import L1",
        "import importlib\nimportlib.import_module('examples.demo')",
    ],
)
def test_that_check_catches_a_planted_import(tmp_path, line):
    (tmp_path / "solvers").mkdir()
    (tmp_path / "solvers" / "good.py").write_text("import torch\nfrom solvers import pgd\n")
    assert violations(tmp_path, "solvers") == []
    (tmp_path / "solvers" / "bad.py").write_text(line + "\n")
    assert len(violations(tmp_path, "solvers")) == 1


def test_importing_loads_no_image_library():
    code = (
        "import sys, proxlab.images;"
        "bad = {'skimage', 'PIL', 'tifffile', 'pydicom', 'torchvision', 'deepinv'};"
        "print(sorted(bad & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
