"""Algorithms at the top level of a module, as other processes need them."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

import orca

fields = [orca.Field("seconds", float), orca.Field("file", str)]
task = orca.WindowType("Task", "1.0.0", description="Something to do", fields=fields)
part = orca.WindowType("Part", "1.0.0", description="What an algorithm emits")
plant = orca.Processor("plant", listen="127.0.0.1:0", environment=False)


@plant.algorithm("Where", "1.0.0", task)
def where(run: orca.Run) -> dict[str, float]:
    return {"pid": os.getpid(), "window": run.window.seconds}


@plant.algorithm("Sum", "1.0.0", task, needs=[where], needs_self=orca.last(2))
def total(run: orca.Run) -> list[float]:
    return [run[where].value["window"], len(run.own)]


@plant.algorithm("Hold", "1.0.0", task)
def hold(run: orca.Run) -> float:
    """Hold the interpreter's lock: PyDLL does not let go of it."""
    Path(run.window.metadata["file"]).touch()
    ctypes.PyDLL(None).usleep(int(run.window.metadata["seconds"] * 1e6))
    return run.window.metadata["seconds"]


@plant.algorithm("Wait", "1.0.0", task)
def wait(run: orca.Run) -> float:
    """Last until the file is there."""
    while not Path(run.window.metadata["file"]).exists():
        time.sleep(0.01)
    return 1


@plant.algorithm("Fail", "1.0.0", task)
def fail(run: orca.Run) -> float:
    raise orca.Failure("too cold", {"celsius": -3.5})


@plant.algorithm("Break", "1.0.0", task)
def broken(run: orca.Run) -> float:
    raise ValueError("not a number")


@plant.algorithm("Emit", "1.0.0", task)
def emits(run: orca.Run) -> dict[str, str]:
    begin, end = run.window.time_from, run.window.time_to
    window = orca.Window(part, begin, end, origin=str(os.getpid()))
    first, again = (run.emit(window, idempotency_key=f"part-{begin}") for _ in range(2))
    assert first == again
    return {"id": first.window_id}


@plant.algorithm("Origin", "1.0.0", part)
def origin(run: orca.Run) -> float:
    return float(run.window.origin)


@plant.algorithm("Die", "1.0.0", task)
def die(run: orca.Run) -> float:
    os._exit(1)
