"""What this process uses of its machine."""

from __future__ import annotations

import os
import sys
import threading
import time

_INTERVAL = 1.0
"""The shortest time over which CPU use is measured, so that several cores that ask get sound figures."""


class Meter:
    """Measures this process since it was made."""

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._lock = threading.Lock()
        self._interval = interval
        self._started = self._at = time.monotonic()
        self._used = time.process_time()
        self._percent = 0.0

    def read(self) -> tuple[int, float, int]:
        """Give memory in bytes, the CPU since the read before in percent of what the process may use, and uptime."""
        with self._lock:
            now = time.monotonic()
            if now - self._at >= self._interval:
                used = time.process_time()
                share = 100 * (used - self._used) / ((now - self._at) * _cpus())
                self._percent = max(0.0, min(100.0, share))
                self._at, self._used = now, used
            return memory_bytes(), self._percent, int(now - self._started)


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Give the resident memory: of now on Linux, the most so far on other systems, 0 where nothing tells."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
