"""Words of every command, drawn from tables of options: mostly right, else of a kind of wrong."""

from hypothesis import strategies as st
from odd import mostly

FILES = (
    *("photo.png", "photo.npy", "rgb.png", "deep.png", "scan.npy", "tiny.png"),
    *("stack.tif", "stack.tif", "many"),
)
ODD_FILES = (
    "cut.png",
    "empty.png",
    "text.png",
    "nan.npy",
    "bytes.npy",
    "pickle.npy",
    "row.npy",
    "photos",
    "bad.tif",
    "none.png",
    "/dev/null",
    "é\udcff.png",
)
NUMBERS = ("0", "-1", "nan", "inf", "1e30", "1e-30", "x", "", "auto", "255", "1", "0.5", "1" * 40)


def file() -> st.SearchStrategy[str]:
    """Name of an input file, mostly one that can be read."""
    return mostly(FILES, ODD_FILES, 2)


def number(*right: str) -> st.SearchStrategy[str]:
    """Number as a word, mostly right."""
    return mostly(right, NUMBERS, 3)


@st.composite
def noise(draw: st.DrawFn) -> list[str]:
    """Option of the noise, mostly with a right level; left out, it is estimated."""
    told = draw(st.sampled_from(range(4)))
    return ["--noise", draw(number("0.05", "auto"))] if told else []


def output(*right: str) -> st.SearchStrategy[str]:
    """Name of a file to write, mostly one that can be."""
    return mostly(
        right, ("new.gif", "new", "", "file/new.png", "none/new.png", "photos", "old.png")
    )


SHARED = {
    "--prior": mostly(("none", "tv", "lpn-gray-small", "wavelets"), ("x", "trap.pt", "a:b", ""), 4),
    "--solver": mostly(("admm", "drs", "pgd", "hqs", "fista", "pdhg"), ("x", "")),
    "--sigma": number("0.05", "0.1"),
    "--weight": number("1", "0.5"),
    "--tol": number("1e-3"),
    "--out": output("new.png", "new.npy", "new.tif"),
    "--trace": output("new.json"),
    "--difference": output("new2.png"),
    "--seed": number("0", "7"),
    "--tile": number("8"),
    "--page": mostly(("1", "2"), ("0", "-1", "9", "x")),
    "--scale": mostly(("0,1", "0,200"), ("1,0", "0,nan", "x", "0,1,2", "-1e30,1e30", "")),
    "--device": mostly(("cpu", "auto"), ("x", "")),
}
BLUR = {
    "--blur-sigma": number("0.3"),
    "--psf": mostly(("psf.npy",), ("nan.npy", "photo.png", "none.npy", "cut.png", "row.npy")),
    "--kernel": mostly(("kernel.npy",), ("nan.npy", "photo.png", "none.npy")),
    "--boundary": mostly(("unknown", "circular", "valid", "reflect"), ("x",)),
}
HOLES = {
    "--missing": number("0.5"),
    "--box": mostly(("1,1,3,3",), ("0,0,99,1", "1,1", "a,b,c,d", "")),
    "--mask": mostly(("mask.npy",), ("nan.npy", "photo.png", "none.npy")),
    "--mask-is": mostly(("seen", "missing"), ("x",)),
}
LARGER = {
    "--blur-sigma": number("0.3"),
    "--kernel": mostly(("kernel.npy",), ("nan.npy", "photo.png", "none.npy")),
    "--offset": number("0", "0.5"),
    "--boundary": BLUR["--boundary"],
}
SCAN = {
    "--angles": number("4"),
    "--detectors": number("17"),
    "--detector-spacing": number("1"),
    "--pixel-spacing": number("1"),
    "--size": number("8", "12"),
    "--flat": mostly(("row.npy",), ("nan.npy", "photo.png", "none.npy")),
    "--dark": mostly(("row.npy",), ("nan.npy", "photo.png", "none.npy")),
    "--attenuation": number("0.1"),
    "--layout": mostly(("views,detectors", "detectors,views"), ("x", "slices,views,detectors")),
}


