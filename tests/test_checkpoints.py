"""Model files: exact round trips, and one sentence for every file that is not one."""

import pytest
import torch

from proxlab import checkpoints
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN


@pytest.fixture
def saved(tmp_path):
    model = LPN(MixturePotential(MixtureConfig(4, 2, context=1)))
    return model, checkpoints.save(tmp_path / "mine", model, {"what": "a test"})


def test_round_trip_is_exact(saved):
    model, path = saved
    again = checkpoints.load(path)
    x = torch.rand(1, 1, 12, 12)
    with torch.no_grad():
        assert torch.equal(again.prox(x, 0.1), model.prox(x, 0.1))


def test_an_existing_model_is_kept(saved):
    model, path = saved
    with pytest.raises(FileExistsError):
        checkpoints.save(path, model, {})


def corrupt(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def rename_card(path):
    path.with_suffix(".json").rename(path.with_name("other.json"))


def other_kind(path):
    path.with_suffix(".json").write_text('{"kind": "bicycle"}')


def kind_of_no_name(path):
    path.with_suffix(".json").write_text('{"kind": []}')


def not_json(path):
    path.with_suffix(".json").write_text("{")


def other_shape(path):
    card = path.with_suffix(".json")
    card.write_text(card.read_text().replace('"components": 4', '"components": 5'))


@pytest.mark.parametrize(
    "damage, message",
    [
        (corrupt, "sha256"),
        (rename_card, "is missing"),
        (other_kind, "does not describe"),
        (kind_of_no_name, "does not describe"),
        (not_json, "is not JSON"),
        (other_shape, "does not fit the architecture"),
    ],
)
def test_damage_is_said(saved, damage, message):
    damage(saved[1])
    with pytest.raises(ValueError, match=message):
        checkpoints.load(saved[1])


def test_what_was_checked_is_what_is_read(saved, monkeypatch):
    """A file that is exchanged after its sha256 was taken."""
    path = saved[1].with_suffix(".safetensors")
    whole = checkpoints.hashlib.sha256

    def exchanged(content):
        path.write_bytes(b"something else")
        return whole(content)

    monkeypatch.setattr(checkpoints.hashlib, "sha256", exchanged)
    checkpoints.load(path)
    assert path.read_bytes() == b"something else"


def test_a_model_of_no_kind_is_not_saved(tmp_path):
    with pytest.raises(TypeError, match="Linear has no row in proxlab.model_kinds.KINDS"):
        checkpoints.save(tmp_path / "mine", torch.nn.Linear(1, 1), {})


def test_a_network_with_its_configuration_is_of_one_kind():
    networks = [(row.network, row.config) for row in checkpoints.KINDS.values()]
    assert len(set(networks)) == len(networks)


@pytest.mark.parametrize(
    "name, message",
    [
        ("m.pt", "pickle"),
        ("lpn-blue", "known are tv, wavelets, none, crate-completion, .*lpn-gray"),
        *((name, "no prior is called") for name in ("", ".", "..", "\0", "a" * 300, "A/lpn-gray")),
        *((name, "no prior is called") for name in ("../weights/lpn-gray", "./tv", "LPN-GRAY")),
        *((f"{name}.safetensors", "is missing") for name in ("a" * 300, "\0", "..")),
    ],
)
def test_unknown_names_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        checkpoints.load(name)


def test_shipped_models_load_and_are_small():
    loaders = {
        "prior": checkpoints.load,
        "diffusion model": checkpoints.load_diffusion,
        "classifier": checkpoints.load_classifier,
    }
    for name, card in checkpoints.models().items():
        loaders[checkpoints.KINDS[card["kind"]].use](name)
    sizes = [p.stat().st_size for p in checkpoints.SHIPPED.glob("*.safetensors")]
    assert sizes and max(sizes) < 16 * 2**20 and sum(sizes) < 80 * 2**20
