"""Rows of a comparison as a table for a paper: means, spreads, and which differences are real.

Priors restore the same measurements, so what counts is their difference image by image, whose
spread is a tenth of that of the PSNR itself. In each column the best prior is tested against each
of the others by Wilcoxon's signed-rank test [Wilcoxon45] over images, with p-values after Holm
[Holm79]. Seeds are averaged before: two noises of one image are not two images. A prior that the
test does not tell apart from the best at 5 % is marked as the best is.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Any, NamedTuple

from proxlab.comparison.case import Row
from proxlab.comparison.names import in_latex, in_markdown, number

LEVEL = 0.05
"""Level of the test."""
FEWEST = 6
"""Number of images below which the test cannot reach `LEVEL`, whatever they show."""


class Column(NamedTuple):
    """A problem at one noise level, by one solver."""

    problem: str
    parameters: tuple[tuple[str, Any], ...]
    noise: float
    solver: str

    def __str__(self) -> str:
        fields = "".join(f"{name.replace('_', ' ')} {number(x)}, " for name, x in self.parameters)
        return f"{self.problem} ({fields.removesuffix(', ')}; noise {number(self.noise)})"


class Entry(NamedTuple):
    """Figures of a prior in a column, over the images that every prior of the column restored."""

    mean: float
    """Mean PSNR, dB."""
    spread: float
    """Standard deviation of the PSNR over images, 0 for one image."""
    ssim: float | None
    """Mean SSIM; None if an image of the column is too small for it."""
    lpips: float | None
    """Mean LPIPS; None if a restoration of the column has none."""
    hu_rmse: float | None
    """Mean of root mean squared errors in Hounsfield units; None unless the images are slices."""
    seconds: float
    """Mean time of a restoration."""
    behind: float
    """Mean over images of the best prior's PSNR minus this one's, dB."""
    error: float
    """Standard error of `behind`, 0 for one image."""
    p: float | None
    """p-value, after Holm, of there being no difference; None for the best itself, and for too few
    images."""
    certified: int
    """Number of restorations that are certified."""
    rested: int
    """Number of restorations that came to rest; the others stopped at the most steps allowed."""
    restorations: int
    """Number of restorations, images times seeds."""
    images: int
    """Number of images."""

    @property
    def best(self) -> bool:
        """Whether the prior is the best, or is not told apart from it."""
        return self.behind == 0 or (self.p is not None and self.p >= LEVEL)


def summarise(rows: Sequence[Row]) -> dict[Column, dict[str, Entry]]:
    """Figures by column and prior. A column without an image in common has none."""
    columns: dict[Column, dict[str, dict[str, list[Row]]]] = {}
    for row in rows:
        by_prior = columns.setdefault(column_of(row), {}).setdefault(row["prior"], {})
        by_prior.setdefault(row["image"], []).append(row)
    return {column: _entries(priors) for column, priors in columns.items()}


def markdown(rows: Sequence[Row]) -> str:
    """Table in Markdown: a line a prior, PSNR +- spread / SSIM (/ LPIPS).

    Below it, for each column: the differences from the best with their p-values, how many
    restorations came to rest, and the settings. Bold is what is not told apart from the best.
    """
    table = summarise(rows)
    priors = list(dict.fromkeys(row["prior"] for row in rows))
    heads = [in_markdown(str(column)) for column in table]
    lines = ["| prior | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(table)]
    for prior in priors:
        cells = []
        for entries in table.values():
            if (entry := entries.get(prior)) is None:
                cells.append("-")
                continue
            strong = "**" if entry.best else ""
            others = _others(entry)
            cells.append(f"{strong}{entry.mean:.2f}{strong} ± {entry.spread:.2f} / {others}")
        lines.append(f"| {_code(prior)} | " + " | ".join(cells) + " |")
    said = ["", *_lacking(rows, table)]
    for column, entries in table.items():
        if not entries:
            said.append(f"{in_markdown(str(column))}: the priors have no image in common")
            continue
        best = next(name for name, entry in entries.items() if entry.behind == 0)
        n = entries[best].images
        few = f"; {n} images are too few for a test" if n < FEWEST else ""
        said.append(f"{in_markdown(str(column))}, {n} images, behind {_code(best)}{few}:")
        for name, entry in entries.items():
            if name != best:
                p = "" if entry.p is None else f", p = {_rounded(entry.p)}"
                said.append(f"- {_code(name)} {entry.behind:.2f} ± {entry.error:.2f} dB{p}")
        ends = (f"{_code(name)} {e.rested} of {e.restorations}" for name, e in entries.items())
        said.append(f"- came to rest: {', '.join(ends)}")
        said += _settings(list(entries), [row for row in rows if column_of(row) == column])
    return "\n".join(lines + said) + "\n"


def _settings(priors: list[str], rows: list[Row]) -> list[str]:
    """Lines on the settings of the priors of a column, and on how they were chosen."""
    used: dict[str, dict[str, None]] = {prior: {} for prior in priors}
    chosen: dict[str, dict[str, None]] = {}
    for row in rows:
        s = row["settings"]
        weight = "its own" if s["weight"] is None else f"{s['weight']:.3g}"
        most = "steps as usual" if s["steps"] is None else f"at most {s['steps']} steps"
        used[row["prior"]][f"weight {weight}, {most}"] = None
        if s["tuned_on"]:
            chosen.setdefault(in_markdown(s["tuned_on"]), {})[_code(row["prior"])] = None
    lines = [f"{_code(prior)} {' or '.join(found)}" for prior, found in used.items()]
    tuned = [f"{', '.join(names)}: {how}" for how, names in chosen.items()]
    return [f"- {'; '.join(lines)}", *(f"- chosen for {each}" for each in tuned)]


def latex(rows: Sequence[Row]) -> str:
    """Table in LaTeX, with booktabs; bold is what is not told apart from the best."""
    table = summarise(rows)
    lines = [
        r"\begin{tabular}{l" + "c" * len(table) + "}",
        r"\toprule",
        "prior & " + " & ".join(in_latex(str(c)) for c in table) + r" \\",
        r"\midrule",
    ]
    for prior in dict.fromkeys(row["prior"] for row in rows):
        cells = []
        for entries in table.values():
            if (entry := entries.get(prior)) is None:
                cells.append("--")
                continue
            figure = f"{entry.mean:.2f}"
            figure = rf"\textbf{{{figure}}}" if entry.best else figure
            cells.append(rf"{figure} $\pm$ {entry.spread:.2f} / {_others(entry)}")
        lines.append(rf"{in_latex(prior)} & " + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def column_of(row: Row) -> Column:
    """Column that a row belongs to."""
    return Column(row["problem"], tuple(row["parameters"].items()), row["noise"], row["solver"])


def _entries(priors: dict[str, dict[str, list[Row]]]) -> dict[str, Entry]:
    """Entries of a column by prior, from its rows by prior and image."""
    shared = [i for i in next(iter(priors.values())) if all(i in rows for rows in priors.values())]
    if not shared:
        return {}
    own_rows = [row for rows in priors.values() for i in shared for row in rows[i]]
    had = {
        k for k in ("ssim", "lpips", "hu_rmse") if all(row.get(k) is not None for row in own_rows)
    }
    kinds = ("psnr", *had)
    figures = {
        name: {k: [mean(row[k] for row in rows[i]) for i in shared] for k in kinds}
        for name, rows in priors.items()
    }
    best = max(figures, key=lambda name: mean(figures[name]["psnr"]))
    away = {
        name: [a - b for a, b in zip(figures[best]["psnr"], own["psnr"], strict=True)]
        for name, own in figures.items()
    }
    chance = _holm({name: _p(d) for name, d in away.items() if name != best})
    return {
        name: Entry(
            mean(own["psnr"]),
            stdev(own["psnr"]) if len(shared) > 1 else 0.0,
            mean(own["ssim"]) if "ssim" in had else None,
            mean(own["lpips"]) if "lpips" in had else None,
            mean(own["hu_rmse"]) if "hu_rmse" in had else None,
            mean(row["seconds"] for i in shared for row in priors[name][i]),
            mean(away[name]),
            stdev(away[name]) / sqrt(len(shared)) if len(shared) > 1 else 0.0,
            chance.get(name),
            sum(row["certified"] for i in shared for row in priors[name][i]),
            sum(row["stopped"] == "tolerance" for i in shared for row in priors[name][i]),
            sum(len(priors[name][i]) for i in shared),
            len(shared),
        )
        for name, own in figures.items()
    }


def _others(entry: Entry) -> str:
    """SSIM, blank for images without one, LPIPS and Hounsfield units if there are any."""
    alike = "" if entry.ssim is None else f"{entry.ssim:.3f}"
    alike += "" if entry.lpips is None else f" / {entry.lpips:.3f}"
    return alike + ("" if entry.hu_rmse is None else f" / {entry.hu_rmse:.1f} HU")


def _lacking(rows: Sequence[Row], table: dict[Column, dict[str, Entry]]) -> list[str]:
    """Lines on what the figures of a cell are, and on those that it lacks."""
    entries = [entry for own in table.values() for entry in own.values()]
    more = " / LPIPS (lower is better)" * any(entry.lpips is not None for entry in entries)
    more += " / RMSE in Hounsfield units" * any(entry.hu_rmse is not None for entry in entries)
    said = [
        f"PSNR in dB ± spread over images / SSIM{more}; bold: the best, or not told from it",
        "",
    ]
    if any(entry.ssim is None for entry in entries):
        said += ["SSIM is left blank where an image is too small for its window", ""]
    seen = sum(row.get("lpips") is not None for row in rows)
    if 0 < seen < len(rows):
        said += [f"{seen} of {len(rows)} restorations have an LPIPS; a column needs all", ""]
    return said


def _p(differences: list[float]) -> float | None:
    """p-value of Wilcoxon's signed-rank test, None for too few differences."""
    if len(differences) < FEWEST:
        return None
    if not any(differences):
        return 1.0
    from scipy.stats import wilcoxon

    result = wilcoxon(differences)
    return float(result.pvalue)  # pyright: ignore[reportAttributeAccessIssue] (scipy is untyped)


def _holm(found: dict[str, float | None]) -> dict[str, float | None]:
    """p-values after Holm: each times the number not smaller than it, at least the one before."""
    adjusted: dict[str, float | None] = {name: None for name in found}
    ordered = sorted((p, name) for name, p in found.items() if p is not None)
    least = 0.0
    for i, (p, name) in enumerate(ordered):
        least = max(least, min(1.0, (len(ordered) - i) * p))
        adjusted[name] = least
    return adjusted


def _rounded(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "below 0.001"


def _code(name: str) -> str:
    return in_markdown(name, code=True)
