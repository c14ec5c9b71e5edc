"""Docstrings as they are written here, plain text, made what Sphinx reads.

A paragraph stays a paragraph, whatever signs its formulas have; what is indented by four more is
an example; a list stays a list; sentences on what is raised and on sources begin a paragraph.
"""

import re

from sphinx.application import Sphinx

CODE = re.compile(r"(`+)([^`]+)\1")
SIGNS = re.compile(r"([\\*_|`<>])")
ITEM = re.compile(r"(?:- |\d+\. )")
APART = re.compile(r"(?:Raises|Sources?:|Uses|Warns|Returns) ?")


def escaped(line: str) -> str:
    """A line whose signs mean themselves, words in backticks set as code."""
    pieces, end = [], 0
    for found in CODE.finditer(line):
        before = SIGNS.sub(r"\\\1", line[end : found.start()])
        glue = "\\ " if before and not before[-1].isspace() and before[-1] not in "([" else ""
        after = line[found.end() : found.end() + 1]
        pieces += [before, glue, f"``{found[2].strip()}``", "\\ " if after.isalnum() else ""]
        end = found.end()
    return "".join(pieces) + SIGNS.sub(r"\\\1", line[end:])


def as_rest(lines: list[str]) -> list[str]:
    """Lines of reStructuredText for the lines of a docstring."""
    out: list[str] = []
    inside = ""  # "", "text", "list", "code" or "test"
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            inside = inside if inside in ("code", "list") else ""
            out.append("")
        elif inside != "code" and line.lstrip().startswith(">>>"):
            inside = "test"
            out.append(line)
        elif inside == "test":
            out.append(line)
        elif indent >= 4 and inside in ("", "code"):
            if inside != "code":
                out += [f".. code-block:: {_language(line)}", ""]
            inside = "code"
            out.append(line)
        elif ITEM.match(line.lstrip()):
            if inside == "text":
                out.append("")
            inside = "list"
            out.append(" " * indent + line.lstrip()[:2] + escaped(line.lstrip()[2:]))
        elif inside == "list" and indent:
            out.append(" " * indent + escaped(line.lstrip()))
        else:
            if (inside and APART.match(line)) or inside in ("list", "code"):
                out.append("")
            inside = "text"
            out.append(escaped(line.strip()))
    return out


def _language(line: str) -> str:
    """Python where a line looks like it; formulas and tables are text."""
    code = re.search(r"\w\(|^\s*(?:import|from|class|for|with|def|x,) ?|\w = \w+[.(]", line)
    return "python" if code else "text"


def setup(app: Sphinx) -> dict:
    def process(app, what, name, thing, options, lines) -> None:
        lines[:] = [*as_rest(lines), ""]

    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
