"""The release: the wheel holds both packages and the weights, and works without this folder."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IN_THE_SUBPROCESS = """
import json, sys, torch, proxlab, proxlab.commands.main, solvers
prior = proxlab.load("lpn-gray")
x = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
files = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("proxlab", "solvers")]
print(json.dumps({
    "files": files + [str(proxlab.checkpoints.SHIPPED)],
    "models": sorted(proxlab.models()),
    "denoises": float((prior(x, 0.1) - x).norm() / x.norm()),
}))
"""


def pip(*words: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built by the hatchling of this environment, or else by one that pip fetches for the build."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip, which builds and installs the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    offline = importlib.util.find_spec("hatchling") is not None
    built = pip("wheel", "--no-deps", *["--no-build-isolation"] * offline, "-w", folder, ROOT)
    if not offline and "No matching distribution found for hatchling" in built.stderr:
        pytest.skip("hatchling is not installed (extra [test]) and no package index is in reach")
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


def faults(names: set[str]) -> list[str]:
    """What a wheel with these files lacks, and what it should not have."""
    wanted = {"proxlab/__init__.py", "proxlab/commands/main.py", "proxlab/comparison/report.html"}
    wanted |= {f"proxlab/comparison/report.{kind}" for kind in ("css", "js")}
    wanted |= {"proxlab/comparison/settings.json", "solvers/__init__.py", "solvers/driver.py"}
    wanted |= {"proxlab/py.typed", "solvers/py.typed"}
    wanted |= {f"proxlab/weights/lpn-gray{suffix}" for suffix in (".safetensors", ".json")}
    info = {n.split("/")[0] for n in names if n.split("/")[0].endswith(".dist-info")}
    wanted |= {f"{i}/{n}" for i in info for n in ("licenses/LICENSE", "entry_points.txt")}
    strangers = {n.split("/")[0] for n in names} - {"proxlab", "solvers"} - info
    return (
        [f"{name} is missing" for name in sorted(wanted - names)]
        + [f"{name} does not belong in it" for name in sorted(strangers)]
        + ["not one .dist-info"] * (len(info) != 1)
    )


def test_the_wheel_holds_all_of_both_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert faults(names) == []
    sources = {p.relative_to(ROOT).as_posix() for d in ("proxlab", "solvers")
               for p in (ROOT / d).rglob("*.py")}  # fmt: skip
    assert {n for n in names if n.endswith(".py")} == sources
    assert "proxlab = proxlab.commands.main:main" in entry.replace("  ", " ")


def test_that_check_catches_planted_faults(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    licence = next(n for n in names if n.endswith("LICENSE"))
    for lost in ("solvers/__init__.py", "proxlab/weights/lpn-gray.safetensors", licence):
        assert faults(names - {lost}) == [f"{lost} is missing"]
    for stranger in ("tests/priors/lpn/test_lpn.py", "examples/benchmarks/bench_prox.py"):
        assert faults(names | {stranger}) == [f"{stranger.split('/')[0]} does not belong in it"]


def test_it_works_from_elsewhere(wheel, tmp_path):
    target, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = pip("install", "--no-deps", "--no-index", "--target", target, wheel)
    assert done.returncode == 0, done.stderr
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    found = subprocess.run(
        [sys.executable, "-c", IN_THE_SUBPROCESS],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=kept | {"PYTHONPATH": str(target)},
    )
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    strangers = [f for f in said["files"] if not Path(f).is_relative_to(target)]
    assert strangers == [] and len(said["files"]) > 10
    assert "lpn-gray" in said["models"] and 0.01 < said["denoises"] < 1
    assert list(elsewhere.iterdir()) == []
