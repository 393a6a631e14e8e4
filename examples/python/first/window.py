"""The first window: it is emitted, processed by the first processor, and its results are printed."""

from datetime import datetime, timedelta, timezone

import orca

lap = orca.WindowType("Lap", "1.0.0")

if __name__ == "__main__":
    start = datetime(2026, 3, 1, 14, 0, tzinfo=timezone.utc)
    with orca.Client() as client:
        emission = client.emit(orca.Window(lap, start, start + timedelta(seconds=88), origin="first-window"))
        outcome = client.wait(emission, timeout=60)
        for node in outcome.nodes:
            print(node)
        outcome.check()
