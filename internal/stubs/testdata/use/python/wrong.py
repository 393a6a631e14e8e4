"""A program that uses the stubs wrongly."""

import orca
from stubs import racing


def wrong(run: orca.Run) -> None:
    wheels: list[float] = run[racing.speed_v1_0_0].value  # WRONG
    speed: float = run[racing.speed_v2_10_0].value  # WRONG
    print(run[racing.report].value + 1)  # WRONG
    print(racing.speed)  # WRONG: which of them?
    print(wheels, speed)
