"""A DAG of Go and Python: the Go program examples/first-processor measures speed, this one makes a plan of it."""

from typing import TypedDict

import orca

lap = orca.WindowType("Lap", "1.0.0", description="One lap of 5.891 km")
pit_wall = orca.Processor("pit-wall")

speed = orca.remote("racing", "Speed", "1.0.0", float)


class Plan(TypedDict):
    """What to do next."""

    call: str
    laps: int


@pit_wall.algorithm("Strategy", "1.0.0", lap, needs=[speed.last(5)])
def strategy(run: orca.Run) -> Plan:
    laps = run[speed]
    slower = laps.value < 0.98 * max(laps.values)
    return Plan(call="box" if slower else "stay out", laps=len(laps))


if __name__ == "__main__":
    pit_wall.run()
