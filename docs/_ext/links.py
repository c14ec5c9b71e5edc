"""Links that nobody has to write: of citation keys to the references, of names to the API."""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

BRACKET = re.compile(r"\[([^\[\]]*)\]")
KEY = re.compile(r"\b[A-Z][A-Za-z]+\d\d[a-z]?\b")
NAME = re.compile(r"((?:proxlab|solvers|deepinv|torch|numpy)(?:\.\w+)+)(?:\(.*\))?$")
LIST = "references"


def link_names(app: Sphinx, doctree: nodes.document) -> None:
    """Dotted names that stand as code become references, where something bears the name."""
    for literal in list(doctree.findall(nodes.literal)):
        found = NAME.match(literal.astext())
        kept = (nodes.reference, nodes.title, addnodes.pending_xref)
        if not found or any(isinstance(p, kept) for p in _above(literal)):
            continue
        reference = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=found[1], refdoc=app.env.docname
        )
        literal.replace_self(reference)
        reference += literal


def name_references(app: Sphinx, doctree: nodes.document) -> None:
    """On the page of the references each gets its key, in small letters, as an anchor."""
    if app.env.docname != LIST:
        return
    for item in doctree.findall(nodes.list_item):
        found = re.match(r"\[(\w+)\]", item.astext())
        if found:
            item["ids"].append(found[1].lower())
            item["classes"].append("reference-entry")


def link_citations(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """[Fang24, Sec. 3] becomes a link to the reference of that key."""
    if docname == LIST:
        return
    address = app.builder.get_relative_uri(docname, LIST)
    untouched = (nodes.literal, nodes.literal_block, nodes.reference, nodes.title)
    for text in list(doctree.findall(nodes.Text)):
        if any(isinstance(parent, untouched) for parent in _above(text)):
            continue
        spots = [
            (bracket.start(1) + key.start(), key[0])
            for bracket in BRACKET.finditer(text)
            for key in KEY.finditer(bracket[1])
        ]
        if not spots:
            continue
        pieces, end = [], 0
        for start, key in spots:
            pieces.append(nodes.Text(text[end:start]))
            link = nodes.reference("", key, refuri=f"{address}#{key.lower()}", internal=True)
            pieces.append(link)
            end = start + len(key)
        text.parent.replace(text, [*pieces, nodes.Text(text[end:])])


def _above(node: nodes.Node):
    while node.parent is not None:
        node = node.parent
        yield node


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", link_names)
    app.connect("doctree-read", name_references)
    app.connect("doctree-resolved", link_citations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
