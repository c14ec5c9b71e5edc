"""Write a page of the docs as a notebook: its text and its blocks of Python as cells, not run.

python examples/page_as_notebook.py docs/guides/notebook.md examples/notebook.ipynb
"""

import argparse
import json
import re
from pathlib import Path

LINK = re.compile(r"\]\(([\w/]+\.md[^)]*)\)")
UP = "../docs/guides/"
"""Where the links of a guide lead from a notebook in examples."""
BLOCK = re.compile(r"```python\n(.*?)\n```\n", re.DOTALL)


def cells(page: str) -> list[tuple[str, str]]:
    """Kind and text of each cell: "code" of a block of Python, "markdown" of what is between."""
    page = LINK.sub(lambda found: f"]({UP}{found[1]})", page)
    parts = [part.strip("\n") for part in BLOCK.split(page)]
    kinds = ("markdown", "code")
    return [(kinds[i % 2], part) for i, part in enumerate(parts) if part]


def notebook(page: str) -> dict:
    """The notebook of a page, as Jupyter stores it."""
    made = []
    for number, (kind, text) in enumerate(cells(page)):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = text.splitlines(keepends=True)
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("notebook", type=Path)
    args = parser.parse_args()
    made = json.dumps(notebook(args.page.read_text()), indent=1, ensure_ascii=False)
    args.notebook.write_text(made + "\n")


if __name__ == "__main__":
    main()
