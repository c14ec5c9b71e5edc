"""The recipes by name, found without loading torch: the command line lists them.

A recipe is a line `my_model = Recipe(...)` of a file in this folder, whose name is "my-model". The
files are read as text, since importing one takes seconds.
"""

import re
from pathlib import Path

RECIPES = {
    variable.replace("_", "-"): f"{path.stem}:{variable}"
    for path in sorted(Path(__file__).parent.glob("*.py"))
    for variable in re.findall(r"^(\w+) = Recipe\b", path.read_text(encoding="utf-8"), re.MULTILINE)
}
"""Name -> file of this folder and `Recipe` in it. A new recipe is a line of such a file."""

ALL = tuple(RECIPES)
