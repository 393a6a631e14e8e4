"""The examples run as users run them: as programs, beside a real core."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import RealCore, client_of, wait_for_processor

import orca

SDK = Path(__file__).parents[1]
EXAMPLES = SDK.parents[1] / "examples" / "python"


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
        assert process.returncode == 0
        assert [line for line in errors.splitlines() if not line.startswith("INFO:orca:")] == []
    finally:
        process.kill()
        process.communicate()


def run_example(path: str, core: RealCore, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / path],
        env=environment(core),
        cwd=cwd,
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


def machine_second(i: int) -> orca.Window:
    begin = 1_772_323_200_000_000_000 + i * 1_000_000_000
    on = orca.WindowType("MachineSecond", "1.0.0")
    metadata = {"machine": "m-1", "celsius": 20.0 + i}
    return orca.Window(on, begin, begin + 1_000_000_000, origin="test", metadata=metadata)


def test_the_machines_tests() -> None:
    source = str(Path(__file__).parents[1] / "src")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "orca.testing.plugin", "-p", "no:cacheprovider"],
        cwd=EXAMPLES / "machines",
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_the_notebook(core: RealCore, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    with example("machines/processor.py", core), client_of(core) as client:
        wait_for_processor(core, "machines", 4)
        for emission in [client.emit(machine_second(i)) for i in range(12)]:
            client.wait(emission, timeout=60)
        printed = run_example("notebook/notebook.py", core, cwd=tmp_path)
    assert printed.split() == [
        "value",
        "value_smooth",
        "count",
        "12.0",
        "12.000000",
        "mean",
        "25.5",
        "23.468324",
        "max",
        "31.0",
        "28.126705",
    ], printed
    assert (tmp_path / "m-1.png").read_bytes().startswith(b"\x89PNG")


def test_nested_windows(core: RealCore) -> None:
    with example("nested/processor.py", core), client_of(core) as client:
        wait_for_processor(core, "track", 2)
        session = orca.WindowType("Session", "1.0.0")
        begin, marks = 10**18, {"marks": [0, 88, 178.5]}
        emission = client.emit(orca.Window(session, begin, begin + 200 * 10**9, origin="s-1", metadata=marks))
        assert client.wait(emission, timeout=60).check().nodes[0].value == [88.0, 90.5]
        speeds = orca.remote("track", "LapSpeed", "1.0.0", float)
        while len(client.results(speeds)) < 2:  # they run on their own
            pass
        assert [round(v, 3) for v in client.results(speeds).values] == [65.094, 66.943]


def test_go_and_python(core: RealCore, tmp_path: Path) -> None:
    go = shutil.which("go")
    assert go, "the Go program of this example is built with go"
    binary = tmp_path / "first-processor"
    subprocess.run([go, "build", "-o", binary, "./examples/first-processor"], cwd=EXAMPLES.parents[1], check=True)
    env = {**environment(core), "PROCESSOR_PORT": "0"}
    racing = subprocess.Popen([binary], env=env, stderr=subprocess.DEVNULL)
    try:
        with example("mixed/processor.py", core), client_of(core) as client:
            wait_for_processor(core, "racing", 2)
            wait_for_processor(core, "pit-wall", 1)
            lap = orca.WindowType("Lap", "1.0.0")
            strategy = orca.remote("pit-wall", "Strategy", "1.0.0", dict[str, Any])
            plans: list[Any] = []
            for i, seconds in enumerate([88, 87, 92]):
                begin = (10**9 + 100 * i) * 10**9
                emission = client.emit(orca.Window(lap, begin, begin + seconds * 10**9, origin="test"))
                plans.append(client.wait(emission, timeout=60).check()[strategy])
        assert plans == [{"call": call, "laps": i + 1} for i, call in enumerate(["stay out", "stay out", "box"])]
    finally:
        racing.send_signal(signal.SIGINT)
        racing.wait()


def flat(path: Path) -> str:
    """Give a text without indentation, which differs where code is cut out of a function."""
    return "\n".join(line.strip() for line in path.read_text(encoding="utf-8").splitlines())


def test_the_guide_shows_this_code() -> None:
    sources = "".join(flat(path) for path in sorted(EXAMPLES.glob("*/*.py"))) + flat(SDK / "README.md")
    blocks = flat(SDK.parents[1] / "docs" / "guide" / "python.md").split("\n```python\n")[1:]
    assert len(blocks) > 10
    for block in blocks:
        assert block.split("\n```")[0] in sources
    first = flat(EXAMPLES / "first" / "processor.py").rstrip()
    assert f"```python\n{first}\n```" in flat(SDK / "README.md")
