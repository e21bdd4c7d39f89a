"""A training as it stands, in one file: everything that the next step depends on, written by rename.

Weights, optimiser moments, place in the schedule, the sum of losses of the epoch so far, the best weights of the phase,
and the record of all epochs.  Sample order and learning rate are functions of the place and need no state; nothing
else is random.  A training resumed from it goes through the same numbers as one that nobody interrupted.
"""

import pickle
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from contracts import paths
from contracts.errors import UserError
from networks import kinds
from networks.training import config
from networks.training.config import MAY_CHANGE, Settings
from networks.training.curves import Epoch, Record
from networks.training.optimiser import Optimiser
from networks.training.task import Place, Score


@dataclass
class Training:
    """What changes while training."""

    network: nn.Module
    optimiser: Optimiser
    place: Place = field(default_factory=Place)
    best: dict[str, Tensor] | None = None
    record: Record = Record()


def settings_of(settings: Settings) -> dict:
    """What must not change while a training goes on."""
    space = [str(settings.space.grid), *(channel.name for channel in settings.space.channels)]
    return {
        "seed": settings.experiment.seed, "step_hours": settings.experiment.step_hours, "state": space,
        "periods": [f"{start} to {end}" for start, end in settings.periods],
        "training": _fixed(settings.training),
        "network": _network(settings.network),
    }


def _fixed(training: config.Training) -> dict:
    return {name: value for name, value in msgspec.to_builtins(training).items() if name not in MAY_CHANGE}


def write(path: Path, training: Training, settings: Settings) -> None:
    """Raises UserError if the disk refuses."""
    record = training.record
    content = {
        "settings": msgspec.json.encode(settings_of(settings)).decode(),
        "network": training.network.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "place": asdict(training.place),
        "best": training.best,
        "epochs": [astuple(epoch) for epoch in record.epochs],
        "scores": [[astuple(score) for score in scores] for scores in record.scores],
        "references": [astuple(score) for score in record.references],
    }
    with paths.writing(path) as partial:
        torch.save(content, partial)


def resume(path: Path, training: Training, settings: Settings) -> bool:
    """Take up what stands at `path`, if anything; raises UserError where it is of another training or damaged."""
    if not path.exists():
        return False
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        _refuse_other(path, msgspec.json.decode(content["settings"]), settings)
        training.network.load_state_dict(content["network"])
        training.optimiser.load_state_dict(content["optimiser"])
        training.place = Place(**content["place"])
        training.best = content["best"]
        training.record = Record(
            tuple(Epoch(*epoch) for epoch in content["epochs"]),
            tuple(tuple(Score(*score) for score in scores) for scores in content["scores"]),
            tuple(Score(*score) for score in content["references"]),
        )
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{path}: is no training that can go on ({str(error).splitlines()[0]}); remove it to start again"
        ) from None
    return True


def _network(network: dict) -> dict:
    """[network] as it would be kept today, lists as lists."""
    kind = network.get("kind", kinds.DEFAULT)
    return {"kind": kind} | msgspec.json.decode(msgspec.json.encode(kinds.settings(network)))


def _refuse_other(path: Path, found: dict, settings: Settings) -> None:
    """Phases may be added behind those that were there; settings that were not known then count as their defaults."""
    asked = settings_of(settings)
    found["training"] = training = _fixed(msgspec.convert(found["training"], config.Training))
    found["network"] = _network(found["network"])
    training["phases"] += asked["training"]["phases"][len(training["phases"]) :]
    for section, value in asked.items():
        if found.get(section) == value:
            continue
        old, name = found.get(section), section
        if isinstance(value, dict) and isinstance(old, dict):
            name = next(key for key in value if old.get(key) != value[key])
            old, value = old.get(name), value[name]
        raise UserError(
            f"{path}: is a training with {name} = {old}, asked for {value}; give the experiment another name, or "
            "remove the folder to start again"
        )
