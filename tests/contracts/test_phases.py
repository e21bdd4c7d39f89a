"""Seconds of the phases of a program."""

from contracts.phases import Phases


def test_seconds_of_a_phase_add_up():
    phase = Phases()
    for _ in range(2):
        with phase("H(x)"):
            pass
    with phase("write"):
        pass
    assert list(phase.seconds) == ["H(x)", "write"]
    assert phase.line().startswith("seconds: H(x) 0.00, write 0.00; all 0.00")
