"""The first processor: two algorithms that run for each lap, one on the result of the other."""

import logging

import orca

lap = orca.WindowType("Lap", "1.0.0", description="One lap of 5.891 km")
processor = orca.Processor("my-project")


@processor.algorithm("Speed", "1.0.0", lap)
def speed(run: orca.Run) -> float:
    return 5891 / run.window.seconds  # m/s


@processor.algorithm("SpeedKmh", "1.0.0", lap, needs=[speed])
def speed_kmh(run: orca.Run) -> float:
    return 3.6 * run[speed].value


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    processor.run()
