"""The mutants themselves: every kind is planted, one at a time, and where nobody looks is none."""

import ast
import sys
import time

import pytest

from examples.robustness.mutants import mutants
from examples.robustness.mutation import PARTS, ROOT, Part, Planted, Seen, drawn, forked


def planted(source: str) -> dict[str, str]:
    """Words of every mutant and the source that it becomes."""
    return {m.what: ast.unparse(m.tree(source)) for m in mutants(source)}


@pytest.mark.parametrize(
    "source, found",
    [
        ("a < b", {"Lt -> LtE": "a <= b", "Lt -> GtE": "a >= b"}),
        ("a == b", {"Eq -> NotEq": "a != b"}),
        ("x = a + b", {"Add -> Sub": "x = a - b"}),
        ("x = a / b", {"Div -> Mult": "x = a * b"}),
        ("x += a", {"Add -> Sub": "x -= a", "dropped: x += a": "pass"}),
        ("x = -a", {"minus dropped": "x = +a"}),
        ("y = not a", {"not dropped": "y = not not a"}),
        ("x = a and b", {"-> Or": "x = a or b"}),
        ("x = True", {"True -> False": "x = False"}),
        ("x = 3", {"3 -> 4": "x = 4", "3 -> 6": "x = 6"}),
        ("x = 0", {"0 -> 1": "x = 1"}),
        ("x = min(a)", {"min -> max": "x = max(a)"}),
        ("y = a.amax(1)", {"amax -> amin": "y = a.amin(1)", "1 -> 2": "y = a.amax(2)"}),
        ("y = c(min=a)", {"min= -> max=": "y = c(max=a)"}),
        ("f(x)", {"dropped: f(x)": "pass"}),
        ("x = f(x)", {"dropped: x = f(x)": "pass"}),
    ],
)
def test_a_mistake_of_every_kind_is_planted(source, found):
    made = planted(source)
    assert {k: made[k] for k in found} == found
    assert all(text != source for text in made.values())


@pytest.mark.parametrize(
    "source",
    [
        '"""1 + 1"""',
        "def f(x: Literal[3]) -> Literal[4]: ...",
        "x = f'{a + 1}'",
        "class P(Protocol):\n    x = 1 + 1",
        "from a import b",
        "__all__ = ['a']",
    ],
)
def test_what_no_test_is_about_is_left_alone(source):
    assert planted(source) == {}


def test_messages_are_left_alone_and_refusals_are_not():
    made = planted("def f(x):\n    if x > 3:\n        raise ValueError('over', 3 + 4)")
    assert {"Gt -> GtE", "Gt -> LtE", "3 -> 4"} < set(made)
    assert any(what.startswith("dropped: raise") for what in made) and "Add -> Sub" not in made


def test_lines_of_functions_are_told_from_those_of_an_import():
    source = "A = 1\n\n\ndef f(x=2):\n    return 3"
    assert {m.what: m.inside for m in mutants(source) if m.what.endswith(("2", "4"))} == {
        "1 -> 2": False,
        "2 -> 4": False,
        "3 -> 4": True,
    }
    seen = Seen({"a.py": {1: ["", "t1"], 5: ["t2"]}}, {"t1": 2.0, "t2": 1.0, "slow": 9.0})
    one, *_, last = mutants(source)
    assert not one.inside and seen.tests("a.py", one) == ["t2", "t1"]
    assert last.inside and seen.tests("a.py", last) == ["t2"]
    assert seen.tests("b.py", last) == []


def test_every_mutant_of_the_packages_can_be_compiled():
    few = Part(("solvers/s*.py",), ())
    draws = [[(p, m[:3]) for p, m in drawn(few, 25, seed)] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    for part in (few, PARTS["evidence"]):
        chosen = drawn(part, 25, 0)
        assert len(chosen) == 25
        for path, mutant in chosen:
            compile(mutant.tree(path.read_text()), str(path), "exec")


def test_a_mutant_lives_in_its_own_process_alone():
    path = ROOT / "solvers/schedules.py"
    (mutant,) = (m for m in mutants(path.read_text()) if m.what == "Pow -> Mult")

    def squares() -> bool:
        for name in [n for n in sys.modules if n.split(".")[0] == "solvers"]:
            del sys.modules[name]
        from solvers.schedules import geometric

        return geometric(1.0, 4.0, 3) == [1.0, 2.0, 4.0]

    def with_it() -> int:
        sys.meta_path.insert(0, Planted(path, mutant))
        return not squares()

    assert forked(with_it, 60) == 1
    assert forked(lambda: not squares(), 60) == 0


def busy() -> int:
    while True:
        pass


def test_a_process_that_hangs_is_ended():
    assert forked(lambda: time.sleep(100) or 0, 0.1) is None
    assert forked(busy, 0.5) is None
    assert forked(lambda: time.sleep(1) or 0, 0.5) == 0  # it waited for others
    assert forked(lambda: 1 // 0, 60) == 70
