"""Emitting from an algorithm: a session is cut into laps, which are windows of their own."""

from itertools import pairwise

import orca

session = orca.WindowType("Session", "1.0.0", description="One run on the track", fields=[orca.Field("marks", list)])
lap = orca.WindowType("SessionLap", "1.0.0", description="One lap of a session")
track = orca.Processor("track")


@track.algorithm("Laps", "1.0.0", session)
async def laps(run: orca.Run) -> list[float]:
    """The lap times. Each lap is emitted; a key of the session's own data keeps a second try from doing so again."""
    marks = [run.window.time_from + int(mark * 1e9) for mark in run.window.metadata["marks"]]
    times: list[float] = []
    for begin, end in pairwise(marks):
        window = orca.Window(lap, begin, end, origin="track")
        await run.emit_async(window, idempotency_key=f"lap-{run.window.origin}-{begin}-{end}")
        times.append(window.seconds)
    return times


@track.algorithm("LapSpeed", "1.0.0", lap)
def lap_speed(run: orca.Run) -> float:
    return 5891 / run.window.seconds


if __name__ == "__main__":
    track.run()
