"""Code in sentences: a phone may break it at its joints, and nowhere else is it changed."""

import importlib
import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture
def names(monkeypatch):
    """The extension's module; it belongs to the site, to no package."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    yield importlib.import_module("names_in_code")
    for module in ("names_in_code", "whole_options"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    "code, made",
    [
        ("proxlab.icnn.ImageICNN", "proxlab.<wbr>icnn.<wbr>ImageICNN"),
        ("tests/test_more.py", "tests/<wbr>test_<wbr>more.<wbr>py"),
        ('<a class="x.y" href="a/b_c">d.e</a>', '<a class="x.y" href="a/b_c">d.<wbr>e</a>'),
        ("f(x) / 1.6 ... &lt;x_i, v_i&gt;", "f(x) / 1.6 ... &lt;x_<wbr>i, v_<wbr>i&gt;"),
        ("a --b-c_d", 'a <span class="option">--b-c_<wbr>d</span>'),
    ],
)
def test_code_is_breakable_at_its_joints_alone(names, code, made):
    assert names.breakable(code) == made


def test_only_code_of_sentences_is_changed(names):
    block = '<div class="highlight-python"><pre>proxlab.restore(a/b)</pre></div>'
    context = {"body": f'<p>a.b <code class="c.d">e.f</code></p>{block}'}
    names.mark_joints(None, "page", "page.html", context, None)
    assert context["body"] == f'<p>a.b <code class="c.d">e.<wbr>f</code></p>{block}'


def test_commands_are_breakable_at_slashes_alone(names):
    opened = '<div class="highlight-none notranslate"><div><pre>'
    context = {"body": f"{opened}python a_b/c.d/e.py 1/2 x / y</pre></div></div>"}
    names.mark_joints(None, "page", "page.html", context, None)
    assert context["body"] == f"{opened}python a_b/<wbr>c.d/<wbr>e.py 1/2 x / y</pre></div></div>"
