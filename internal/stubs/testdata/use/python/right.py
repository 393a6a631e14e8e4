"""A program that uses the stubs."""

from typing import Any

import orca
from stubs import pit_wall, racing, windows

grip = orca.Processor("grip")
recent = racing.speed_v1_0_0.last(5)
needs = [recent, racing.speed_v2_10_0, racing.report, racing.done, pit_wall.speed]


@grip.algorithm("Grip", "1.0.0", windows.lap_v1_0_0, needs=needs)
def grip_of(run: orca.Run) -> float:
    """How well the tyres hold."""
    speed: float = run[recent].value
    wheels: list[float] = run[racing.speed_v2_10_0].value
    report: dict[str, Any] = run[racing.report].value
    return speed + wheels[0] + len(report)
