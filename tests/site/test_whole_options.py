"""Options in the site's blocks of commands: each is one piece, and what is no option is left."""

import importlib
import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture
def options(monkeypatch):
    """The extension's module; it belongs to the site, to no package."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    yield importlib.import_module("whole_options")
    sys.modules.pop("whole_options", None)


@pytest.mark.parametrize(
    "commands, kept",
    [
        ("deblur --blur-sigma 1.6 -q", ["--blur-sigma", "-q"]),
        ('<span class="go-on">--out</span>', ["--out"]),
        ("proxdm-mnist 2-core 4 -1 a -- b", []),
        ("x -&gt; y", []),
    ],
)
def test_options_are_kept_whole_and_nothing_else_is(options, commands, kept):
    made = options.whole(commands)
    opened = '<span class="option">'
    assert [part.split("</span>")[0] for part in made.split(opened)[1:]] == kept
    bare = made
    for option in kept:
        bare = bare.replace(f"{opened}{option}</span>", option)
    assert bare == commands


@pytest.mark.parametrize("language, changed", [("none", True), ("python", False)])
def test_only_commands_are_changed(options, language, changed):
    block = f'<div class="highlight-{language} notranslate"><div><pre>a --b-c</pre></div></div>'
    context = {"body": f"<p>--x-y</p>{block}"}
    options.keep_options(None, "page", "page.html", context, None)
    assert context["body"].startswith("<p>--x-y</p>")
    assert ('<span class="option">--b-c</span>' in context["body"]) is changed
