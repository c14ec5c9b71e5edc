"""Code in sentences, which a phone breaks after a dot, a slash or an underscore, and not elsewhere.

`proxlab.priors.lpn.icnn.ImageICNN` is broken before a name, not within it, and `--out` not after
its hyphens; a path of a block of commands after its slashes. docs/_static/site.css lets only a
phone break there.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from whole_options import COMMANDS, OPTION

CODE = re.compile(r"(<code\b[^>]*>)(.*?)</code>", re.DOTALL)
TAG = re.compile(r"(<[^>]*>)")
JOINT = re.compile(r"(?<=[A-Za-z0-9])[./_](?=[A-Za-z])")
SLASH = re.compile(r"(?<=[A-Za-z0-9])/(?=[A-Za-z])")


def breakable(code: str) -> str:
    """HTML of a piece of code with `<wbr>` at its joints; options in spans; tags as they were."""
    code = in_text(OPTION, r'<span class="option">\g<0></span>', code)
    return in_text(JOINT, r"\g<0><wbr>", code)


def in_text(pattern: re.Pattern, by: str, html: str) -> str:
    """HTML in whose text, not in whose tags, a pattern was replaced."""
    parts = TAG.split(html)
    parts[::2] = [pattern.sub(by, text) for text in parts[::2]]
    return "".join(parts)


def mark_joints(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Every piece of code of a page made breakable at its joints, every command at its slashes."""
    if "body" in context:
        body = CODE.sub(lambda found: f"{found[1]}{breakable(found[2])}</code>", context["body"])
        context["body"] = COMMANDS.sub(
            lambda found: f"{found[1]}{in_text(SLASH, '/<wbr>', found[2])}</pre>", body
        )


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", mark_joints)
    return {"parallel_read_safe": True}
