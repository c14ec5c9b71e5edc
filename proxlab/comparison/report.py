"""Page of a comparison, one HTML file without network: table, restorations to flip, zoom, curves.

The page is `report.html` beside this file, with the data as JSON in place of `__DATA__`. Pictures
are lossy WebP, as the page says: a dozen images would weigh tens of megabytes otherwise.
"""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from proxlab.comparison.case import Row
from proxlab.comparison.names import PLAIN, TRUTH, in_script, label, pictures
from proxlab.comparison.table import Column, Entry, column_of, summarise

PAGE = Path(__file__).with_name("report.html")
QUALITY = 92
"""Quality of WebP: about 45 dB, beyond what restorations differ by."""
MOST = 12
"""Number of measurements of a column that the page shows at most; all are in the folder."""


def report(rows: Sequence[Row], out: Path) -> str:
    """Text of the page, from rows whose restorations lie in the folder `out`."""
    table = summarise(rows)
    columns = list(table)
    measurements: list[dict[str, Any]] = []
    shown: dict[str, str] = {}
    for where, own in _measurements(rows, columns).items():
        column, folder = where
        if sum(m["column"] == column for m in measurements) == MOST:
            continue
        measurements.append(_measurement(column, out / folder, own, shown))
    data = {
        "made": _made(rows),
        "quality": QUALITY,
        "columns": [str(column) for column in columns],
        "table": [_line(prior, table) for prior in dict.fromkeys(row["prior"] for row in rows)],
        "measurements": measurements,
        "pictures": shown,
    }
    return PAGE.read_text(encoding="utf-8").replace("__DATA__", in_script(data))


def _line(prior: str, table: dict[Column, dict[str, Entry]]) -> dict[str, Any]:
    """Line of the table."""
    entries = [own.get(prior) for own in table.values()]
    there = [entry for entry in entries if entry is not None]
    images = sum(entry.images for entry in there)
    return {
        "prior": prior,
        "cells": [entry and entry._asdict() | {"best": entry.best} for entry in entries],
        "seconds": sum(entry.seconds * entry.images for entry in there) / max(1, images),
        "certified": sum(entry.certified for entry in there),
        "images": sum(entry.restorations for entry in there),
    }


def _measurements(rows: Sequence[Row], columns: list[Column]) -> dict[tuple[int, Path], list[Row]]:
    """Rows by measurement, that is by the number of their column and their folder."""
    found: dict[tuple[int, Path], list[Row]] = {}
    for row in rows:
        found.setdefault((columns.index(column_of(row)), pictures(row)), []).append(row)
    return found


def _measurement(
    column: int, folder: Path, rows: list[Row], shown: dict[str, str]
) -> dict[str, Any]:
    """Data of a measurement for the page. Its pictures are added to `shown`."""

    def version(name: str, file: str, psnr: float | None, said: str, curves: Any = None) -> dict:
        data = _webp(folder / f"{file}.png")
        # one picture of the truth for all problems
        key = next((k for k, v in shown.items() if v == data), f"{len(shown)}")
        shown[key] = data
        return {"name": name, "picture": key, "psnr": psnr, "said": said, "curves": curves}

    versions = [version("truth", TRUTH, None, "")]
    versions.append(version("no prior", PLAIN, rows[0]["psnr_plain"], "where solvers start"))
    for row in rows:
        no = f"not certified: {row['doubt']}"
        verdict = f"certified: {row['proof']}" if row["certified"] else no
        seen = "" if row.get("lpips") is None else f"LPIPS {row['lpips']:.3f}, "
        weight = row["settings"]["weight"]
        steps = f"{row['iterations']} steps of {row['solved_by']}"
        steps += "" if weight is None else f" at weight {weight:.3g}"
        alike = "" if row["ssim"] is None else f"SSIM {row['ssim']:.3f}, "
        said = f"{alike}{seen}{steps}, {verdict}"
        curves = json.loads((folder / f"{label(row)}.json").read_text())
        versions.append(version(row["prior"], label(row), row["psnr"], said, curves))
    with Image.open(folder / f"{TRUTH}.png") as image:
        size = image.size
    name = rows[0]["image"] + (f", seed {rows[0]['seed']}" if rows[0]["seed"] else "")
    return {"column": column, "name": name, "size": size, "versions": versions}


def _webp(path: Path) -> str:
    """Data address of an image file."""
    file = io.BytesIO()
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    Image.fromarray(pixels).save(file, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _made(rows: Sequence[Row]) -> str:
    """Sentences on how rows were made, with every machine that made some."""
    kinds = dict.fromkeys(
        f"{', '.join(f'{name} {v}' for name, v in row['versions'].items())}, "
        f"commit {row['commit'] or 'unknown'}, {row['device']} of {row['machine']}, "
        f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
        for row in rows
    )
    images = len({row["image"] for row in rows})
    return f"{len(rows)} restorations of {images} images. {'; '.join(kinds)}."
