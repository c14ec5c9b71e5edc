"""Distance, precision and recall against closed forms and brute force; bad samples score worse."""

import math
import os

import pytest
import torch
from scipy.linalg import sqrtm
from skimage.filters import gaussian

from proxlab import checkpoints
from proxlab.diffusion import inception
from proxlab.diffusion.digit_classifier import NAME, DigitClassifier, DigitClassifierConfig
from proxlab.diffusion.digit_quality import (
    digit_features,
    frechet_distance,
    judge_digits,
    precision_recall,
)
from proxlab.images.data_sets import load_digits


def draws(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def whitened(x):
    """Mean 0 and covariance 1, exactly: closed forms of Gaussians then hold for the points."""
    x = x - x.mean(0)
    return torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False
    ).T  # fmt: skip


def rotation(n):
    return torch.linalg.qr(draws(n, n, seed=9)).Q


def scaled(factors, turn=None):
    """A cloud whose covariance is V diag(factors^2) V^T."""
    turn = torch.eye(len(factors), dtype=torch.float64) if turn is None else turn
    return whitened(draws(60, len(factors))) @ torch.diag(torch.tensor(factors).double()) @ turn.T


A, B = (1.0, 2.0, 0.5, 3.0), (2.0, 2.0, 1.5, 0.0)
APART = sum((a - b) ** 2 for a, b in zip(A, B, strict=True))


def unsquared(a, b):
    """A planted mistake: standard deviations where variances belong."""
    stds = [torch.cov(x.T).trace() ** 0.5 for x in (a, b)]
    return float((a.mean(0) - b.mean(0)).square().sum() + (stds[0] - stds[1]).square())


def commuting(a, b):
    """Another: right for covariances that commute, and only for these."""
    values = [torch.linalg.eigvalsh(torch.cov(x.T)).clamp(min=0).sqrt() for x in (a, b)]
    return float((a.mean(0) - b.mean(0)).square().sum() + (values[0] - values[1]).square().sum())


def by_scipy(a, b):
    s, r = torch.cov(a.T), torch.cov(b.T)
    root = torch.from_numpy(sqrtm((s @ r).numpy()).real)
    return float((a.mean(0) - b.mean(0)).square().sum() + (s + r - 2 * root).trace())


@pytest.mark.parametrize("turn", [None, rotation(4)], ids=["diagonal", "commuting"])
def test_distance_of_gaussians_in_closed_form(turn):
    shift = torch.tensor([1.0, -2.0, 0.0, 0.5])
    a, b = scaled(A, turn), scaled(B, turn) + shift
    assert frechet_distance(a, b) == pytest.approx(APART + 5.25, rel=1e-10)
    assert frechet_distance(a, a + shift) == pytest.approx(5.25, rel=1e-10)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-10)
    assert abs(unsquared(a, b) - APART - 5.25) > 0.1


def test_distance_is_zero_on_itself_even_with_idle_features():
    a = torch.cat([draws(50, 6), torch.zeros(50, 3), draws(50, 6) @ draws(6, 30)], 1)
    assert abs(frechet_distance(a, a)) < 1e-9
    assert abs(frechet_distance(a, a.flip(0))) < 1e-9
    assert frechet_distance(a, a * 1.01) > 1e-4


def test_distance_agrees_with_scipy_and_is_blind_to_a_rotation():
    a, b = draws(80, 7) @ draws(7, 7, seed=1), draws(70, 7, seed=2) @ draws(7, 7, seed=3) + 1
    found = frechet_distance(a, b)
    assert found == pytest.approx(by_scipy(a, b), rel=1e-8)
    assert found == pytest.approx(frechet_distance(a @ rotation(7), b @ rotation(7)), rel=1e-10)
    assert frechet_distance(a @ rotation(7), b) != pytest.approx(found, rel=1e-2)
    assert commuting(a, b) != pytest.approx(found, rel=1e-2)


def brute_force(real, generated, k):
    def share(points, balls):
        radii = torch.cdist(balls, balls).sort(1).values[:, k]
        return sum(bool(((p - balls).norm(dim=1) <= radii).any()) for p in points) / len(points)

    return share(generated, real), share(real, generated)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_those_of_brute_force(k, monkeypatch):
    monkeypatch.setattr(
        "proxlab.diffusion.digit_quality.CHUNK", 17
    )  # so that the last chunk is a part
    real, generated = draws(90, 3), 1.3 * draws(60, 3, seed=1) + 0.3
    found = precision_recall(real, generated, k)
    assert found == brute_force(real, generated, k)
    assert found != brute_force(generated, real, k)
    assert found != brute_force(real, generated, k - 1)  # a point counted as its own neighbour
    assert precision_recall(real + 1e4, generated + 1e4, k) == found


def clouds(*centres, spread=0.1, seed=0):
    return torch.cat([draws(100, 2, seed=seed + 7 * i) * spread + c for i, c in enumerate(centres)])


def test_a_dropped_mode_costs_recall_and_spread_costs_precision():
    real = clouds(0, 10)
    good = precision_recall(real, clouds(0, 10, seed=3))
    dropped = precision_recall(real, clouds(0, 0, seed=3))
    spread = precision_recall(real, clouds(0, 10, spread=1.0, seed=3))
    assert min(good) > 0.85
    assert dropped.precision > 0.85 and dropped.recall < 0.55
    assert spread.precision < 0.3 and spread.recall > 0.9
    assert precision_recall(real, clouds(5, 15, seed=3)) == (0, 0)


