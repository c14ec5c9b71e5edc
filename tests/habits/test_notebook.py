"""The page for notebooks: examples/notebook.ipynb has its cells, and they run in a kernel."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from examples.page_as_notebook import cells, notebook

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guides/notebook.md").read_text()
FILE = ROOT / "examples/notebook.ipynb"


def run(made: dict, folder: Path) -> list[tuple[str, list]]:
    """Sources of the cells of code, and what each put out, run in a kernel of its own."""
    opened = nbformat.reads(json.dumps(made), as_version=4)
    nbformat.validate(opened)
    done = NotebookClient(opened, resources={"metadata": {"path": str(folder)}}).execute()
    return [(cell.source, cell.outputs) for cell in done.cells if cell.cell_type == "code"]


def said(outputs: list, name: str = "stdout") -> str:
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == name)


def shown(outputs: list, kind: str) -> list[str]:
    return [o.data[kind] for o in outputs if kind in o.get("data", {})]


def test_the_notebook_has_the_cells_of_the_page():
    assert json.loads(FILE.read_text()) == json.loads(json.dumps(notebook(PAGE)))
    assert "# In a notebook" in PAGE and len([k for k, _ in cells(PAGE) if k == "code"]) > 7


def test_a_cell_that_is_lost_is_caught():
    lost = notebook(PAGE.replace("```python\nresult.plot(y, truth);\n```\n", ""))
    assert json.loads(FILE.read_text()) != json.loads(json.dumps(lost))
    page = "# A\n\n[b](b.md)\n\n```python\nx = 1\n\ny = 2\n```\n\nEnd `a`.\n"
    assert cells(page) == [
        ("markdown", "# A\n\n[b](../docs/guides/b.md)"),
        ("code", "x = 1\n\ny = 2"),
        ("markdown", "End `a`."),
    ]


def test_a_student_can_follow_it(tmp_path, monkeypatch):
    monkeypatch.delenv("PROXLAB_DATA", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    told = run(json.loads(FILE.read_text()), tmp_path)
    by = {source.split("\n")[0]: outputs for source, outputs in told}
    restored = by['result = proxlab.restore(y, op, "lpn-gray", progress=True)']
    assert len(re.findall("restore, lpn-gray: 100%", said(restored, "stderr"))) >= 1
    for outputs in (restored, by["class Mean(torch.nn.Module):"]):
        (page,) = shown(outputs, "text/html")
        assert "data:image/png;base64," in page and re.search(r"\d\d\.\d\d dB", page)
    (page,) = shown(restored, "text/html")
    assert "; certified: " in page and float(re.findall(r"(\d+\.\d+) dB", page)[0]) > 27
    priors = said(by['for name in ("tv", "lpn-gray"):'])
    assert len(re.findall(r"\d\d\.\d\d dB; certified", priors)) == 2
    ended = said(by["scores = []"])
    assert ended.startswith("['callback'] 40 ")
    assert "(64, 64) float64" in said(by["print(result.image.shape, result.image.dtype)"])
    spread = by["low, high = post.interval(0.5)  # arrays [64, 64]; 80 % takes 9 samples"]
    assert shown(spread, "image/png")
    held = re.search(r"^(\d+) %", said(spread))
    assert held is not None and 35 < int(held[1]) < 65
    pictures = [len(shown(outputs, "image/png")) for _, outputs in told]
    assert sum(pictures) == 2 and max(pictures) == 1  # a figure is shown once


def test_a_notebook_that_fails_is_caught(tmp_path):
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(notebook("# A\n\n```python\n1 / 0\n```\n"), tmp_path)
