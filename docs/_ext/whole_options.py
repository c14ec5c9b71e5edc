"""Options in blocks of commands, which a phone does not break after their hyphens."""

import re

from docutils import nodes
from sphinx.application import Sphinx

COMMANDS = re.compile(
    r'(<div class="highlight-(?:none|text|sh|bash|console)\b.*?<pre>)(.*?)</pre>', re.DOTALL
)
OPTION = re.compile(r"(?<![\w&;-])--?[A-Za-z][\w-]*")


def keep_options(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """A span of the class "option" around each `--option` of a page's commands."""
    if "body" in context:
        context["body"] = COMMANDS.sub(
            lambda found: f"{found[1]}{whole(found[2])}</pre>", context["body"]
        )


def whole(commands: str) -> str:
    """HTML of commands, its options in spans; nothing within a tag is touched."""
    parts = re.split(r"(<[^>]*>)", commands)
    marked = (OPTION.sub(r'<span class="option">\g<0></span>', text) for text in parts[::2])
    tags = [*parts[1::2], ""]
    return "".join(text + tag for text, tag in zip(marked, tags, strict=True))


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", keep_options)
    return {"parallel_read_safe": True}
