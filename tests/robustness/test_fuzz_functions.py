"""Every public function, called with right and odd arguments: a right answer, or a sentence."""

import array_calls  # noqa: F401  # each fills a part of the table
import operator_calls  # noqa: F401
import prior_calls  # noqa: F401
import pytest
import solver_calls  # noqa: F401
from budget import tries
from hypothesis import given
from hypothesis import strategies as st
from rule import outcome
from targets import NOT_CALLED, TARGETS

import proxlab
import solvers
from proxlab import images, operators

pytestmark = pytest.mark.fuzz


@pytest.mark.parametrize("name", TARGETS)
def test_an_answer_or_a_sentence(name):
    drawn = st.composite(TARGETS[name].calls)

    @tries(TARGETS[name].share)
    @given(call=drawn())
    def fuzzed(call):
        outcome(call)

    fuzzed()


def public_names() -> set[str]:
    """Names of functions and classes that scripts call."""
    rooms = {"operators": operators, "images": images}
    there = {n for n in proxlab.__all__ if callable(getattr(proxlab, n))}
    there |= {
        f"{room}.{n}" for room, m in rooms.items() for n in m.__all__ if callable(getattr(m, n))
    }
    return there | {f"solvers.{n}" for n in solvers.__all__}


def test_every_public_name_is_called_or_excused():
    called = {word for name in TARGETS for word in (name, *TARGETS[name].with_it)}
    assert public_names() <= called | set(NOT_CALLED)
    assert not called & set(NOT_CALLED)


def test_500_cases_with_those_of_the_commands():
    assert sum(row.share for row in TARGETS.values()) >= 450
