"""What an archive of residuals says of itself, so that no other is mixed in and none is used before it is whole."""

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts import paths, texts, times
from contracts.constants import HOUR
from contracts.errors import UserError
from model_server.config import Model, ResidualNoise
from model_server.models.base import ForecastModel, identity_of


def contents(model: ForecastModel, chosen: Model, settings: ResidualNoise) -> dict[str, object]:
    """What an archive holds: whose residuals, over what, from where."""
    first, last = settings.period
    return {**of_model(model, chosen), "nature": settings.nature, "first": times.name(first), "last": times.name(last)}


def of_model(model: ForecastModel, chosen: Model) -> dict[str, object]:
    """By which model something was made, and over what step."""
    return {"model": model.name, "identity": msgspec.to_builtins(identity_of(model, chosen.options)),
            "spectral_filter": msgspec.to_builtins(chosen.spectral_filter),
            "step_hours": model.time_step.total_seconds() / HOUR}


@dataclass(frozen=True)
class Note:
    """The file beside the residuals of `folder`."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "made.json"

    @property
    def is_complete(self) -> bool:
        return bool(self._read().get("complete"))

    def write(self, held: dict[str, object], complete: bool) -> None:
        with paths.atomic(self.path) as partial:
            partial.write_text(json.dumps({**held, "complete": complete}, indent=1) + "\n")

    def refuse_other(self, asked: dict[str, object]) -> None:
        """Raises UserError where something else than `asked` is held there; what a note of before does not tell counts
        as agreeing."""
        found = {**asked, **self._read()}
        for name, value in asked.items():
            if found[name] != value:
                raise UserError(f"{self.folder}: holds residuals with {name} = {found[name]!r}, asked for {value!r}; "
                                "name another [model.noise] archive or remove this one")

    def _read(self) -> dict[str, object]:
        return texts.record(self.path) if self.path.exists() else {}
