"""Scoring is the second of three teams: it says how unlike its own past a machine is."""

from dataclasses import dataclass

import orca
from stubs import features, windows

scoring = orca.Processor("scoring")
recent = features.rms.last(5)  # of the same machine, since windows of this type are told apart by it


@dataclass
class Score:
    """How unlike the past: 1 is as before, 2 twice as much."""

    factor: float
    sharp: bool
    past: int


@scoring.algorithm("Score", "1.0.0", windows.burst, needs=[recent, features.crest])
def score(run: orca.Run) -> Score:
    """How unlike its own past the machine is."""
    past = run[recent].past
    before = sum(past.values) / len(past) if past else run[recent].value
    return Score(run[recent].value / before, run[features.crest].value > 3, len(past))


if __name__ == "__main__":
    scoring.run()
