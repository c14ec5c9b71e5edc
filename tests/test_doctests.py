"""Examples of `help()`: every public function, class and method has one, and all of them are true.

Public is what a package lists in `__all__`, what the modules `proxlab.metrics` and
`proxlab.checkpoints` define, and whatever else a page of docs/api shows. A method counts as shown
where the example of its class calls it.
"""

import ast
import doctest
import inspect
import re
import tempfile
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import torch

import proxlab
import solvers
from proxlab.operators.contract import Operator

ROOT = Path(__file__).parents[1]
FACES = (
    "proxlab",
    "solvers",
    "proxlab.images",
    "proxlab.operators",
    "proxlab.restoration",
    "proxlab.priors.classical",
    "proxlab.restoration.data_terms",
)
OPEN_MODULES = ("proxlab.checkpoints", "proxlab.images.metrics")
DIRECTIVE = re.compile(r"^\.\. auto(\w+):: ([\w.]+)(?:\(\))?$((?:\n +:.*)*)", re.MULTILINE)
WHAT_READERS_HAVE = {"np": np, "proxlab": proxlab, "solvers": solvers, "torch": torch}
"""Names that examples take for imported, as docs/api.md says."""


def own_names(module: str) -> list[str]:
    """Functions and classes that a module defines itself, by their full names."""
    home = resolve_name(module)  # which may be known by another name
    return [
        f"{home.__name__}.{name}"
        for name, thing in vars(home).items()
        if (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == home.__name__
        and not name.startswith("_")
    ]


def public_names() -> list[str]:
    names = [f"{face}.{name}" for face in FACES for name in import_module(face).__all__]
    names += [name for module in OPEN_MODULES for name in own_names(module)]
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        for kind, name, options in DIRECTIVE.findall(page.read_text()):
            if kind != "module":
                names.append(name)
            elif ":members:" in options:
                names += own_names(name)
    return names


def public() -> dict[str, object]:
    """Functions and classes by the first name that they have; constants and modules left out."""
    found: dict[int, tuple[str, object]] = {}
    for name in public_names():
        thing = resolve_name(name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            found.setdefault(id(thing), (name, thing))
    return dict(found.values())


def examples(thing: object) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(vars(thing).get("__doc__") or thing.__doc__ or "")


def methods(cls: type) -> dict[str, object]:
    """Public methods and properties that a class writes and documents itself."""
    found = {}
    for name, kept in vars(cls).items():
        inner = kept.fget if isinstance(kept, property) else getattr(kept, "__func__", kept)
        if not name.startswith("_") and inspect.isfunction(inner) and inner.__doc__:
            found[name] = inner
    return found


def called(code: list[doctest.Example]) -> set[str]:
    """Names after a dot in the code of examples; what comments say does not count."""
    nodes = [node for one in code for node in ast.walk(ast.parse(one.source))]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def faults(name: str, thing: object) -> list[str]:
    """Names, that of the thing or of its methods, whose `help()` has no example."""
    code = examples(thing)
    found = [] if code else [name]
    if not inspect.isclass(thing):
        return found
    shown = called(code)
    shown.add("forward")  # nobody calls a module's by its name
    if thing is not Operator:
        shown |= set(methods(Operator))  # what every operator has, its contract shows
    return found + [
        f"{name}.{method}"
        for method, function in methods(thing).items()
        if method not in shown and not examples(function)
    ]


def documented() -> dict[str, object]:
    """Whatever has examples of its own, by name: functions, classes and their methods."""
    things = dict(PUBLIC)
    for name, thing in PUBLIC.items():
        if inspect.isclass(thing):
            things |= {f"{name}.{method}": one for method, one in methods(thing).items()}
    return {name: thing for name, thing in things.items() if examples(thing)}


def said_wrongly(name: str, thing: object) -> str:
    """Report on the examples of a docstring, run one after the other; empty if all are true."""
    test = doctest.DocTest(examples(thing), dict(WHAT_READERS_HAVE), name, None, 0, None)
    report: list[str] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    return "".join(report)


PUBLIC = public()
DOCUMENTED = documented()


def test_every_public_name_has_an_example():
    assert len(PUBLIC) > 110 and {"proxlab.restore", "solvers.evidence.gram"} <= set(PUBLIC)
    assert [fault for name, thing in PUBLIC.items() for fault in faults(name, thing)] == []


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_are_true(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert said_wrongly(name, DOCUMENTED[name]) == ""


class Planted:
    """A class whose example is right.

    >>> len("ab")   # .quiet()
    2
    """

    def quiet(self):
        """No example, and none above calls it: a comment is no call."""

    def loud(self):
        """A wrong answer.

        >>> 1 + 1
        3
        """


def test_that_check_catches_planted_mistakes():
    assert faults("Planted", Planted) == ["Planted.quiet"]
    assert faults("f", test_that_check_catches_planted_mistakes) == ["f"]
    assert said_wrongly("Planted", Planted) == ""
    assert "Expected:\n    3\nGot:\n    2" in said_wrongly("loud", Planted.loud)
