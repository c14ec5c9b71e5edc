"""Names and files that the documents and docstrings speak of exist, under the names they give."""

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
