"""The benches of noise and gain, on one small photograph and one small slice."""

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera, shepp_logan_phantom

from examples.benchmarks.photographs import bench_gain, bench_noise


@pytest.fixture
def folders(tmp_path):
    """A folder of one photograph and one of one slice."""
    for name in ("photos", "slices"):
        (tmp_path / name).mkdir()
    Image.fromarray(camera()[:192, :192]).save(tmp_path / "photos/a.png")
    levels = (shepp_logan_phantom()[::2, ::2] * 2000).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "slices/a.png")
    return tmp_path


def test_noise(folders, capsys):
    words = f"--sets {folders}/photos --levels 5,50 --blurs 0,1 --estimators proxlab,covariance"
    table = bench_noise.main(
        [*words.split(), "--scans", "1", "--halve", "--folder", f"{folders}/slices"]
    )
    assert set(table) == {
        (what, name)
        for what in ("photos, as it is", "photos, blur 1", "CT of 60 views", "CT of 200 views")
        for name in ("proxlab", "covariance")
    }
    for (_, name), found in table.items():
        assert all(len(level) == 1 for level in found)
        assert name == "covariance" or all(0.8 < level[0] < 1.3 for level in found)
    assert capsys.readouterr().out.count("CT of") == 4


def test_an_estimate_that_is_off_is_not_near(folders, monkeypatch):
    """Planted: an estimator that gives twice the noise, and one that refuses."""

    def refuses(y, op):
        raise ValueError("none")

    monkeypatch.setitem(bench_noise.ESTIMATORS, "twice", lambda y, op: 2 * 5 / 255)
    monkeypatch.setitem(bench_noise.ESTIMATORS, "refuses", refuses)
    words = f"--sets {folders}/photos --levels 5 --blurs 0 --scans 0 --estimators twice,refuses"
    table = bench_noise.main(words.split())
    assert [bench_noise.share(found[0]) for found in table.values()] == [0, 0]
    assert table["photos, as it is", "twice"][0][0] == pytest.approx(2)
    assert table["photos, as it is", "refuses"][0] == [0.0]


def test_gain(folders, capsys):
    words = f"--sets {folders}/photos --photons 100 --read 0,5"
    table = bench_gain.main(words.split())
    ((gain, read),) = table["photos", 100.0, 5.0]
    assert 0.7 < gain < 1.4 and 3 < read < 7
    assert len(capsys.readouterr().out.splitlines()) == 3
