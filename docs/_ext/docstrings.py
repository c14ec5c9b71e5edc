"""Docstrings as they are written here, plain text, made what Sphinx reads.

A paragraph stays a paragraph, whatever signs its formulas have; what is indented by four more is
an example; a list stays a list; sentences on what is raised and on sources begin a paragraph; and
"y: a measurement; op: an operator" becomes a list of the parameters, if that is what they are.
"""

import inspect
import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # tests read this file where there is no Sphinx
    from sphinx.application import Sphinx

CODE = re.compile(r"(`+)([^`]+)\1")
SIGNS = re.compile(r"([\\*_|`<>])")
ITEM = re.compile(r"(?:- |\d+\. )")
STRONG = "\x01"
"""Sign for ** that is not escaped."""
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


def listed(lines: list[str], names: list[str]) -> list[str]:
    """Lines of a docstring, "y: ...; op: ..." made a list where two parameters or more are told."""
    name = re.compile(rf"(?:^|(?<=[;.]\s))({'|'.join(map(re.escape, names))}):\s")
    out, paragraphs = [], "\n".join(lines).split("\n\n")
    for paragraph in paragraphs:
        cuts = list(name.finditer(paragraph)) if names and paragraph[:1] != " " else []
        if len(cuts) < 2:
            out += [*paragraph.split("\n"), ""]
            continue
        ends = [*(cut.start() for cut in cuts[1:]), len(paragraph)]
        out += [*paragraph[: cuts[0].start()].strip().split("\n"), ""]
        rest = ""
        for cut, end in zip(cuts, ends, strict=True):
            said = paragraph[cut.end() : end].strip()
            if end == len(paragraph):  # what follows the last parameter begins a line
                said, _, rest = re.sub(r"\.\n(?=[A-Z])", ".\0", said, count=1).partition("\0")
            said = " ".join(said.removesuffix(";").split())
            out.append(f"- {STRONG}{cut[1]}{STRONG}: {said.removesuffix('.')}")
        out += ["", *rest.split("\n"), ""]
    return out


def as_rest(lines: list[str], names: list[str]) -> list[str]:
    """Lines of reStructuredText for the lines of a docstring; `names` are those of parameters."""
    lines = listed(lines, names)
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


def _parameters(thing: object) -> list[str]:
    try:
        return list(inspect.signature(thing).parameters) if callable(thing) else []
    except (TypeError, ValueError):
        return []


def setup(app: "Sphinx") -> dict:
    def process(app, what, name, thing, options, lines) -> None:
        if lines and lines[0].startswith("Alias for field number"):
            lines[:] = []  # what Python says of a field of a named tuple that nobody described
        text = "\n".join(as_rest(lines, _parameters(thing)))
        lines[:] = [*text.replace(STRONG, "**").split("\n"), ""]

    def signature(app, what, name, thing, options, arguments, returns) -> tuple[str, str] | None:
        # nobody makes an object of a protocol: its (*args, **kwargs) say nothing
        return ("", "") if what == "class" and Protocol in thing.__bases__ else None

    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
