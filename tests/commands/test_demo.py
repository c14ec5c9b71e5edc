"""The demo's figure hides nothing and says what was proved, in the numbers of its own runs."""

import json
import re
from dataclasses import replace

import pytest
import torch

import proxlab
from proxlab.commands.arguments import COMMANDS
from proxlab.commands.demo import demo
from proxlab.commands.demo_figure import (
    Shown,
    demo_figure,
    evidence_lines,
    in_short,
    in_words,
)
from proxlab.commands.demo_scenes import SOFT_TISSUE, scenes
from proxlab.operators.tomography.abdomen import TISSUES, abdomen

SIDE = 48


@pytest.fixture(scope="module")
def pictures():
    """The four problems, each restored in a few steps."""
    found = []
    for scene in scenes(SIDE):
        y = scene.op(scene.truth, generator=torch.Generator().manual_seed(1))
        runs = [proxlab.restore(y, scene.op, name, steps=30) for name in ("tv", scene.prior)]
        found.append(Shown(scene, y, scene.plain(y), *runs))
    return found


def covered(figure):
    """Pairs of axes, of which one covers a part of the other, and axes that leave the figure."""
    boxes = [ax.get_position() for ax in figure.get_axes()]
    found = [box for box in boxes if min(box.x0, box.y0) < 0 or max(box.x1, box.y1) > 1]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            if min(width, height) > 1e-6:
                found.append((a, b))
    return found


def outside(figure):
    """Texts that leave the figure, or run into a picture."""
    figure.canvas.draw()
    whole = figure.bbox
    axes = [ax.get_window_extent() for ax in figure.get_axes()]
    found = []
    for text in [*figure.texts, *(ax.xaxis.label for ax in figure.get_axes())]:
        box = text.get_window_extent()
        if (
            box.x0 < -1
            or box.x1 > whole.x1 + 1
            or box.y0 < -1
            or box.y1 > whole.y1 + 1
            or (text.get_text() and any(box.shrunk(0.9, 0.9).overlaps(other) for other in axes))
        ):
            found.append(text.get_text())
    return found


def test_the_figure_has_every_problem_with_zooms_that_hide_nothing(pictures):
    figure = demo_figure(pictures)
    assert len(figure.get_axes()) == 4 * 4 * 2 and covered(figure) == [] and outside(figure) == []
    said = [text.get_text() for text in figure.texts]
    assert sum(line.endswith("certified") for line in said) == 8
    assert [line for line in said if "soft-tissue window, -160 to 240 HU" in line]
    assert any("That it is the truth is not proved" in line for line in said)
    sinogram = figure.get_axes()[24].images[0].get_array()
    assert sinogram.shape == tuple(pictures[3].y.shape[-2:])
    for ax in figure.get_axes()[26:]:  # in Hounsfield units, the window is that of soft tissue
        window = [4095 * end - 1024 for end in ax.images[0].get_clim()]
        assert window == pytest.approx(SOFT_TISSUE, abs=0.01)


def test_planted_mistakes_of_the_figure_are_found(pictures):
    figure = demo_figure(pictures[:1])
    figure.text(0.9, 0.5, "a sentence that is longer than what is left of the line for it" * 3)
    assert len(outside(figure)) == 1
    figure.get_axes()[0].set_position([0.1, 0.1, 0.3, 0.8])
    assert covered(figure)


def test_the_better_of_the_two_is_in_bold(pictures):
    figure = demo_figure(pictures)
    bold = [ax.get_title() for ax in figure.get_axes() if ax.title.get_fontweight() == "bold"]
    psnr = proxlab.metrics.psnr
    assert len(bold) == 4
    for shown, title in zip(pictures, bold, strict=True):
        best = max(float(psnr(r.image, shown.scene.truth)) for r in (shown.tv, shown.learned))
        assert f"{best:.2f} dB" in title


@pytest.fixture(scope="module")
def certified():
    """Two certified runs on a small image: by the prox, and by the gap."""
    x = scenes(SIDE)[0].truth[..., :32, :32]
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.05)
    y = op(x, generator=torch.Generator().manual_seed(0))
    runs = [
        proxlab.restore(y, op, prior, steps=n) for prior, n in (("lpn-gray", 100), ("tv", 3000))
    ]
    assert [run.certified for run in runs] == [[True], [True]]
    return runs


def test_the_words_hold_the_numbers_of_the_run(certified):
    by_prox, by_gap = certified
    seen, words = by_prox.evidence[0], " / ".join(in_words(by_prox))
    margin = min(seen.margin, seen.value_margin)
    assert f"margin {margin:.2g} (needs 0)" in words and "the values it reports are R's" in words
    assert f"tau L = {seen.step:.2f} (needs < {seen.step_limit:g})" in words
    assert f"fell by {seen.objective_fall[0]:,.0f}" in words
    assert f"gradient {100 * seen.gradient:.2g} % of the first (limit 1 %)" in words
    assert in_words(by_gap) == [
        f"its objective is within {100 * by_gap.evidence[0].gap:.2g} % of the least there is "
        "(duality gap)"
    ]
    assert in_short(by_prox).startswith("yes: one prox in ") and in_short(by_gap)[:5] == "yes: "


def test_what_is_known_between_two_numbers_is_said_so(certified):
    seen = replace(
        certified[0].evidence[0], value_margin=None, objective_fall=(1200.0, 1310.0), looked_at=5
    )
    words = " / ".join(in_words(replace(certified[0], evidence=[seen])))
    assert "fell by between 1,200 and 1,310" in words and "values" not in words
    assert words.startswith(f"5 of {seen.evaluations} answers")


def test_what_is_not_certified_claims_nothing(pictures, certified):
    shown = pictures[0]
    doubted = replace(certified[0], certified=[False], doubts=["the gradient is large"])
    lines = evidence_lines(shown._replace(learned=doubted))
    said = [line for line, _ in lines]
    assert "lpn-gray: not certified" in said and "- the gradient is large" in said
    assert not any("the prox of one R" in line for line in said)
    assert in_short(doubted) == "no: the gradient is large"


def test_the_help_counts_the_problems_and_the_rows_hold_the_evidence(tmp_path):
    rows = demo(tmp_path, steps=2, quiet=True, crop=40)
    names = list(dict.fromkeys(row["problem"] for row in rows))
    counts = {1: "one problem", 2: "two", 3: "three", 4: "four problems"}
    assert counts[len(names)] in COMMANDS["demo"][1] and "CT slice" in COMMANDS["demo"][1]
    written = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert written == rows and all(re.match("(yes|no): .", row["evidence"]) for row in rows)
    assert [row["prior"] for row in rows][-2:] == ["tv", "lpn-ct"]


def test_the_abdomen_is_in_hounsfield_units_at_any_size():
    slices = {side: abdomen(side) for side in (64, 96)}
    for side, hu in slices.items():
        assert hu.shape == (1, 1, side, side)
        assert float(hu[0, 0, 0, 0]) == pytest.approx(-1000) and float(hu.max()) < 760
        liver = hu[0, 0, int(0.598 * side), int(0.305 * side)]
        assert float(liver) == pytest.approx(110, abs=3)
    small = torch.nn.functional.avg_pool2d(slices[96], 3)
    apart = (small - torch.nn.functional.avg_pool2d(slices[64], 2)).abs().mean()
    assert float(apart) < 15  # one picture at two sizes
    assert {organ.hu for organ in TISSUES} >= {-1000, -100, 55}  # gas, fat, muscle
