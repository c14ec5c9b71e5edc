"""The face of the package: every public name is there, listed and typed, and loads when used."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import proxlab
import proxlab.commands.main
import solvers


def for_checkers() -> set[str]:
    """The names that the block for type checkers binds."""
    tree = ast.parse(Path(inspect.getfile(proxlab)).read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    imports = (n for n in block.body if isinstance(n, ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


def test_every_public_name_is_listed_typed_and_there():
    assert set(proxlab.__all__) == for_checkers() == {*proxlab._HOMES, *proxlab._MODULES}
    assert {*proxlab.__all__, "__version__"} <= set(dir(proxlab))
    for name in proxlab.__all__:
        assert getattr(proxlab, name) is not None
    for name in solvers.__all__:
        assert getattr(solvers, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = proxlab.nothing


def test_the_interface_that_scripts_rely_on_is_kept():
    promised = {
        proxlab.restore: "y op prior solver noise sigma steps tol init progress weight checks",
        proxlab.operators.deblur: "kernel noise boundary normalize",
        proxlab.operators.inpaint: "mask noise",
        proxlab.operators.ct: "size angles noise detectors detector_spacing pixel_spacing fan",
        proxlab.load: "name",
        proxlab.posterior: "y op prior n steps seed",
        proxlab.sample: "model n steps kind seed progress",
        proxlab.compare: "priors problems images out",
        proxlab.LPN.prox_and_value: "v sigma",
        proxlab.LPN.value: "x sigma tol",
        proxlab.LPN.inverse: "x sigma tol",
    }
    for function, names in promised.items():
        assert set(names.split()) <= set(inspect.signature(function).parameters), function


def test_the_version_is_said_without_loading_torch():
    code = (
        "import sys, proxlab, proxlab.commands.main as m\n"
        "try:\n    m.main(['--version'])\n"
        "except SystemExit:\n    print('torch' in sys.modules, proxlab.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, then = done.stdout.splitlines()
    assert said == f"proxlab {proxlab.__version__}"
    assert then == f"False {proxlab.__version__}"


def test_the_version_is_the_same_everywhere():
    root = Path(inspect.getfile(proxlab)).parents[1]
    assert f"\nversion: {proxlab.__version__}\n" in (root / "CITATION.cff").read_text()
    assert f"\n## {proxlab.__version__}" in (root / "CHANGELOG.md").read_text()


def too_long(tree: ast.AST, most: int = 7) -> list[str]:
    """Functions of more parameters than that, `self` and `cls` apart."""
    return [
        f"{node.name} takes {count}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (count := len([a for a in names(node.args) if a not in ("self", "cls")])) > most
    ]


def names(arguments: ast.arguments) -> list[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return [a.arg for a in every]


DOORS = {"restore takes 12", "ct takes 10", "posterior takes 10"}
"""What the public interface promises to scripts, keyword by keyword; inside there are configs."""


def test_functions_have_at_most_seven_parameters():
    root = Path(inspect.getfile(proxlab)).parents[1]
    files = [p for d in ("proxlab", "solvers") for p in (root / d).rglob("*.py")]
    found = {said for p in files for said in too_long(ast.parse(p.read_text()))}
    assert found == DOORS


def test_that_count_catches_a_planted_function():
    planted = "def f(self, a, b, c, d, *, e, f, g): ...\ndef g(a, b, c, d, e, f, g, *, h=1): ..."
    assert too_long(ast.parse(planted)) == ["g takes 8"]
