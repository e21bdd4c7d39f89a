"""When the cycle of the IODA tests is, and where its rows come from."""

from datetime import UTC, datetime, timedelta

from contracts.observations import Source

CYCLE = datetime(2020, 11, 1, 12, tzinfo=UTC)
SOURCE = Source(CYCLE, (CYCLE - timedelta(hours=3), CYCLE + timedelta(hours=2)), ("a", "b"), ("12", "34"), 1800)
