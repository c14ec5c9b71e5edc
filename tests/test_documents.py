"""Names and files that the documents and docstrings speak of exist, under the names they give."""

import ast
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "proxlab/weights/LADDER.md", "docs"]
NAME = re.compile(r"`((?:proxlab|solvers)(?:\.\w+)+)")
FILE = re.compile(r"\b((?:examples|tests|docs|proxlab|solvers)/[\w./-]+\.(?:py|md|json|html))\b")
PLANNED = re.compile(r"(?:ridge|averaged|denoising_implicit|columns|two_layers)")
"""What the pages of docs/adding are about to make."""


def texts(root: Path) -> dict[str, str]:
    """Documents, and the code of both packages and the examples, by their path."""
    paths = [p for name in DOCUMENTS for p in sorted((root / name).rglob("*.md")) or [root / name]]
    paths += [p for d in ("proxlab", "solvers", "examples") for p in (root / d).rglob("*.py")]
    return {str(p.relative_to(root)): p.read_text() for p in paths if p.exists()}


def missing(text: str, root: Path) -> list[str]:
    """Dotted names in backticks that nothing bears, and files that are not there."""
    found = []
    for name in dict.fromkeys(NAME.findall(text)):
        if name.rpartition(".")[2] in ("py", "md", "safetensors", "tar"):
            continue
        try:
            resolve_name(name)
        except (ImportError, AttributeError):
            found.append(name)
    files = dict.fromkeys(FILE.findall(text))
    return found + [name for name in files if not (root / name).exists()]


def test_what_is_named_exists():
    every = texts(ROOT)
    assert len(every) > 150 and {"README.md", "docs/convergence.md"} <= set(every)
    found = {path: missing(text, ROOT) for path, text in every.items()}
    lost = {
        path: names
        for path, all_names in found.items()
        if (names := [n for n in all_names if not PLANNED.search(n)])
    }
    assert lost == {}


@pytest.mark.parametrize(
    "text, lost",
    [
        ("`proxlab.restore`, `solvers.admm(...)` and `proxlab.operators.ct`", []),
        ("`proxlab.mixtures.Mixture`", ["proxlab.mixtures.Mixture"]),
        ("see `solvers.newton`", ["solvers.newton"]),
        ("python examples/bench_prox.py", ["examples/bench_prox.py"]),
        ("[docs](docs/convergence.md), docs/scales.md", ["docs/scales.md"]),
    ],
)
def test_that_check_catches_planted_names(text, lost):
    assert missing(text, ROOT) == lost


NOUNS_LAST = re.compile(r"(Of|What|As|Likewise|Those|How|Where|In|For|By)\b")
"""Words that a docstring does not begin with: it starts with the noun that it is about."""


def turned_round(source: str) -> list[str]:
    """First lines of the docstrings, those of constants and fields too, that begin so."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(said))) if NOUNS_LAST.match(said):
                found.append(said.split("\n")[0])
    return found


def test_docstrings_start_with_the_noun():
    packages = {p: t for p, t in texts(ROOT).items() if p.startswith(("proxlab/", "solvers/"))}
    code = {path: text for path, text in packages.items() if path.endswith(".py")}
    assert {path: lines for path, text in code.items() if (lines := turned_round(text))} == {}


def test_that_check_catches_planted_docstrings():
    planted = 'X = 1\n"""Of ADMM, 0 to 2."""\ndef f():\n    """What is asked."""\n    """fine"""\n'
    assert turned_round(planted) == ["Of ADMM, 0 to 2.", "What is asked."]
    assert turned_round('"""The length of a step."""\nY = 2\n"""Offset."""') == []
