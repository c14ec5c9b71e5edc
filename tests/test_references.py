"""Every citation key in the two packages is in docs/references.md, once, and none is idle there."""

import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("proxlab", "solvers")
BRACKETS = re.compile(r"\[([^\[\]]*)\](?!\()")
"""What stands in brackets and is no link of Markdown."""
KEY = re.compile(r"\b[A-Z][A-Za-z]+\d\d[a-z]?\b")


def keys(text: str) -> Counter[str]:
    """Keys such as Fang24, alone or with a place ([Fang24, Sec. 3]) or several in one bracket."""
    return Counter(key for inside in BRACKETS.findall(text) for key in KEY.findall(inside))


def cited(root: Path) -> set[str]:
    """In strings and comments, not in code, where brackets are indices."""
    found = set()
    for path in [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]:
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type in (tokenize.STRING, tokenize.COMMENT):
                found |= set(keys(token.string))
    return found


def faults(root: Path) -> list[str]:
    place = root / "docs" / "references.md"
    used, known = cited(root), keys(place.read_text())
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return (
        [f"{key} is cited and not listed" for key in sorted(used - set(known))]
        + [f"{key} is listed and never cited" for key in sorted(set(known) - used)]
        + [f"{key} is listed {n} times" for key, n in sorted(known.items()) if n > 1]
        + [
            f"{page.name} cites {key}, which is not listed"
            for page in pages
            if page.exists()
            for key in sorted(set(keys(page.read_text())) - set(known))
        ]
    )


def test_the_keys_cited_are_the_keys_listed():
    assert {"Fang24", "Beck17"} <= cited(ROOT)
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    "code, listed, page, fault",
    [
        ('"""f. [Good11, Sec. 2] [Bad22]"""', "[Good11] A.", "", "Bad22 is cited and not listed"),
        ("x = 1  # as in [Good11; Bad22a]", "[Good11] A.", "", "Bad22a is cited and not listed"),
        ('"""[Good11]"""', "[Good11] A. [Idle33] B.", "", "Idle33 is listed and never cited"),
        ('"""[Good11]"""', "[Good11] A. [Good11] B.", "", "Good11 is listed 2 times"),
        ('"""[Good11]"""', "[Good11] A.", "[Good11], [Bad22]", "a.md cites Bad22, which is not"),
        ('"""[Good11, Thm. 1]"""\nx[Index12], [B, C]', "[Good11] A.", "[Good11]", None),
    ],
)
def test_that_check_catches_planted_keys(tmp_path, code, listed, page, fault):
    for folder in (*PACKAGES, "docs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "solvers" / "a.py").write_text(code + "\n")
    (tmp_path / "docs" / "references.md").write_text(f"# References\n\n{listed}\n")
    (tmp_path / "docs" / "a.md").write_text(page)
    found = faults(tmp_path)
    assert found == [] if fault is None else len(found) == 1 and found[0].startswith(fault)
