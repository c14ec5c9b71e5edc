"""Names of anybody's choice stay names: no path, no tag, no cell, no command comes of them."""

import html
import json
import random
import re
from html.parser import HTMLParser
from itertools import combinations

import pytest
from PIL import Image
from skimage.data import camera

import proxlab
from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare
from proxlab.comparison.figure import draw_comparison
from proxlab.comparison.names import (
    file_name,
    in_latex,
    in_markdown,
    in_script,
    label,
    number,
    pictures,
    visible,
)
from proxlab.comparison.plan import ComparisonRun, Plan
from proxlab.comparison.report import PAGE, report
from proxlab.comparison.rows import ROWS, read_rows
from proxlab.comparison.table import latex, markdown

NASTY = [
    *("../x", "a/b", "", ".", "..", "\0", "a" * 300, "a" * 300 + "b", "A", "a", "é", "É", "con"),
    *("NUL.png", "a\\b", "a.", " a", "a ", "-", "-rf", "~", "a\nb", "a\tb", "\udcff", "\udcfe"),
    *("<!--<script>.png", "</script>", "a|b", "a\\|b", "a_b & c$%#.png", "`a`", "``", "**a**"),
    *("$a$", "[a](b)", "&amp;", "&#124;", "\u2028", "\u202e", "\\input{x}", "a--b", "__DATA__"),
    *("lpn-gray", "deepinv:DRUNet", "deepinv-drunet", "a-0123456789ab", 'a"b', "{", "}", "^", "#"),
]
SIGNS = ["a", "B", "0", *" .-_/\\|`*<>&$%#{}^~\"'[]()!:;\n\r\t\0", "é", "\u2028", "\udcff", "<!--"]


def names(count, seed=0):
    draw = random.Random(seed)
    drawn = ["".join(draw.choices(SIGNS, k=draw.randint(1, 12))) for _ in range(count)]
    return list(dict.fromkeys([*NASTY, *drawn]))


def test_a_file_bears_a_name_that_every_disk_takes_and_no_two_names_share_one():
    given = names(2000)
    found = [file_name(name) for name in given]
    assert len(set(found)) == len(given)  # small letters alone, so on any disk
    for name in found:
        assert re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,119}", name) and name[-1] != "."
        assert name not in ("con", "nul.png")
    assert file_name("lpn-gray") == "lpn-gray" and file_name("a_1.5.png") == "a_1.5.png"


def row(**changed):
    given = {"prior": "tv", "solver": "drs", "problem": "deblur", "parameters": {"s": 1.6}}
    return given | {"image": "a.png", "noise": 0.01, "seed": 0} | changed


def test_measurements_that_differ_have_folders_that_differ():
    rows = [
        row(),
        *(row(image=name) for name in ("a.tif", "a", "A.png", "a.png.png", "../a.png", ".a.png")),
        *(
            row(problem=name)
            for name in (
                "de-blur",
                "de blur",
                "-de-blur",
                "deblur-1.6",
                "../deblur",
                "DEBLUR",
                "x y",
            )
        ),
        *(row(parameters={"s": x}) for x in (1, 1.0, 1.60000001, 1e-5, 1.1e-5, -1.6, float("nan"))),
        row(problem="deblur-1", parameters={}),
        row(problem="deblur", parameters={"s": 1, "t": 1.6}),
        row(parameters={"s": "../../x"}),
        *(row(noise=x) for x in (0.011, 0.01000001, 1, 1.0)),
        row(seed=1),
    ]
    assert str(pictures(row())) == "images/deblur-1.6-noise0.01-seed0/a.png"
    assert all(a != b for a, b in combinations(map(pictures, rows), 2))
    assert all(".." not in pictures(r).parts and len(pictures(r).parts) == 3 for r in rows)
    priors = [row(prior="a"), row(prior="a-drs"), row(prior="a", solver="admm"), row(prior="plain")]
    assert len({label(r) for r in priors}) == 4 and "plain" not in map(label, priors)
    assert label(row(prior="lpn-gray")) == "lpn-gray-drs"


def test_a_number_is_as_short_as_tells_it_from_others():
    given = [(1.6, "1.6"), (32, "32"), (0.1234567, "0.1234567"), (1e-5, "1e-05"), ("x", "x")]
    for x, said in [*given, (float("inf"), "inf"), (True, "True"), (None, "None")]:
        assert number(x) == said


def holds_markdown(said, name, code):
    """Whether Markdown shows the name and nothing else."""
    bare = re.sub(r"^`([^`]+)`$|^<code>(.*)</code>$", lambda m: m[1] or m[2] or "", said)
    signs = r"[`*<>\[\]\\|]" if code else r"[`*<>\[\]\\|_]"
    whole = html.unescape(bare) == visible(name) and said.isprintable()
    return whole and code == (bare != said) and not re.search(signs, bare)


def holds_latex(said):
    """Whether LaTeX has no command but those that show a sign."""
    bare = re.sub(r"\\(text[a-z]+\{\}|[_%&#${}])", "", said)
    return not re.search(r"[\\{}_%&#$^~<>|\"`]", bare) and said.isprintable()


@pytest.mark.parametrize("code", [False, True])
def test_markdown_holds_the_name_and_no_sign_of_its_own(code):
    assert all(holds_markdown(in_markdown(name, code), name, code) for name in names(2000))
    assert in_markdown("lpn-gray", code=True) == "`lpn-gray`"
    assert in_markdown("a_b") != "a_b" and in_markdown("1.6, 2 %") == "1.6, 2 %"


