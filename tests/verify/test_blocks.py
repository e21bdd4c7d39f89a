"""Blocks of days against their definition, computed slowly."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from contracts.errors import UserError
from tests.verify.case import no_fit
from verify import blocks
from verify.blocks import Named
from verify.score_file import Scores

START, STEP, CHANNELS = datetime(1990, 1, 1, tzinfo=UTC), timedelta(hours=12), ("temperature_500", "temperature_850")
NAMES = [f"{ensemble}_{score}" for ensemble in blocks.ENSEMBLES for score in ("rmse", "spread")]


def scores(seed: int, count: int = 17) -> list[Scores]:
    """Random ones of `count` times, 12 h apart."""
    rng = np.random.default_rng(seed)
    return [Scores(START + number * STEP, 20, "truth", ("global",), CHANNELS, no_fit(), {},
                   {name: rng.uniform(1, 2, (1, 2)) for name in NAMES}) for number in range(count)]


def test_an_error_of_a_block_is_the_root_of_its_mean_square_and_the_ratio_that_of_a_reliable_ensemble():
    made = scores(1)
    (found,) = blocks.cut([Named("a", made)], days=3, skip=2)
    assert [[cycle.time for cycle in block] for block in found] == [
        [START + (4 + 6 * b + i) * STEP for i in range(6)] for b in range(2)]
    errors = blocks.errors(found, "temperature_850")
    for b in range(2):
        rows = [made[4 + 6 * b + i].against_truth for i in range(6)]
        rmse = np.sqrt(sum(row["analysis_rmse"][0, 1] ** 2 for row in rows) / 6)
        spread = np.sqrt(sum(row["analysis_spread"][0, 1] ** 2 for row in rows) / 6)
        assert errors.rmse[b, 1] == pytest.approx(rmse)
        assert errors.reliability[b, 1] == pytest.approx(np.sqrt(21 / 20) * spread / rmse)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(3)
    values = rng.standard_normal((5, 20_000))  # blocks, repetitions; mean 0
    covered = np.abs(values.mean(axis=0)) <= blocks.interval(values)
    assert covered.mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 20_000))


def test_a_difference_is_paired_by_block():
    """Blocks that differ among themselves by far more than the two experiments do."""
    made = scores(1)
    better = [replace(cycle, against_truth={name: 0.9 * value for name, value in cycle.against_truth.items()})
              for cycle in made]
    text = blocks.markdown([Named("control", made), Named("better", better)], CHANNELS[:1], days=2, skip=0)
    row = next(line for line in text.splitlines() if line.startswith("| better"))
    assert row.count("-10.0 ± 0.0") == 2
    assert "4 blocks of 2 days, the first 0 days left out; % against control" in text


def test_a_block_counts_where_all_experiments_have_it_whole():
    gap = scores(2)
    del gap[9]
    pair = [Named("a", scores(1)), Named("b", gap)]
    assert [len(each) for each in blocks.cut(pair, days=2, skip=0)] == [2, 2]
    with pytest.raises(UserError, match="share 1 whole ones"):
        blocks.cut(pair, days=3, skip=0)
    with pytest.raises(UserError, match="begin at 1990010100, 1990010112"):
        blocks.cut([Named("a", scores(1)), Named("b", scores(2)[1:])], days=2, skip=0)


def test_a_region_is_compared_by_its_own_scores():
    made = scores(1)
    regions = [replace(cycle, regions=("global", "tropics"), against_truth={
        name: np.concatenate([values, 2 * values]) for name, values in cycle.against_truth.items()}) for cycle in made]
    tropics = [cycle.of_region("tropics") for cycle in regions]
    assert tropics[0].score("analysis_rmse", CHANNELS[0]) == regions[0].score("analysis_rmse", CHANNELS[0], 1)
    text = blocks.markdown([Named("control", made), Named("tropics", tropics)], CHANNELS[:1], days=2, skip=0)
    assert "+100.0 ± 0.0" in text
    with pytest.raises(UserError, match="no region 'north': choose one of global, tropics"):
        regions[0].of_region("north")
