"""Seconds and memory of an analysis on any number of ranks, from its costs."""

from dataclasses import replace

import numpy as np

from letkf_mpi import memory
from letkf_mpi.local import tiles
from letkf_mpi.memory import Size
from letkf_mpi.ranks.layouts import GROUP_BYTES
from tests.benchmarks.scaling.costs import Costs
from tests.benchmarks.scaling.problem import Problem

RANKS = (1, 4, 16, 64, 128, 256, 512, 1024)
RANKS_ON_NODE = 64
FIELDS = 5  # by level: inflation, count, weight, relaxation factor, signal
COPY = 0.5e-9  # s a byte, laid into the memory of a node
PHASES = ("read", "H(x)", "share", "exchange", "local analyses", "diagnostics", "write")


def filesystem_bytes(problem: Problem) -> tuple[float, float]:
    """Read and written by all ranks together, each once."""
    columns, levels = problem.space.grid.size, problem.space.analysis_levels.size
    state, field = 4.0 * len(problem.space.channels) * columns, 8.0 * levels * columns
    return problem.members * state, (problem.members + 2) * state + FIELDS * field


def predict(problem: Problem, costs: Costs, ranks: int, filesystem: float) -> dict[str, float]:
    """Seconds of each phase on so many ranks; `filesystem` in bytes a second."""
    k, nobs, beside = problem.members, len(problem.table), 2 + FIELDS
    node, (ensemble, written) = min(ranks, RANKS_ON_NODE), filesystem_bytes(problem)
    parts, members, state = max(1, ranks // k), -(-k // ranks), ensemble / k
    mine = k / ranks if ranks > k else members
    shares, call = tiles.share(costs.tiles, ranks), costs.calls * (ranks if ranks > 1 else 0)
    team = (ranks - 1) // (k + beside)  # 0 where a rank writes whole files, of which it has this many members' worth
    own = 1 / team if team else members + (written - ensemble) / state / min(ranks, beside)
    files = 1 if team else members + beside / min(ranks, beside)
    writing = own * costs.fill + costs.lay_down if team > 1 else own * costs.write + files * costs.write_file
    drawn = min(nobs, 2**17) * costs.draw if ranks > 1 else 0.0
    carry = costs.carry if ranks > 1 else costs.carry_alone
    there, back = costs.to_columns + carry, costs.to_members + carry
    last = drawn + costs.tell / ranks + 5 * 8 * nobs * back / 2 + call + costs.departures
    return {
        "read": costs.first_read + costs.table
        + max(members * costs.read_file + mine * costs.read, ensemble / filesystem),
        "H(x)": (costs.set_up + costs.judge + k * (2 * costs.fetch + 2 * costs.apply)) / ranks + 4 * call
        + costs.few + costs.asked + 8 * costs.entries / parts * there + 8.0 * nobs * k / node * COPY,
        "share": costs.sort / node + costs.strips + costs.count / ranks + costs.blocks + costs.share,
        "exchange": there * ensemble / ranks + 4 * call + back * (ensemble / ranks + own * state) / 2,
        "local analyses": costs.prepare / node + costs.prepare_alone
        + max(costs.tiles[list(of_rank)].sum() for of_rank in shares),
        "diagnostics": costs.look / ranks,
        "write": costs.first_write + max(writing + last, written / filesystem),
    }


def size(problem: Problem, ranks: int) -> Size:
    levels = np.unique(problem.space.pressure).size
    return Size(problem.members, len(problem.space.channels), problem.space.grid.size, levels, len(problem.table),
                ranks, min(ranks, RANKS_ON_NODE), GROUP_BYTES)


def table_of(problem: Problem, costs: Costs, filesystem: float) -> list[str]:
    """Lines of a table in Markdown."""
    lines = ["| ranks | " + " | ".join(PHASES) + " | all, s | efficiency | permitted | GB a rank | "
             "GB a node of 64 |", "|" + " --- |" * (len(PHASES) + 6)]
    one = sum(predict(problem, costs, 1, filesystem).values())
    files = sum(filesystem_bytes(problem)) / filesystem
    solving = sum(predict(problem, replace(costs, read=0.0, write=0.0), 1, np.inf).values())
    for ranks in RANKS:
        phases, needed = predict(problem, costs, ranks, filesystem), memory.estimate(size(problem, ranks))
        total, ideal = sum(phases.values()), one / ranks
        permitted = min(1.0, ideal / (solving / ranks + files)), min(1.0, ideal / max(files, solving / ranks))
        cells = [f"{ranks}", *(f"{phases[name]:.2f}" for name in PHASES), f"{total:.2f}", f"{ideal / total:.2f}",
                 " to ".join(f"{share:.2f}" for share in permitted), f"{needed.each / 1e9:.1f}",
                 f"{needed.node / 1e9:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    fewer, most = (predict(problem, costs, ranks, np.inf) for ranks in (RANKS[-1] // 2, RANKS[-1]))
    rest = {name: 2 * taken - fewer[name] for name, taken in most.items()}  # of a part that halves, and one that stays
    lines.append(f"what no longer shrinks, the file system aside: {sum(rest.values()):.2f} s: "
                 + ", ".join(f"{name} {left:.3f}" for name, left in rest.items()))
    return lines
