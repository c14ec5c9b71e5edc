"""Doors through which code could come with data: these are all, and a sha256 opens them."""

from pathlib import Path

import pytest

import proxlab
from proxlab.foreign_weights import checked_sha256, listed


def test_a_sha256_is_a_sha256():
    assert listed("") == [] and listed("A" * 64 + ", " + "0" * 64) == ["a" * 64, "0" * 64]
    for wrong in ("", "abc", "g" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"):
        with pytest.raises(ValueError, match="64 hexadecimal digits, got"):
            checked_sha256(wrong)


def test_nothing_else_of_the_package_opens_a_pickle():
    """A new door would be a line with one of these words in another file than the known ones."""
    known = {
        "torch.load(": {"foreign_weights.py", "state.py"},
        "load_state_dict_from_url": set(),
        "import pickle": set(),
        "allow_pickle=True": set(),
        "yaml": set(),
        "weights_only=False": set(),
    }
    found = {word: set() for word in known}
    for package in ("proxlab", "solvers"):
        for path in (Path(proxlab.__file__).parents[1] / package).rglob("*.py"):
            for word in known:
                if word in path.read_text(encoding="utf-8"):
                    found[word].add(path.name)
    assert found == known
