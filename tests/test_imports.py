"""The house: which room may import which, no circles, at most 8 floors, at most 20 files a folder.

Every import counts, wherever in a file it stands. A room is a folder of `proxlab` or a file of its
front hall; the table says what each may import besides itself. Arrows run down only.
"""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "solvers": (),
    "proxlab.machine": (),
    "proxlab.threads": (),
    "proxlab.sample_noise": (),
    "proxlab.foreign_weights": (),
    "proxlab.images": (),
    "proxlab.operators": ("proxlab.images", "solvers"),
    "proxlab.diffusion": (
        "proxlab.foreign_weights",
        "proxlab.images",
        "proxlab.machine",
        "solvers",
    ),
    "proxlab.calibration": ("proxlab.operators", "solvers"),
    "proxlab.restoration": ("proxlab.images", "proxlab.operators", "solvers"),
    "proxlab.priors": (
        "proxlab.foreign_weights",
        "proxlab.operators",
        "proxlab.machine",
        "proxlab.threads",
        "solvers",
    ),
    "proxlab.posteriors": (
        "proxlab.images",
        "proxlab.operators",
        "proxlab.priors",
        "proxlab.restoration",
        "proxlab.sample_noise",
        "solvers",
    ),
    "proxlab.model_kinds": ("proxlab.priors", "proxlab.diffusion"),
    "proxlab.diffusion_prior": ("proxlab.priors", "proxlab.diffusion"),
    "proxlab.checkpoints": (
        "proxlab.model_kinds",
        "proxlab.diffusion_prior",
        "proxlab.priors",
        "proxlab.diffusion",
        "proxlab.images",
    ),
    "proxlab.named_priors": ("proxlab.checkpoints", "proxlab.priors"),
    "proxlab.tiled": ("proxlab.named_priors", "proxlab.priors"),
    "proxlab.arrays": (
        "proxlab.images",
        "proxlab.operators",
        "proxlab.restoration",
        "solvers",
    ),
    "proxlab.jobs": (
        "proxlab.arrays",
        "proxlab.images",
        "proxlab.named_priors",
        "proxlab.posteriors",
        "proxlab.priors",
        "proxlab.restoration",
        "solvers",
    ),
    "proxlab.sampling": (
        "proxlab.checkpoints",
        "proxlab.diffusion",
        "proxlab.sample_noise",
        "solvers",
    ),
    "proxlab.training": (
        "proxlab.checkpoints",
        "proxlab.priors",
        "proxlab.diffusion",
        "proxlab.operators",
        "proxlab.images",
        "proxlab.machine",
        "solvers",
    ),
    "proxlab.adaptation": (
        "proxlab.images",
        "proxlab.named_priors",
        "proxlab.operators",
        "proxlab.priors",
        "proxlab.training",
    ),
    "proxlab.audits": ("proxlab.diffusion", "proxlab.images", "proxlab.sampling"),
    "proxlab.comparison": (
        "proxlab.foreign_weights",
        "proxlab.named_priors",
        "proxlab.restoration",
        "proxlab.operators",
        "proxlab.images",
        "proxlab.machine",
        "solvers",
    ),
}
"""Room -> the rooms it may import. The two below may import all, and no room imports them."""
FACES = ("proxlab", "proxlab.commands")
EVERYTHING = (*ROOMS, *FACES)
TOP = ("examples", "tests")
FLOORS, FILES = 8, 20
GROUND = {"torch", "tqdm", "solvers", *sys.stdlib_module_names}
"""What `solvers` may import; tqdm where a bar is asked for."""


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path) -> dict[str, str]:
    """Source by dotted name, of both packages."""
    return {
        module_of(path, root): path.read_text()
        for package in ("proxlab", "solvers")
        for path in sorted((root / package).rglob("*.py"))
    }