def options(draw: st.DrawFn, table: dict[str, st.SearchStrategy[str]], most: int) -> list[str]:
    """At most so many options of the table, with their values."""
    chosen = draw(st.lists(st.sampled_from(sorted(table)), unique=True, max_size=most))
    return [word for name in chosen for word in (name, draw(table[name]))]


@st.composite
def restorations(draw: st.DrawFn) -> list[str]:
    """Words of `proxlab restore`."""
    problem = draw(st.sampled_from(["deblur", "inpaint", "superres", "denoise", "ct"]))
    blur = draw(mostly(("--blur-sigma",), ("--psf",)))
    needed = {
        "deblur": [blur, draw(BLUR[blur])],
        "inpaint": ["--missing", draw(HOLES["--missing"])],
        "superres": ["--factor", draw(mostly(("2", "3"), ("1", "x", "")))],
        "denoise": [],
        "ct": ["--angles", draw(SCAN["--angles"]), "--size", draw(SCAN["--size"])],
    }[problem]
    tables = {"deblur": BLUR, "inpaint": HOLES, "superres": LARGER, "denoise": BLUR, "ct": SCAN}
    own = tables[problem]
    more = options(draw, SHARED, 2) + (options(draw, own, 1) if draw(st.booleans()) else [])
    words = ["restore", draw(file()), problem, *needed, *draw(noise())]
    if draw(st.sampled_from(range(6))) == 0:
        words += ["--photons", draw(number("30"))]
    clean = ["--simulate"] if draw(st.booleans()) else []
    clean += ["--clip"] if draw(st.booleans()) else []
    return [*words, *clean, "--steps", draw(number("2", "3")), "--quiet", *more]


@st.composite
def posteriors(draw: st.DrawFn) -> list[str]:
    """Words of `proxlab posterior`."""
    table = {
        "--prior": mostly(("lpn-gray-small", "none"), ("tv", "x", "trap.pt", "")),
        "--seed": number("3"),
        "--batch": number("1", "2"),
        "--device": SHARED["--device"],
        "--start": mostly(("crate-completion",), ("x",)),
    }
    problem = draw(st.sampled_from(["deblur", "inpaint"]))
    needed = ["--blur-sigma", "0.3"] if problem == "deblur" else ["--missing", "0.5"]
    words = ["posterior", draw(file()), problem, *needed, *draw(noise())]
    words += ["--simulate"] if draw(st.booleans()) else []
    words += ["--samples", draw(number("2", "3")), "--steps", draw(number("1", "2")), "--quiet"]
    return [*words, "--out", draw(mostly(("new",), ("file", "file/new"))), *options(draw, table, 1)]


@st.composite
def samplings(draw: st.DrawFn) -> list[str]:
    """Words of `proxlab sample`."""
    table = {
        "--kind": mostly(("hybrid", "backward", "flow", "sde", "ode"), ("x", "")),
        "--grid": mostly(("uniform", "even"), ("x",)),
        "--seed": number("3"),
        "--batch": number("1", "2"),
        "--device": SHARED["--device"],
    }
    model = draw(mostly(("proxdm-mnist", "score-mnist"), ("tv", "x", "trap.pt", "photo.png"), 3))
    words = ["sample", model, "--n", draw(mostly(("1", "2"), ("0", "-1", "x", "nan")))]
    words += ["--steps", draw(mostly(("1", "2"), ("0", "-1", "x", "nan")))]
    return [*words, "--out", draw(output("new.png", "new.npy")), *options(draw, table, 2)]


