"""The first processor: two algorithms that run for each lap, one on the result of the other."""

import logging

import orca

lap = orca.WindowType("Lap", "1.0.0", description="One lap of 5.891 km")
racing = orca.Processor("racing")


@racing.algorithm("Speed", "1.0.0", lap)
def speed(run: orca.Run) -> float:
    return 5891 / run.window.seconds  # m/s


@racing.algorithm("SpeedKmh", "1.0.0", lap, needs=[speed])
def speed_kmh(run: orca.Run) -> float:
    return 3.6 * run[speed].value


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    racing.run()
