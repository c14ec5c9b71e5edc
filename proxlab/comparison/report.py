"""A comparison as one HTML file that needs no network: table, restorations to flip, zoom, curves.

The page is `report.html` beside this file, its data JSON in the place of a mark. Pictures are WebP,
lossy, which the page says: a dozen images would otherwise weigh tens of megabytes.
"""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from proxlab.comparison.comparing import PLAIN, TRUTH, label, pictures
from proxlab.comparison.table import Column, Row, column_of, summarise

PAGE = Path(__file__).with_name("report.html")
QUALITY = 92
"""Of WebP: about 45 dB, beyond what restorations differ by."""
MOST = 12
"""Measurements of a column on the page; all are in the folder."""


def report(rows: Sequence[Row], out: Path) -> str:
    """The page of rows whose restorations lie in the folder `out`, as text."""
    table = summarise(rows)
    columns = list(table)
    measurements, shown = [], {}
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
    # in a script element nothing but its end tag is special
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return PAGE.read_text(encoding="utf-8").replace("__DATA__", text)


def _line(prior: str, table: dict[Column, dict[str, Any]]) -> dict[str, Any]:
    """A line of the table."""
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
    """Rows of one measurement by their column's number and their folder."""
    found: dict[tuple[int, Path], list[Row]] = {}
    for row in rows:
        found.setdefault((columns.index(column_of(row)), pictures(row)), []).append(row)
    return found


def _measurement(
    column: int, folder: Path, rows: list[Row], shown: dict[str, str]
) -> dict[str, Any]:
    """What the page knows of one, whose pictures are put among those `shown`."""

    def version(name: str, file: str, psnr: float | None, said: str, curves: Any = None) -> dict:
        data = _webp(folder / f"{file}.png")
        key = next((k for k, v in shown.items() if v == data), f"{len(shown)}")
        shown[key] = data  # one truth for all problems
        return {"name": name, "picture": key, "psnr": psnr, "said": said, "curves": curves}

    versions = [version("truth", TRUTH, None, "")]
    versions.append(version("no prior", PLAIN, rows[0]["psnr_plain"], "where solvers start"))
    for row in rows:
        verdict = "certified" if row["certified"] else f"not certified: {row['doubt']}"
        seen = "" if row.get("lpips") is None else f"LPIPS {row['lpips']:.3f}, "
        weight = row["settings"]["weight"]
        steps = f"{row['iterations']} steps of {row['solver']}"
        steps += "" if weight is None else f" at weight {weight:.3g}"
        said = f"SSIM {row['ssim']:.3f}, {seen}{steps}, {verdict}"
        curves = json.loads((folder / f"{label(row)}.json").read_text())
        versions.append(version(row["prior"], label(row), row["psnr"], said, curves))
    with Image.open(folder / f"{TRUTH}.png") as image:
        size = image.size
    name = rows[0]["image"] + (f", seed {rows[0]['seed']}" if rows[0]["seed"] else "")
    return {"column": column, "name": name, "size": size, "versions": versions}


def _webp(path: Path) -> str:
    """An image file as a data address."""
    file = io.BytesIO()
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    Image.fromarray(pixels).save(file, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _made(rows: Sequence[Row]) -> str:
    """How and when rows were made, in a sentence; rows of several machines name them all."""
    kinds = dict.fromkeys(
        f"{', '.join(f'{name} {v}' for name, v in row['versions'].items())}, "
        f"commit {row['commit'] or 'unknown'}, {row['device']} of {row['machine']}, "
        f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
        for row in rows
    )
    images = len({row["image"] for row in rows})
    return f"{len(rows)} restorations of {images} images. {'; '.join(kinds)}."
