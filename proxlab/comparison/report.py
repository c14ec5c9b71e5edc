"""Page of a comparison, one HTML file without network: table, restorations, errors, curves.

The page is `report.html` beside this file, with `report.css`, `report.js` and the data as JSON in
their places. Pictures are lossy WebP, as the page says: a dozen images would weigh tens of
megabytes otherwise. Errors are those of the files in the folder, not of the WebP.
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
from proxlab.comparison.enlarged import most_different
from proxlab.comparison.error_maps import coloured, scale_colours, scale_end
from proxlab.comparison.names import MEASURED, PLAIN, TRUTH, in_script, label, pictures
from proxlab.comparison.table import Column, Entry, column_of, summarise

PAGE = Path(__file__).with_name("report.html")
STYLE, SCRIPT = PAGE.with_suffix(".css"), PAGE.with_suffix(".js")
QUALITY = 92
"""Quality of WebP: about 45 dB, beyond what restorations differ by."""
ERROR_QUALITY = 75
"""The same of the maps of errors, of which a page holds as many."""
MOST = 12
"""Number of measurements of a column that the page shows at most; all are in the folder."""
NO_PRIOR = "none"
"""Name of the prior that is no prior, which the page says beside it."""


def report(rows: Sequence[Row], out: Path) -> str:
    """Text of the page, from rows whose restorations lie in the folder `out`."""
    table = summarise(rows)
    columns = list(table)
    measurements: list[dict[str, Any]] = []
    shown = _Pictures()
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
        "pictures": shown.addresses,
        "scale": scale_colours(),
    }
    page = PAGE.read_text(encoding="utf-8")
    for place, file in (("__STYLE__", STYLE), ("__SCRIPT__", SCRIPT)):
        page = page.replace(place, file.read_text(encoding="utf-8"))
    # last, since names in it may look like the places of the others
    return page.replace("__DATA__", in_script(data))


class _Pictures:
    """Data addresses of pictures by a key; equal ones, as the truth of all problems, share one."""

    def __init__(self):
        self.addresses: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def add(self, pixels: np.ndarray, quality: int = QUALITY) -> str:
        """Key of a picture [H, W] or [H, W, 3], uint8."""
        file = io.BytesIO()
        Image.fromarray(pixels).convert("RGB").save(file, "WEBP", quality=quality, method=4)
        address = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
        key = self._keys.setdefault(address, f"{len(self._keys)}")
        self.addresses[key] = address
        return key


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


def _measurement(column: int, folder: Path, rows: list[Row], shown: _Pictures) -> dict[str, Any]:
    """Data of a measurement for the page. Its pictures are added to `shown`.

    The first estimate is not among the restorations: it is where every solver starts, whereas a
    restoration without a prior is what the data term alone leads to.
    """
    truth = _pixels(folder, TRUTH)
    facts = json.loads((folder / f"{MEASURED}.json").read_text(encoding="utf-8"))
    files = [PLAIN, *map(label, rows)]
    images = [_pixels(folder, file) for file in files]
    errors = [(image.astype(float) - truth) / 255 for image in images]
    end = scale_end(errors[1:])
    maps = [shown.add(coloured(error, end), ERROR_QUALITY) for error in errors]
    words = [("first estimate", rows[0]["psnr_plain"], "where every solver starts", None)]
    for row in rows:
        curves = json.loads((folder / f"{label(row)}.json").read_text(encoding="utf-8"))
        words.append((row["prior"], row["psnr"], _said(row), curves))
    versions: list[dict[str, Any]] = [
        _version("truth", shown.add(truth)),
        _version("measured", shown.add(_pixels(folder, MEASURED)), said=facts["said"])
        | {"aligned": facts["like_image"]},
    ]
    for image, error, (name, psnr, said, curves) in zip(images, maps, words, strict=True):
        version = _version(name, shown.add(image), said)
        versions.append(version | {"psnr": psnr, "error": error, "curves": curves})
    name = rows[0]["image"] + (f", seed {rows[0]['seed']}" if rows[0]["seed"] else "")
    (height, width), part = truth.shape, most_different(images[1:])
    return {
        "column": column,
        "name": name,
        "size": (width, height),
        # the middle of what is enlarged until the reader points elsewhere, in shares of the image
        "spot": ((part.left + part.width / 2) / width, (part.top + part.height / 2) / height),
        "end": end,
        "versions": versions,
    }


def _version(name: str, picture: str, said: str = "") -> dict[str, Any]:
    """A picture for the page; `aligned` if its pixels are those of the truth."""
    bare = {"psnr": None, "error": None, "curves": None, "aligned": True}
    return {"name": name, "picture": picture, "said": said} | bare


def _said(row: Row) -> str:
    """Words of the page on a restoration."""
    verdict = f"certified: {row['proof']}" if row["certified"] else f"not certified: {row['doubt']}"
    weight = row["settings"]["weight"]
    steps = f"{row['iterations']} steps of {row['solved_by']}"
    steps += "" if weight is None else f" at weight {weight:.3g}"
    parts = ["no prior, the data term alone"] if row["prior"] == NO_PRIOR else []
    parts += [] if row["ssim"] is None else [f"SSIM {row['ssim']:.3f}"]
    parts += [] if row.get("lpips") is None else [f"LPIPS {row['lpips']:.3f}"]
    if row.get("hu_rmse") is not None:
        parts.append(f"RMSE {row['hu_rmse']:.1f} HU, noise {row['hu_noise']:.1f} HU")
    return ", ".join([*parts, steps, verdict])


def _pixels(folder: Path, name: str) -> np.ndarray:
    """Gray levels [H, W] of a picture, uint8."""
    with Image.open(folder / f"{name}.png") as image:
        return np.asarray(image.convert("L"))


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