@pytest.mark.parametrize(
    "a, b, message",
    [
        (draws(5), draws(5, 2), r"features are \[N, F\] with N at least 2, got \[5\]"),
        (draws(1, 2), draws(5, 2), r"got \[1, 2\]"),
        (draws(5, 3), draws(5, 2), "of one network are compared, got 3 and 2"),
        (draws(5, 2), draws(5, 2) / 0, "features are finite, got NaN or infinity"),
    ],
)
def test_what_is_no_cloud_is_refused(a, b, message):
    for measure in (frechet_distance, precision_recall):
        with pytest.raises(ValueError, match=message):
            measure(a, b)


@pytest.mark.parametrize("k", [0, 5])
def test_k_counts_other_points(k):
    with pytest.raises(ValueError, match=f"other points of a cloud, 1 to 4 here, got {k}"):
        precision_recall(draws(9, 2), draws(5, 2), k)


@pytest.fixture
def classifier():
    return DigitClassifier(DigitClassifierConfig(widths=(8, 8, 8), features=16)).eval()


def test_levels_are_floats_and_values_outside_are_clamped(classifier):
    levels = torch.randint(256, (9, 1, 28, 28), dtype=torch.uint8)
    features = digit_features(levels, classifier)
    assert features.dtype == torch.float64 and not features.requires_grad
    assert torch.equal(features, digit_features(levels / 255, classifier))
    beyond = torch.where(levels == 255, 1.2, torch.where(levels == 0, -0.2, levels / 255))
    assert torch.equal(features, digit_features(beyond, classifier))
    with pytest.raises(ValueError, match="values from nan"):
        digit_features(beyond * torch.nan, classifier)
    with pytest.raises(ValueError, match="floats in .0, 1. or uint8 levels, got torch.int64"):
        digit_features(levels.long(), classifier)


def test_the_figures_of_samples_see_labels_and_confidence(classifier):
    images = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    reference = digit_features(images, classifier)
    same = judge_digits(images, classifier, reference)
    assert same["samples"] == 40 and abs(same["frechet_distance"]) < 1e-9
    assert same["precision"] == same["recall"] == 1
    chances = classifier(images).detach().softmax(1)
    assert same["confidence"] == pytest.approx(float(chances.amax(1).mean()), rel=1e-5)
    with torch.no_grad():
        classifier.head.weight.zero_()
        classifier.head.bias.copy_(20 * (torch.arange(10) == 4))
    one = judge_digits(images[:20], classifier, reference)
    assert one["label_shares"] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0] and one["label_entropy"] == 0
    assert one["confidence"] > 0.999


@pytest.mark.skipif(NAME not in checkpoints.models(), reason="the classifier is not shipped")
@pytest.mark.skipif("PROXLAB_DATA" not in os.environ, reason="PROXLAB_DATA has MNIST")
def test_blur_noise_and_one_digit_score_worse_than_digits():
    model = checkpoints.load_classifier(NAME)
    images, labels = load_digits("test")
    real, other = images[:1000] / 255, images[1000:2000] / 255
    reference = digit_features(real, model)
    good = judge_digits(other, model, reference)
    blurred = torch.from_numpy(gaussian(other.numpy(), (0, 0, 1.5, 1.5)))
    sevens = images[labels == 7][:1000] / 255
    noise = torch.rand(real.shape, generator=torch.Generator().manual_seed(0))
    bad = {
        name: judge_digits(x, model, reference)
        for name, x in (("blur", blurred), ("sevens", sevens), ("noise", noise))
    }
    assert all(b["frechet_distance"] > 4 * good["frechet_distance"] for b in bad.values())
    assert good["label_entropy"] > 2.2 > 0.2 > bad["sevens"]["label_entropy"]
    assert good["recall"] > 3 * bad["sevens"]["recall"]
    assert good["precision"] > 0.2 + bad["noise"]["precision"] and bad["noise"]["recall"] < 0.1
    assert good["confidence"] > 0.98 and bad["noise"]["confidence"] < 0.9


def test_fid_says_what_is_missing_and_never_fetches(tmp_path, monkeypatch):
    x = torch.rand(4, 1, 28, 28)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("it asked the network"))
    monkeypatch.setattr(inception, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r'torchmetrics and torch-fidelity.*"proxlab.benches."'):
        inception.inception_distance(x, x)
    monkeypatch.setattr(inception, "find_spec", lambda name: name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match=f"put {inception.NAMES[0]} .* into .*checkpoints"):
        inception.inception_distance(x, x)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / inception.NAMES[1]).write_bytes(b"other")
    assert inception.find_weights().path == folder / inception.NAMES[1]
    with pytest.raises(ValueError, match="known here have 6726825d0af5f729.* fetch it again"):
        inception.inception_distance(x, x)
    for wrong in (x[0], x.repeat(1, 2, 1, 1), (255 * x).byte()):
        with pytest.raises(ValueError, match="FID takes float images"):
            inception.inception_distance(x, wrong)
    with pytest.raises(ValueError, match="at least 2 images of each kind, none of them NaN"):
        inception.inception_distance(x, x[:1])


def test_even_labels_have_the_largest_entropy(classifier):
    """ln 10: the classifier is made to name ten digits by the brightness of an image."""
    images = torch.arange(10).repeat(5).view(-1, 1, 1, 1).expand(-1, 1, 28, 28) / 10.0

    class Reader(DigitClassifier):
        def features(self, x):
            return torch.nn.functional.one_hot((x[:, 0, 0, 0] * 10).round().long(), 16).float()

    reader = Reader(classifier.config)
    with torch.no_grad():
        reader.head.weight.copy_(torch.eye(10, 16) * 50)
    found = judge_digits(images, reader, digit_features(images, reader))
    assert found["label_entropy"] == pytest.approx(math.log(10))
    assert found["label_shares"] == [0.1] * 10