@st.composite
def trainings(draw: st.DrawFn) -> list[str]:
    """Words of `proxlab train`, of runs that are over at once."""
    recipe = draw(mostly(("lpn-gray", "dncnn-gray", "proxdm"), ("x", "tv", "")))
    words = ["train", recipe, "--data", draw(mostly(("photos",), ("empty", "file", "none"), 4))]
    steps = ["--steps", draw(mostly(("4",), ("0", "-1", "x")))]
    minutes = ["--minutes", draw(mostly(("1e-9",), ("0", "-1", "nan", "inf", "x"), 3))]
    words += [*draw(st.sampled_from([steps, minutes])), "--batch", draw(number("1"))]
    if draw(st.sampled_from(range(10))) == 0:  # which usage does not allow
        words += [*steps, *minutes]
    if (recipe == "proxdm") != (draw(st.sampled_from(range(10))) == 0):
        words += ["--size", draw(mostly(("8", "12"), ("0", "-1", "14", "30", "512", "x")))]
        words += ["--color"] if draw(st.booleans()) else []
    start = ["--start", "tv"] if draw(st.sampled_from(range(5))) == 0 else []
    resume = ["--resume"] if draw(st.booleans()) else []
    return [*words, "--out", draw(mostly(("run",), ("file", "photos", ""))), *resume, *start]


@st.composite
def adaptations(draw: st.DrawFn) -> list[str]:
    """Words of `proxlab adapt`, of a step."""
    folder = draw(mostly(("photos", "one"), ("empty", "file", "none"), 4))
    prior = draw(mostly(("lpn-gray-small",), ("tv", "x", "trap.pt", "lpn-color"), 3))
    words = ["adapt", folder, "--prior", prior, "--noise", draw(number("0.1"))]
    words += ["--steps", draw(mostly(("1",), ("0", "-1", "x", "nan")))]
    out = draw(output("new.safetensors"))
    return [*words, "--out", out, *options(draw, {"--seed": number("3")}, 1)]


@st.composite
def audits(draw: st.DrawFn) -> list[str]:
    """Words of `proxlab audit`, of images that are mostly of another size than the model's."""
    folders = mostly(("photos", "one", "x.npy"), ("empty", "file", "none"), 4)
    model = draw(mostly(("proxdm-mnist",), ("tv", "x", "trap.pt"), 4))
    words = ["audit", model, "--train", draw(folders), "--held-out", draw(folders)]
    words += ["--n", draw(mostly(("2",), ("0", "x"))), "--steps", draw(number("1"))]
    table = {
        "--level": number("0.5", "0.9"),
        "--json": output("new.json"),
        "--figure": output("new.png"),
    }
    return words + options(draw, table, 1)


@st.composite
def comparisons(draw: st.DrawFn) -> list[str]:
    """Words of `proxlab compare`, of one small image."""
    table = {
        "--noises": number("0.05", "0.05,0.1"),
        "--seeds": number("0", "0,1"),
        "--solvers": mostly(("default", "admm"), ("x", "")),
        "--tol": number("1e-2"),
        "--settings": mostly(("none.json",), ("photo.png", "file")),
    }
    words = ["compare", "--priors", draw(mostly(("none", "tv"), ("x", "", "tv,tv", "a:b")))]
    words += ["--problems", draw(mostly(("deblur", "inpaint", "boxes"), ("x", "", "ct,ct")))]
    words += ["--images", draw(mostly(("one",), ("empty", "file", "none"))), "--steps", "1"]
    words += ["--out", draw(mostly(("new",), ("file", "file/new", ""))), "--quiet"]
    return words + options(draw, table, 1)


@st.composite
def others(draw: st.DrawFn) -> list[str]:
    """Words of the commands that take few, and of none that there is."""
    return draw(
        st.sampled_from(
            [
                ["models"],
                ["models", "--quiet"],
                ["models", "x"],
                ["demo", "--out", "file"],
                ["demo", "--out", "file/new"],
                ["demo", "--device", "x"],
                [],
                ["--version"],
                ["--help"],
                ["x"],
                ["restore", "--help"],
            ]
        )
    )


WORDS = {
    "restore": (restorations, 60),
    "posterior": (posteriors, 20),
    "sample": (samplings, 10),
    "train": (trainings, 10),
    "adapt": (adaptations, 10),
    "audit": (audits, 8),
    "compare": (comparisons, 8),
    "demo, models": (others, 10),
}
