"""The command that checks the links of the built site, and the inventories that it goes by.

No site is built here: a small one is planted. `.ci/run` builds the real one and runs the command.
"""

import importlib
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture
def check_links(monkeypatch):
    """The command's module; it belongs to the site, to no package."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    yield importlib.import_module("check_links")
    for name in ("check_links", "inventories"):
        sys.modules.pop(name, None)


def planted(folder: Path, link: str) -> Path:
    """A site of two pages in a repository with a README; one link more is given."""
    site = folder / "docs" / "_build"
    (site / "_static").mkdir(parents=True)
    (site / "_static" / "theme.html").write_text('<a href="{{ nothing }}">a template</a>')
    (site / "b.html").write_text('<h1 id="who">B</h1><a name="old"></a>')
    (site / "index.html").write_text(f'<p id="top"><a href="b.html#who">b</a> {link}</p>')
    (folder / "docs" / "b.md").write_text("# B\n\n## What is `B`?\n")
    (folder / "README.md").write_text("[b](docs/b.md#what-is-b) `[x](y.md)`\n")
    return site


DEEPINV = "https://deepinv.github.io/deepinv/"


@pytest.mark.parametrize(
    "link, fault",
    [
        ('<a href="#top">top</a> <a href="b.html#old">b</a> <img src="data:image/png;x">', ""),
        (f'<a href="{DEEPINV}">d</a> <a href="mailto:a@b.org">a</a> <a href="./">x</a>', ""),
        ('<a href="c.html">c</a>', "docs/_build/index.html: c.html is not there"),
        ('<a href="b.html#when">b</a>', "b.html#when has no such place"),
        ('<img src="a.png?v=1">', "a.png?v=1 is not there"),
        (f'<a href="{DEEPINV}api/stubs/deepinv.physics.Nothing.html">x</a>', "is in no inventory"),
    ],
)
def test_a_link_that_leads_nowhere_is_told(check_links, tmp_path, link, fault):
    faults, said = check_links.report(planted(tmp_path, link), tmp_path, online=False)
    assert len(faults) == bool(fault) and all(fault in one for one in faults)
    assert "0 other addresses" in said[1]


def test_links_of_the_readme_are_followed(check_links, tmp_path):
    site = planted(tmp_path, "")
    with (tmp_path / "README.md").open("a") as file:
        file.write("[c](docs/c.md) [b](docs/b.md#who)\n")
    faults, _ = check_links.report(site, tmp_path, online=False)
    assert faults == [
        "README.md: docs/c.md is not there",
        "README.md: docs/b.md#who has no such place",
    ]


def test_addresses_elsewhere_are_told_and_asked_for_with_online(check_links, tmp_path, monkeypatch):
    site = planted(tmp_path, '<a href="https://a.org/x">x</a><a href="https://b.org/">b</a>')
    faults, said = check_links.report(site, tmp_path, online=False)
    assert faults == [] and said[-2:] == ["  https://a.org/x", "  https://b.org/"]
    monkeypatch.setattr(check_links, "answers", lambda link: "404" if "a.org" in link else "")
    faults, _ = check_links.report(site, tmp_path, online=True)
    assert faults == ["https://a.org/x: 404"]


def lost(inventories) -> list[str]:
    """Names in the inventories that the installed packages do not have."""
    found = []
    for project in inventories.ROOTS:
        for name in inventories.entries(project):
            try:
                resolve_name(f"builtins:{name}" if "." not in name else name)
            except (ImportError, AttributeError):
                found.append(name)
    return found


def test_the_inventories_name_what_is_installed(check_links, monkeypatch):
    inventories = importlib.import_module("inventories")
    assert lost(inventories) == []
    for name, home in inventories.HOMES.items():
        assert resolve_name(name) is resolve_name(home)
    monkeypatch.setitem(inventories.DEEPINV, "optim", "Prior Planted")
    assert lost(inventories) == ["deepinv.optim.Planted"]
