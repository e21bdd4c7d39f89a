"""Model cards: one contract for all kinds of networks, those of before, and those of other packages."""

import re
import tomllib
from datetime import timedelta
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import msgspec
import pytest

from contracts import brought
from contracts.config import Section
from contracts.errors import UserError
from networks import card as cards
from networks import kinds
from networks.card import Card, GridCard, NetworkCard
from networks.climax.card import Damping
from networks.normalization import Moments
from tests.networks import climax_builders as made

SPACE = made.small_space()
DAMPED = Damping(truncation=5, factor={"2m_temperature": 0.5})
SEEN = ((made.START, made.START + timedelta(days=3)),)
MOVED = ("lead_hours", "lead_scale", "predicts", "damping")


def as_before(card: Card) -> str:
    """The card as `climax-card/1` had it, in the words of its own writer."""
    table = msgspec.to_builtins(card)
    network = table["network"]
    assert network.pop("kind") == "climax"
    moved = {name: network.pop(name) for name in MOVED}
    lines = [f"{name} = {cards._value(table[name])}" for name in ("name", "inputs", "outputs", "about", "warning")]
    lines += [f"{name} = {cards._value(value)}" for name, value in moved.items() if name != "damping"]
    lines += ['contract = "climax-card/1"', f'sha256 = "{card.sha256}"']
    for section in ("grid", "network", "normalization"):
        lines += [f"[{section}]", *(f'"{name}" = {cards._value(value)}' for name, value in table[section].items()
                                    if value is not None)]
    if moved["damping"] is not None:
        lines += ["[damping]", *(f"{name} = {cards._value(value)}" for name, value in moved["damping"].items())]
    return "\n".join(lines)


@pytest.mark.parametrize("changes", [{}, {"predicts": "field"}, {"damping": DAMPED}], ids=["plain", "field", "damped"])
def test_a_card_of_before_is_read_as_what_it_means(changes, tmp_path):
    card, path = made.card(SPACE, warning="old", **changes), tmp_path / "old.toml"
    path.write_text(as_before(card))
    assert cards.read(path, path) == card
    path.write_text(as_before(card).replace('contract = "climax-card/1"\n', ""))  # as users write them for `convert`
    assert cards.read(path, path) == card


def test_a_card_comes_back_from_its_text_to_the_last_bit(tmp_path):
    card, path = made.card(SPACE, damping=DAMPED, seen=SEEN, address="http://127.0.0.1/x"), tmp_path / "new.toml"
    path.write_text(cards.to_toml(card))
    assert cards.read(path, path) == card
    assert tomllib.loads(path.read_text())["network"]["kind"] == "climax"


@pytest.mark.parametrize(("change", "said"), [
    ('"kind" = "climax"\n', r"\[network\] says no kind"),
    ('"climax"', "unknown kind of network 'oracle'; known: .*climax"),
    ('"card/2"', "card/3"),
])
def test_a_card_of_no_known_kind_or_contract_is_refused(change, said, tmp_path):
    path = tmp_path / "odd.toml"
    other = {'"climax"': '"oracle"', '"card/2"': '"card/3"'}.get(change, "")
    path.write_text(cards.to_toml(made.card(SPACE)).replace(change, other))
    with pytest.raises(UserError, match=f"odd.toml: is no model card.*{said}"):
        cards.read(path, path)


class Mean(NetworkCard, frozen=True, tag="mean"):
    """A kind of another package."""

    weight: float


def test_a_kind_of_another_package_has_cards_like_any(monkeypatch, tmp_path):
    point = SimpleNamespace(name="mean", load=lambda: SimpleNamespace(NetworkCard=Mean))
    monkeypatch.setattr(brought, "entry_points", lambda group: [point] if group == kinds.GROUP else [])
    card = Card(name="m", grid=GridCard(nlat=8, nlon=16), network=Mean(weight=0.1 + 0.2), inputs=("temperature_500",),
                outputs=("temperature_500",), normalization={"temperature_500": Moments(mean=250.0, std=10.0)})
    path = tmp_path / "mean.toml"
    path.write_text(cards.to_toml(card))
    found = cards.read(path, path)
    assert found == card and found.kind == "mean" and isinstance(found.network, Section)
    path.write_text(path.read_text().replace('"weight" =', '"height" ='))
    with pytest.raises(UserError, match="height"):
        cards.read(path, path)


def test_ours_are_found_by_name():
    assert {kinds.module(kind).NetworkCard.__struct_config__.tag for kind in kinds.KINDS} == set(kinds.KINDS)
    assert EntryPoint("x", "networks.climax", kinds.GROUP).load() is kinds.module("climax")


@pytest.mark.parametrize(("name", "hostile"), [
    ("nlat", "100000000"), ("embed_dim", "4611686018427387904"), ("depth", "1000000"), ("bytes", "inf"),
    ("name", '"../x"'), ("mlp_ratio", "1e308"), ("lead_hours", "inf"), ("about", "\xfc"),
])
def test_a_card_of_hostile_sizes_is_one_sentence(tmp_path, name, hostile):
    path, text = tmp_path / "hostile.toml", cards.to_toml(made.card(SPACE))
    changed = re.sub(f'^("?{name}"?) = .*', rf"\1 = {hostile}", text, flags=re.MULTILINE)
    assert changed != text
    path.write_text(changed, "latin-1")
    with pytest.raises(UserError, match="hostile.toml") as told:
        cards.read(path, path)
    assert len(str(told.value)) < 500
