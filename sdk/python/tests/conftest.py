"""A real core for the tests that need one, and what they share."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
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
