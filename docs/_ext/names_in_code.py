"""Code in sentences, which a phone breaks after a dot, a slash or an underscore, and not elsewhere.

`proxlab.priors.lpn.icnn.ImageICNN` is broken before a name, not within it, and `--out` not after
its hyphens. docs/_static/site.css lets only a phone break there.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from whole_options import OPTION

CODE = re.compile(r"(<code\b[^>]*>)(.*?)</code>", re.DOTALL)
TAG = re.compile(r"(<[^>]*>)")
JOINT = re.compile(r"(?<=[A-Za-z0-9])[./_](?=[A-Za-z])")


def breakable(code: str) -> str:
    """HTML of a piece of code with `<wbr>` at its joints; options in spans; tags as they were."""
    parts = TAG.split(code)
    for i in range(0, len(parts), 2):
        parts[i] = OPTION.sub(r'<span class="option">\g<0></span>', parts[i])
    parts = TAG.split("".join(parts))
    for i in range(0, len(parts), 2):
        parts[i] = JOINT.sub(r"\g<0><wbr>", parts[i])
    return "".join(parts)


def mark_joints(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Every piece of code of a page made breakable at its joints."""
    if "body" in context:
        context["body"] = CODE.sub(
            lambda found: f"{found[1]}{breakable(found[2])}</code>", context["body"]
        )


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", mark_joints)
    return {"parallel_read_safe": True}
