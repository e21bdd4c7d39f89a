"""The status as metrics in text that is OpenMetrics 1.0 and Prometheus' 0.0.4, to which the last line is a comment;
a node exporter collects it from a text file."""

import math
from collections.abc import Iterator

from verify.status import Status

Labels = dict[str, str]


def text(status: Status) -> str:
    """One gauge per line, a line of help and type before each name; numbers that are not known are left out."""
    lines = []
    for name, help_text, samples in _metrics(status):
        known = [(labels, value) for labels, value in samples if not math.isnan(value)]
        if known:
            lines += [f"# HELP letkf_{name} {help_text}", f"# TYPE letkf_{name} gauge"]
            lines += [f"letkf_{name}{_labels({'experiment': status.experiment} | labels)} {value:.10g}"
                      for labels, value in known]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _metrics(status: Status) -> Iterator[tuple[str, str, list[tuple[Labels, float]]]]:
    """Name, help, and samples with their labels."""
    progress = status.last_progress.timestamp() if status.last_progress else math.nan
    yield "stalled", "1 where the experiment is STALLED.", [({}, float(status.state == "STALLED"))]
    yield "running", "1 where something is at work on it.", [({}, float(status.state == "running"))]
    yield "cycles_finished", "Cycles that are scored.", [({}, status.finished)]
    yield "cycles_planned", "Cycles of the whole experiment.", [({}, status.planned)]
    yield "last_progress_timestamp_seconds", "When the last file appeared.", [({}, progress)]
    scored = [cycle for cycle in status.cycles if cycle.counts]
    if not scored:
        return
    last = scored[-1]
    yield "stage_seconds", "Seconds that a stage took in the last scored cycle.", [
        ({"stage": name}, math.nan if stage.seconds is None else stage.seconds) for name, stage in last.stages.items()]
    yield "observations", "Observations of the last scored cycle by fate.", [
        ({"fate": fate}, number) for fate, number in last.counts.items()]
    yield "observation_files", "Files of observations of the last scored cycle by fate.", [
        ({"fate": fate}, len(names)) for fate, names in last.files.items()]
    for name, help_text in (("omb_rms", "RMS of observation minus background"),
                            ("oma_rms", "RMS of observation minus analysis"),
                            ("background_spread", "Background spread at the observations"),
                            ("error", "RMS of the observation errors given")):
        yield f"departures_{name}", f"{help_text}, last scored cycle, assimilated.", [
            ({"quantity": quantity, "units": found.units}, getattr(found, name))
            for quantity, found in last.departures.items()]


def _labels(labels: Labels) -> str:
    escaped = {name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
               for name, value in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