def test_latex_holds_no_command_that_is_not_ours():
    assert all(holds_latex(in_latex(name)) for name in names(2000))
    assert in_latex("a_b & c$%#.png") == r"a\_b \& c\$\%\#.png"


@pytest.mark.parametrize("name", ["a|b", "a`b", "a\nb", "a\\|b", "<b>", "a_b_", "a\\b", "$a$", "{"])
def test_as_names_were_written_before_the_checks_find_fault(name):
    def escaped(text):
        for sign in "_%&#":
            text = text.replace(sign, "\\" + sign)
        return text

    faults = (
        not holds_markdown(f"`{name}`", name, True),
        not holds_markdown(f"`{name}`".replace("|", "\\|"), name, True),
        not holds_markdown(name, name, False),
        not holds_latex(escaped(name)),
    )
    assert any(faults)
    assert holds_markdown(in_markdown(name, True), name, True) and holds_latex(in_latex(name))


class Scripts(HTMLParser):
    """Tags of a page, and the texts of its script elements."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.comments = [], [], 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags[-1:] == ["script"]:
            self.scripts[-1] += data

    def handle_comment(self, data):
        self.comments += 1


def test_a_page_holds_exactly_the_names_and_its_own_tags():
    given = names(2000)
    text = in_script({"names": given})
    assert text.isascii() and not set("<>&") & set(text)
    page = Scripts(PAGE.read_text(encoding="utf-8").replace("__DATA__", text))
    assert json.loads(page.scripts[0]) == {"names": given}
    assert page.tags == Scripts(PAGE.read_text(encoding="utf-8")).tags and page.comments == 0
    with pytest.raises(ValueError, match="not JSON compliant"):
        in_script([float("nan")])  # on which the page's own parser would stop


def test_as_it_was_escaped_before_a_name_emptied_the_page():
    """The check above fails on the mistake that it is there for."""
    text = json.dumps({"names": ["<!--<script>.png"]}).replace("</", "<\\/")
    page = PAGE.read_text(encoding="utf-8")
    spoilt = page.replace("__DATA__", text)
    assert "<!--<script>" in spoilt and "<!--<script>" not in page.replace(
        "__DATA__", in_script(json.loads(text))
    )


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """Rows of two images and three priors whose names are hard to bear."""
    folder, out = tmp_path_factory.mktemp("photographs"), tmp_path_factory.mktemp("out")
    for name in ("<!--<script>.png", "a_b & c$%#`|\n.png"):
        Image.fromarray(camera()[100:140, 200:248]).save(folder / name)
    Image.fromarray(camera()[200:240, 200:248]).save(folder / "a_b & c$%#`|\n.tif")
    priors = {name: proxlab.load("none") for name in ("../<b>|`$x$`\n", "A", "a")}
    few = Plan(default=PriorSettings(steps=2))
    return compare(priors, ["deblur"], folder, out, few), out, folder, priors


def test_a_comparison_of_such_names_comes_out_whole(nasty, tmp_path):
    rows, out, folder, priors = nasty
    assert len(rows) == 9 and {row["image"] for row in rows} == {p.name for p in folder.iterdir()}
    files = [p for p in out.rglob("*") if p.is_file()]
    assert len(files) == 1 + 3 * (4 + 2 * 3) and not (out.parent / "<b>").exists()
    rows = [row | {"doubt": "</script><!--", "certified": False} for row in rows]
    page = Scripts(report(rows, out))
    data = json.loads(page.scripts[0])
    assert [line["prior"] for line in data["table"]] == list(priors)
    assert {m["name"] for m in data["measurements"]} == {row["image"] for row in rows}
    assert "</script><!--" in data["measurements"][0]["versions"][3]["said"]
    assert page.tags == Scripts(PAGE.read_text(encoding="utf-8")).tags
    truths = {m["versions"][0]["picture"] for m in data["measurements"]}
    assert len(truths) == 2  # the PNGs show one image, the TIFF another
    table = [line for line in markdown(rows).splitlines() if line.startswith("|")]
    assert len(table) == 5 and {line.count("|") for line in table} == {3}
    assert r"../\textless{}b\textgreater{}\textbar{}" in latex(rows)
    assert latex(rows).count(" & ") == 4 and latex(rows).count("\n") == 9
    draw_comparison(tmp_path / "figure.png", rows, out)  # two dollars are no formula


def test_pictures_that_were_lost_are_made_again(nasty):
    rows, out, folder, priors = nasty
    (out / pictures(rows[4]) / f"{label(rows[4])}.png").unlink()
    new, few = [], Plan(default=PriorSettings(steps=2))
    run = ComparisonRun(resume=True, watch=new.append)
    again = compare(priors, ["deblur"], folder, out, few, run)
    assert [row["prior"] for row in new] == [rows[4]["prior"]]
    assert [row["psnr"] for row in again] == [row["psnr"] for row in rows]
    assert len(read_rows(out / ROWS)) == 10 and report(again, out)


@pytest.mark.parametrize("name", ["", 3, None])
def test_a_prior_needs_a_name(name, nasty, tmp_path):
    _, _, folder, _ = nasty
    with pytest.raises(ValueError, match="told by their names, text of a letter or more, got"):
        compare({name: proxlab.load("none")}, ["deblur"], folder, tmp_path / "out")
