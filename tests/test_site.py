"""The pages of the site: each is reached from the first by tables of contents, every link arrives.

Nothing is built here; `.ci/run` does that, and fails on a warning.
"""

import importlib.util
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
TOCTREE = re.compile(r"```\{toctree\}\n(.*?)```", re.DOTALL)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
MADE = ("gallery", "_build")
"""Folders of docs that the build fills: what lies there is in no checkout."""


def pages(docs: Path) -> dict[str, str]:
    """Text of each page, by its path below `docs` without the suffix."""
    found = {str(p.relative_to(docs).with_suffix("")): p.read_text() for p in docs.rglob("*.md")}
    return {name: text for name, text in found.items() if name.split("/")[0] not in MADE}


def listed(name: str, text: str) -> list[str]:
    """Pages in the tables of contents of a page."""
    lines = [line.strip() for block in TOCTREE.findall(text) for line in block.split("\n")]
    lines = [re.sub(r".*<(.*)>$", r"\1", line) for line in lines]  # a title may stand before it
    folder = name.rpartition("/")[0]
    return [f"{folder}/{line}".lstrip("/") for line in lines if line and not line.startswith(":")]


def anchors(text: str) -> set[str]:
    """Addresses of a page's headings, as MyST makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def faults(root: Path) -> list[str]:
    """Pages that no table of contents has or that are not there, and links that lead nowhere."""
    docs = root / "docs"
    every = pages(docs)
    reached, todo = {"index"}, ["index"]
    found = []
    while todo:
        name = todo.pop()
        for below in listed(name, every[name]):
            if below.split("/")[0] in MADE or below in reached:
                continue
            if below not in every:
                found.append(f"{name} lists {below}, which is no page")
                continue
            reached.add(below)
            todo.append(below)
    found += [f"no table of contents has {name}" for name in sorted(set(every) - reached)]
    outer = [root / name for name in ("README.md", "CONTRIBUTING.md") if (root / name).exists()]
    texts = {docs / f"{name}.md": text for name, text in every.items()}
    texts |= {path: path.read_text() for path in outer}
    for path, text in texts.items():
        for link in LINK.findall(CODE.sub("", text)):
            address, _, place = link.partition("#")
            if re.match(r"[a-z]+:", address):
                continue
            target = (path.parent / address).resolve() if address else path
            where = path.relative_to(root)
            if any(target.is_relative_to(docs.resolve() / folder) for folder in MADE):
                continue
            if not target.exists():
                found.append(f"{where} links to {link}, which is not there")
            elif place and target.suffix == ".md" and place not in anchors(target.read_text()):
                found.append(f"{where} links to {link}, which has no such heading")
    return found


def test_every_page_is_reached_and_every_link_arrives():
    every = pages(ROOT / "docs")
    assert {"index", "guides/restore", "measured/models", "api/solvers"} <= set(every)
    assert sum(len(LINK.findall(text)) for text in every.values()) > 80
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    "index, fault",
    [
        (
            "```{toctree}\n:hidden:\n\nB <b/page>\ngallery/index\n```\n[x](b/page.md#what-is-b)",
            None,
        ),
        ("# A\n\n[x](b/page.md)", "no table of contents has b/page"),
        ("```{toctree}\nb/page\nc\n```", "index lists c"),
        ("```{toctree}\nb/page\n```\n[x](c.md)", "docs/index.md links to c.md"),
        ("```{toctree}\nb/page\n```\n[x](b/page.md#who)", "docs/index.md links to b/page.md#who"),
        ("# A\n```{toctree}\nb/page\n```\n[x](#b)", "docs/index.md links to #b"),
        ("# A\n```{toctree}\nb/page\n```\n`[x](y.md)` [s](https://a.org/y.md) [x](#a)", None),
    ],
)
def test_that_check_catches_planted_faults(tmp_path, index, fault):
    (tmp_path / "docs" / "b").mkdir(parents=True)
    (tmp_path / "docs" / "index.md").write_text(index + "\n")
    (tmp_path / "docs" / "b" / "page.md").write_text(
        "# B\n\n## What is `B`?\n\n[back](../index.md)\n"
    )
    found = faults(tmp_path)
    assert found == [] if fault is None else len(found) == 1 and found[0].startswith(fault)


AUTOMODULE = re.compile(r"^\.\. automodule:: ([\w.]+)\n +:members:", re.MULTILINE)


def aliases(page: str) -> list[str]:
    """Modules whose members Sphinx would leave out, as they are known there by another name."""
    return [name for name in AUTOMODULE.findall(page) if resolve_name(name).__name__ != name]


def test_the_api_shows_the_members_of_its_modules():
    shown = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    assert len(AUTOMODULE.findall(shown)) > 3 and aliases(shown) == []
    assert all(f"proxlab.metrics.{name}" in shown for name in ("psnr", "ssim", "denoising_psnr"))


def test_that_check_catches_a_planted_alias():
    page = ".. automodule:: proxlab.metrics\n   :members:\n.. automodule:: solvers.evidence\n"
    assert aliases(page) == ["proxlab.metrics"]


def docstrings():
    """The module that makes docstrings what Sphinx reads; it belongs to the site, to no package."""
    path = ROOT / "docs" / "_ext" / "docstrings.py"
    spec = importlib.util.spec_from_file_location("site_docstrings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "plain, rest",
    [
        ("|x - v|^2 of R_ and *", r"\|x - v\|^2 of R\_ and \*"),
        ("the `prox`s of `a_b`", r"the ``prox``\ s of ``a_b``"),
        (
            "Text.\n\n    y = op(x)\n\nMore.",
            "Text.\n\n.. code-block:: python\n\n    y = op(x)\n\nMore.",
        ),
        ("Text.\nRaises ValueError.", "Text.\n\nRaises ValueError."),
        ("- one\n  two\n- three", "- one\n  two\n- three"),
        (
            "y: an image\n[B]; op: what\nmeasures. Good.\nAn image is kept.",
            "- \1y\1: an image [B]\n- \1op\1: what measures. Good\n\nAn image is kept.",
        ),
        ("y: an image; op:\nwhat measures.", "- \1y\1: an image\n- \1op\1: what measures"),
        ("op: what measures.", "op: what measures."),
    ],
)
def test_docstrings_mean_what_they_say_on_the_site(plain, rest):
    made = "\n".join(docstrings().as_rest(plain.split("\n"), ["y", "op"]))
    assert re.sub(r"\n{3,}", "\n\n", made).strip() == rest
