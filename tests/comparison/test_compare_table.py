"""Differences in a table are those of pairs, tested; a twentieth of a dB is not called a win."""

from statistics import stdev

import pytest
from scipy.stats import wilcoxon

from proxlab.comparison.table import latex, markdown, summarise


def rows(figures, seeds=(0,)):
    """One of each image and seed: prior -> PSNR by image."""
    return [
        {
            "prior": prior,
            "problem": "deblur",
            "parameters": {"blur_sigma": 1.6},
            "noise": 0.01,
            "solver": "admm",
            "image": f"{i}.png",
            "seed": seed,
            "psnr": value + 0.5 * seed,
            "ssim": 0.9,
            "seconds": 2.0,
            "certified": prior == "a",
            "stopped": "tolerance" if prior == "a" else "max_steps",
            "settings": {
                "weight": 0.25 if prior == "a" else None,
                "steps": 60,
                "tuned_on": "weight, on 4 images" if prior == "a" else "",
            },
        }
        for prior, values in figures.items()
        for i, value in enumerate(values)
        for seed in seeds
    ]


BASE = [24.0, 31.0, 27.5, 35.0, 29.0, 26.0, 33.0, 30.0]
WOBBLE = [0.3, -0.25, 0.2, -0.35, 0.25, -0.2, 0.4, -0.15]


def only(table):
    (entries,) = table.values()
    return entries


def test_small_steady_differences_are_wins_and_larger_unsteady_ones_are_not():
    steady = [x - 0.04 - 0.001 * i for i, x in enumerate(BASE)]
    unsteady = [x - 0.08 + w for x, w in zip(BASE, WOBBLE, strict=True)]
    found = only(summarise(rows({"a": BASE, "steady": steady, "unsteady": unsteady})))
    assert found["a"].best and not found["steady"].best and found["unsteady"].best
    assert found["unsteady"].behind > found["steady"].behind > 0
    p = wilcoxon([a - b for a, b in zip(BASE, steady, strict=True)]).pvalue
    assert found["steady"].p == pytest.approx(2 * p)  # two are compared with the best
    said = markdown(rows({"a": BASE, "steady": steady, "unsteady": unsteady}))
    assert f"| **29.44** ± {stdev(BASE):.2f} / 0.900" in said
    assert "| `steady` | 29.39 ±" in said and "| `unsteady` | **29.38** ±" in said
    assert "`steady` 0.04 ± 0.00 dB, p = 0.016" in said
    assert "- came to rest: `a` 8 of 8, `steady` 0 of 8, `unsteady` 0 of 8" in said
    assert "- `a` weight 0.25, at most 60 steps; `steady` weight its own, at most 60 steps" in said
    assert "- chosen for `a`: weight, on 4 images" in said


def test_two_noises_of_an_image_are_not_two_images():
    five = {"a": BASE[:5], "b": [x - 0.1 for x in BASE[:5]]}
    found = only(summarise(rows(five, seeds=(0, 1, 2))))
    assert found["b"].images == 5 and found["b"].p is None
    assert found["a"].mean == pytest.approx(sum(BASE[:5]) / 5 + 0.5)
    assert "5 images are too few for a test" in markdown(rows(five, seeds=(0, 1, 2)))


def test_only_images_that_every_prior_restored_count():
    found = only(summarise(rows({"a": BASE, "b": [x + 0.1 for x in BASE[:6]]})))
    assert found["a"].images == found["b"].images == 6
    assert found["a"].behind == pytest.approx(0.1) and found["a"].certified == 6


def test_priors_without_an_image_in_common_are_not_compared():
    apart = [
        r | {"image": "other.png"} if r["prior"] == "b" else r for r in rows({"a": [9], "b": [9]})
    ]
    assert only(summarise(apart)) == {} and "no image in common" in markdown(apart)


def test_columns_are_problems_and_noises_and_latex_has_them_too():
    more = [r | {"noise": 0.03, "psnr": r["psnr"] - 3} for r in rows({"a": BASE, "b_c": BASE})]
    said = latex(rows({"a": BASE, "b_c": BASE}) + more)
    assert said.count(r"\textbf{29.44}") == 2 and said.count(r"\textbf{26.44}") == 2
    assert r"b\_c" in said and "noise 0.03" in said and said.count("&") == 6


def test_a_number_of_steps_that_nobody_told_is_said_in_words():
    untold = rows({"a": BASE})
    for row in untold:
        row["settings"]["steps"] = None
    assert "- `a` weight 0.25, steps as usual" in markdown(untold)
    assert "None" not in markdown(untold)
