"""Names that anybody may choose, in places with rules of their own: paths, Markdown, LaTeX, JSON.

Priors, problems and images are called what their makers liked. A name never becomes a path as it
is, and never ends a cell, an element or a command of the text that it stands in.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from proxlab.comparison.case import Row

PLAIN, TRUTH, MEASURED = "plain", "truth", "measured"
"""Names of pictures beside the restorations: the first estimate, the image, the measurement."""
LONGEST = 80
"""Number of characters of a name that its file keeps; file systems allow 255 bytes."""
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
"""Names that Windows keeps for itself."""
TAIL = re.compile(r"-[0-9a-f]{12}$")
"""End of a name with digits of a sha256, which a name of somebody's choice may not look like."""
LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    **{sign: "\\" + sign for sign in "_%&#${}"},
}
"""Commands that stand for the characters that mean something to LaTeX."""


def file_name(text: str) -> str:
    """Name of a file or folder for any text: small letters, digits, `.`, `_` and `-`.

    Different texts have different names, on disks that take a and A for one too: whatever is not
    kept as it was has digits of a sha256 behind it.

        file_name("lpn-gray")           # lpn-gray
        file_name("deepinv:DRUNet")     # deepinv-drunet-7476cf34ab3c
    """
    kept = re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:LONGEST].lstrip(".-").rstrip(".")
    if kept == text and kept and not DEVICES.fullmatch(kept) and not TAIL.search(kept):
        return kept
    # JSON, since text may hold what UTF-8 has not: half a character of a file's name
    digest = hashlib.sha256(json.dumps(text).encode()).hexdigest()[:12]
    return f"{kept or 'name'}-{digest}"


def pictures(row: Row) -> Path:
    """Folder, below that of the rows, of a measurement's restorations (PNG) and curves (JSON)."""
    # a hyphen in the name could be that before a number: a name that begins with one is not kept
    problem = row["problem"]
    parts = [
        file_name("-" + problem if "-" in problem else problem),
        *map(_short, row["parameters"].values()),
    ]
    where = "-".join([*parts, f"noise{_short(row['noise'])}", f"seed{_short(row['seed'])}"])
    return Path("images") / where / file_name(row["image"])


def label(row: Row) -> str:
    """Name of a restoration's files in the folder `pictures`; the solver's has no hyphen."""
    return f"{file_name(row['prior'])}-{row['solver']}"


def visible(text: str) -> str:
    """The text, with what cannot be printed as Python writes it: `\\n` for a new line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_markdown(text: str, code: bool = False) -> str:
    """The text for a cell or a line of Markdown; as code, in a fixed width.

    Signs that mean something there are written as numbers, which no parser takes for a sign: in a
    code span there is no way to write both a backslash and a bar.
    """
    said = visible(text)
    if code and re.fullmatch(r"[\w.:+/ -]*\w[\w.:+/-]*", said) and said[:1] != " ":
        return f"`{said}`"
    said = re.sub(r"[^\w\s.,:;()+/=%±-]|_", lambda sign: f"&#{ord(sign[0])};", said)
    return f"<code>{said}</code>" if code else said


def in_latex(text: str) -> str:
    """The text for LaTeX, T1 encoding or any engine of Unicode."""
    return "".join(LATEX.get(c, c) for c in visible(text))


def in_script(data: object) -> str:
    """JSON of `data` for a script element of HTML, in ASCII; raises ValueError for NaN.

    Without `<` nothing in it is a tag, a comment, or the end of the element.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def number(x: Any) -> str:
    """A number in six digits, or in as many as it has; anything else as `str` writes it."""
    if isinstance(x, int | float) and not isinstance(x, bool) and float(f"{x:g}") == x:
        return f"{x:g}"
    return str(x)


def _short(x: Any) -> str:
    """A number for a path, where 1 and 1.0, which are drawn differently, are not one."""
    whole = isinstance(x, float) and x.is_integer()
    return file_name(str(x) if whole else number(x))
