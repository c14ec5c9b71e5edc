"""Every link of the built site and of the documents beside it: `python docs/_ext/check_links.py`.

    python -m sphinx -W docs docs/_build && python docs/_ext/check_links.py [--online]

Links within the site and the repository must arrive, at their heading too: one that does not is an
error, and the command ends with 1. Links to deepinv, torch, numpy and Python are looked up in the
inventories that the site was built with (`inventories.py`), whose names a test finds in the
installed packages. Any other address is told as not looked at, unless --online asks for it.
"""

import argparse
import re
import sys
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

sys.path.insert(0, str(Path(__file__).parent))

from inventories import ROOTS, entries

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
ABROAD = re.compile(r"[a-z]+:|//")
"""Beginning of a link that leaves the site."""
SECONDS = 20.0
"""Time that a server has to answer."""


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element points to, and the name by which it is pointed to."""
        for name, value in attrs:
            if value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def anchors_of(markdown: str) -> set[str]:
    """Addresses of a document's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def links(site: Path, root: Path) -> Iterator[tuple[Path, str, dict[Path, set[str]]]]:
    """Each link with the page that has it, and the anchors of all pages of its kind."""
    made = (p for p in site.rglob("*.html") if "_static" not in p.relative_to(site).parts)
    pages = {path.resolve(): Page(path.read_text()) for path in made}
    anchors = {path: page.anchors for path, page in pages.items()}
    for path, page in pages.items():
        for link in page.links:
            yield path, link, anchors
    texts = {(root / n).resolve(): (root / n).read_text() for n in DOCUMENTS if (root / n).exists()}
    for path, text in texts.items():
        for link in LINK.findall(CODE.sub("", text)):
            address = (path.parent / urldefrag(link).url).resolve()
            known = address.suffix == ".md" and address.is_file()
            yield path, link, {address: anchors_of(address.read_text())} if known else {}


def fault(page: Path, link: str, anchors: dict[Path, set[str]]) -> str:
    """Reason why a link within the site or the repository does not arrive; empty if it does."""
    address, place = urldefrag(link)
    target = (page.parent / unquote(address.partition("?")[0])).resolve() if address else page
    if not target.exists():
        return "is not there"
    lost = place and target in anchors and unquote(place) not in anchors[target]
    return "has no such place" if lost else ""


def in_inventories(link: str) -> bool | None:
    """Whether a link into deepinv, torch, numpy or Python is one that we know; None for others."""
    for project, root in ROOTS.items():
        if link.startswith(root):
            known = {root, *(root + address for address in entries(project).values())}
            return link in known or link.rstrip("/") + "/" in known
    return None


def answers(link: str) -> str:
    """Reason why a server does not hand a page out; empty if it does."""
    request = urllib.request.Request(link, headers={"User-Agent": "proxlab's check of links"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return ""
    except OSError as error:
        return str(error)


def report(site: Path, root: Path, online: bool) -> tuple[list[str], list[str]]:
    """Faults, and sentences on what was looked at and what was not."""
    faults: dict[str, None] = {}
    within, known, others = 0, 0, {}
    for page, link, anchors in links(site, root):
        if link.startswith(("data:", "mailto:")):
            continue
        if not ABROAD.match(link):
            within += 1
            if why := fault(page, link, anchors):
                faults[f"{page.relative_to(root.resolve())}: {link} {why}"] = None
        elif (there := in_inventories(link)) is None:
            others[link] = None
        elif there:
            known += 1
        else:
            faults[f"{page.relative_to(root.resolve())}: {link} is in no inventory"] = None
    said = [
        f"{within} links within were followed, {known} looked up in inventories: "
        f"{len(faults)} lead nowhere"
    ]
    if online:
        faults |= {f"{link}: {why}": None for link in others if (why := answers(link))}
        said.append(f"{len(others)} other addresses were asked for")
    else:
        said.append(f"{len(others)} other addresses were not looked at (--online asks for them):")
        said += [f"  {link}" for link in sorted(others)]
    return list(faults), said


def main() -> int:
    """Print faults first; the status is 1 if there are any."""
    options = argparse.ArgumentParser(description="Check every link of the site and the README.")
    options.add_argument("--site", type=Path, default=ROOT / "docs" / "_build")
    options.add_argument("--online", action="store_true", help="ask for addresses elsewhere too")
    arguments = options.parse_args()
    if not (arguments.site / "index.html").exists():
        print(f"{arguments.site} holds no site; build it first: python -m sphinx docs docs/_build")
        return 2
    faults, said = report(arguments.site, ROOT, arguments.online)
    print("\n".join([*faults, *said]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
