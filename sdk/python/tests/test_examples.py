"""The examples run as users run them: as programs, beside a real core."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from conftest import RealCore, wait_for_processor

EXAMPLES = Path(__file__).parents[3] / "examples" / "python"


def environment(core: RealCore) -> dict[str, str]:
    source = str(Path(__file__).parents[1] / "src")
    return {**os.environ, "ORCA_CORE": core.address, "PYTHONPATH": source, "PROCESSOR_ADDRESS": "127.0.0.1:0"}


@contextmanager
def example(path: str, core: RealCore) -> Generator[subprocess.Popen[str]]:
    """Run an example that serves, and end it in order."""
    env = {**environment(core), "PROCESSOR_PORT": "0"}
    process = subprocess.Popen([sys.executable, EXAMPLES / path], env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()


def run_example(path: str, core: RealCore) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / path],
        env=environment(core),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_processor(core: RealCore) -> None:
    with example("first/processor.py", core):
        wait_for_processor(core, "racing", 2)
        printed = run_example("first/window.py", core)
    assert printed == "Speed 1.0.0 of racing: 66.94318389892578\nSpeedKmh 1.0.0 of racing: 240.99546813964844\n"
