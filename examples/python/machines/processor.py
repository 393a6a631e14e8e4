"""Algorithms that look back: a trend over the last results, a smoother that takes its own, a report of each minute."""

from dataclasses import dataclass

import orca

machine = orca.Field("machine", str, filter=True, description="Its serial number")
celsius = orca.Field("celsius", float, nullable=True, description="What its sensor read, or null")

second = orca.WindowType("MachineSecond", "1.0.0", description="One second of one machine", fields=[machine, celsius])
minute = orca.WindowType("MachineMinute", "1.0.0", description="One minute of one machine", fields=[machine])

machines = orca.Processor("machines")


@machines.algorithm("Temperature", "1.0.0", second)
def temperature(run: orca.Run) -> float:
    reading = run.window[celsius]
    if reading is None:
        raise orca.Failure("the sensor gave no number", {"machine": run.window[machine]})
    return reading


@machines.algorithm("Trend", "1.0.0", second, needs=[temperature.last(60)])
def trend(run: orca.Run) -> float:
    """Degrees per minute, over the last 60 results."""
    rows = run[temperature]
    if len(rows.past) < 10:
        raise orca.Failure(f"only {len(rows.past)} results before this one")
    return slope([(-row.age_ns / 60e9, row.value) for row in rows])


@machines.algorithm("Smooth", "1.0.0", second, needs=[temperature], needs_self=orca.last(1))
async def smooth(run: orca.Run) -> float:
    """The temperature without its noise."""
    now = run[temperature].value
    before = run[smooth].latest
    if before is None or before.age_ns > 10_000_000_000:
        return now  # there is none yet, or it is too old to say anything
    return 0.25 * now + 0.75 * before.value


@dataclass
class Report:
    """What is known of one minute."""

    mean: float
    highest: float
    seconds: int


@machines.algorithm("MinuteReport", "1.0.0", minute, needs=[temperature.over("1m")])
def report(run: orca.Run) -> Report:
    measured = run[temperature].values
    if not measured:
        raise orca.Failure("nothing was measured in this minute")
    return Report(sum(measured) / len(measured), max(measured), len(measured))


def slope(points: list[tuple[float, float]]) -> float:
    """Fit a line by least squares and give its slope."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


if __name__ == "__main__":
    machines.run()