def imported(source: str, known: set[str]) -> set[str]:
    """Dotted names that a file imports by name; of `from a import b` a.b where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found |= {
                    full if (full := f"{module}.{name.name}") in known else module for name in names
                }
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                found.add(module)
    return found


def room_of(module: str) -> str:
    """The room of a module; of another package its first name."""
    parts = module.split(".")
    if parts[0] != "proxlab":
        return parts[0]
    return ".".join(parts[:2])


def violations(root: Path) -> list[str]:
    """Imports that run up or sideways, and files that no room of the table holds."""
    sources = modules(root)
    found = []
    for name, source in sources.items():
        room = room_of(name)
        if room not in EVERYTHING and room != "proxlab.__main__":
            found.append(f"{name} belongs to no room")
            continue
        for other in sorted(imported(source, set(sources))):
            there = room_of(other)
            known = there in EVERYTHING and there != room
            if (
                there in TOP
                or (room == "solvers" and there not in GROUND)
                or (room in ROOMS and known and there not in ROOMS[room])
            ):
                found.append(f"{name} imports {other}")
    return found


def circles(root: Path) -> list[str]:
    """A circle among files, if there is one."""
    sources = modules(root)
    graph = {name: imported(text, set(sources)) & set(sources) for name, text in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def floors(rooms: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """On which floor a room lies: one above the highest that it may import. Raises CycleError."""
    found: dict[str, int] = {}
    for room in TopologicalSorter(rooms).static_order():
        found[room] = 1 + max((found[below] for below in rooms[room]), default=0)
    return found


def crowded(root: Path) -> list[str]:
    """Folders of more than 20 files of code, tests' and examples' too."""
    folders = {p.parent for d in ("proxlab", "solvers", *TOP) for p in (root / d).rglob("*.py")}
    counts = {f: len(list(f.glob("*.py"))) for f in folders}
    return [f"{f.relative_to(root)} holds {n} files" for f, n in counts.items() if n > FILES]


def test_no_import_runs_up_or_sideways():
    assert len(modules(ROOT)) > 100
    assert violations(ROOT) == []


def test_there_is_no_circle():
    assert circles(ROOT) == []


def test_rooms_lie_on_at_most_eight_floors():
    found = floors(ROOMS)
    assert max(found.values()) + 1 <= FLOORS  # the commands lie above all
    with pytest.raises(CycleError):
        floors({**ROOMS, "solvers": ("proxlab.images",), "proxlab.images": ("solvers",)})


def test_no_folder_is_crowded():
    assert crowded(ROOT) == []


def house(tmp_path: Path, files: dict[str, str]) -> Path:
    for room in ("solvers", "proxlab", "proxlab/priors", "proxlab/restoration", "proxlab/images"):
        (tmp_path / room).mkdir(exist_ok=True)
        (tmp_path / room / "__init__.py").write_text('"""A room."""\n')
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    return tmp_path


@pytest.mark.parametrize(
    "file, line",
    [
        ("solvers/bad.py", "import deepinv"),
        ("solvers/bad.py", "def f():\n    import numpy"),
        ("solvers/bad.py", "import torch, proxlab.images"),
        ("solvers/bad.py", "from proxlab.priors import lpn"),
        ("solvers/bad.py", "def f():\n    from tests.toys import L1"),
        ("solvers/bad.py", "import importlib\nimportlib.import_module('examples.demo')"),
        ("proxlab/restoration/bad.py", "from proxlab.priors.tv import TV"),
        ("proxlab/images/bad.py", "def f():\n    import proxlab.restoration"),
        ("proxlab/priors/bad.py", "from proxlab import restoration"),
        ("proxlab/stray.py", "import torch"),
    ],
)
def test_that_check_catches_planted_imports(tmp_path, file, line):
    good = {
        "solvers/good.py": "import torch\nfrom solvers import pgd",
        "proxlab/restoration/good.py": "from proxlab.operators import deblur\nimport solvers.pgd",
    }
    assert violations(house(tmp_path, good)) == []
    assert len(violations(house(tmp_path, {file: line}))) == 1


def test_that_check_catches_a_planted_circle_and_a_crowd(tmp_path):
    house(tmp_path, {f"solvers/a{i}.py": "" for i in range(19)})
    assert circles(tmp_path) == crowded(tmp_path) == []
    house(tmp_path, {"solvers/b.py": "def f():\n    from solvers import c", "solvers/c.py": ""})
    assert circles(tmp_path) == []
    assert len(crowded(tmp_path)) == 1
    house(tmp_path, {"solvers/c.py": "import solvers.b"})
    assert len(circles(tmp_path)) == 1


def loaded(code: str) -> set[str]:
    """Slow packages that a new Python has loaded after running it."""
    slow = {"torch", "deepinv", "numpy", "skimage", "PIL", "tifffile", "pydicom", "torchvision"}
    code += f"\nimport sys\nprint(sorted({slow} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(found.stdout.splitlines()[-1]))


def test_help_loads_nothing_slow():
    say = "from proxlab.commands.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n"
    assert loaded(say + "    pass") == set()
    assert loaded("import proxlab; proxlab.restore") >= {"torch", "deepinv"}


def test_importing_images_loads_no_image_library():
    assert loaded("import proxlab.images") <= {"torch", "numpy"}
