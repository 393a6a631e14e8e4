"""A program with a processor whose algorithm never ends: stubborn.py CORE FILE."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import orca

lap = orca.WindowType("Lap", "1.0.0")
core, begun = sys.argv[1:]
proc = orca.Processor("racing", core=core, listen="127.0.0.1:0", drain=0.1, environment=False)


@proc.algorithm("Endless", "1.0.0", lap)
def endless(run: orca.Run) -> float:
    Path(begun).touch()
    while True:
        time.sleep(1)


proc.run()
