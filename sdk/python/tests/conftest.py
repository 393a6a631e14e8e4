"""A real core for the tests that need one, and what they share."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import orca
from orca._connection import Connection
from orca._contract.console_pb2 import ListProcessorsRequest
from orca._settings import CoreOptions, look, resolve_core

_READY = re.compile(r"^orca is ready: grpc=(\S+) ")


@dataclass
class RealCore:
    """A core process with its store in a folder."""

    address: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


_BESIDE = pytest.StashKey[dict[str, subprocess.Popen[str]]]()  # by the test's id


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have tests that wait for something beside the others wait when these are done."""
    items.sort(key=lambda item: item.get_closest_marker("beside") is not None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start what runs beside the tests."""
    started = session.config.stash[_BESIDE] = {}
    marked = [(item, mark) for item in session.items for mark in item.iter_markers("beside")]
    for item, mark in marked if not session.config.option.collectonly else ():
        test = "::".join([str(Path(__file__).with_name(mark.args[0])), *mark.args[1:]])
        command = [sys.executable, "-m", "pytest", "--quiet", test]
        started[item.nodeid] = subprocess.Popen(
            command, cwd=session.config.rootpath, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what nobody waited for."""
    for process in session.config.stash.get(_BESIDE, {}).values():
        process.kill()
        process.communicate()


@pytest.fixture
def beside(request: pytest.FixtureRequest) -> None:
    """Wait for the test that runs beside the one that is marked with it."""
    process = request.config.stash[_BESIDE].pop(request.node.nodeid)
    output, _ = process.communicate()
    if "1 skipped" in output:
        pytest.skip(output)
    if "1 passed" not in output:
        pytest.fail(output)


StartCore = Callable[..., RealCore]


def _binary() -> str:
    path = os.environ.get("ORCA_BIN", "")
    if not path:
        if os.environ.get("CI"):
            pytest.fail("ORCA_BIN does not name the command orca; make test does")
        pytest.skip("ORCA_BIN does not name the command orca; make test does")
    return path


@pytest.fixture
def start_core(tmp_path: Path) -> Generator[StartCore]:
    """Start cores: again on the same store and port when the address is given."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str, grpc: str = "127.0.0.1:0", store: str = "orca.db", **env: str) -> RealCore:
        store = f"sqlite:{tmp_path / store}"
        command = [_binary(), "serve", "--grpc", grpc, "--http", "127.0.0.1:0", "--store", store, *options]
        around = {name: value for name, value in os.environ.items() if not name.startswith("ORCA_")}
        with (tmp_path / "core.log").open("a") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env={**around, **env})
        processes.append(process)
        assert process.stdout is not None
        ready = _READY.match(process.stdout.readline())
        assert ready, (tmp_path / "core.log").read_text()
        return RealCore(ready.group(1), process)

    yield start
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def core(start_core: StartCore) -> RealCore:
    return start_core()


@contextmanager
def client_of(core: RealCore) -> Generator[orca.Client]:
    with orca.Client(core.address, environment=False) as client:
        yield client


def wait_for_processor(core: RealCore, name: str, algorithms: int) -> None:
    """Return when the core knows a processor of another process, which tells nobody else."""

    async def poll() -> None:
        connection = Connection(resolve_core(CoreOptions(core.address), look(environment=False)))
        while True:
            listed = await connection.processors(ListProcessorsRequest(), wait_for_ready=True)
            if any(p.name == name and p.instances[0].algorithms == algorithms for p in listed.processors):
                break
            await asyncio.sleep(0.02)
        await connection.close()

    asyncio.run(asyncio.wait_for(poll(), 60))
