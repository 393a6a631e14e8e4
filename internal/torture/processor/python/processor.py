"""A processor of a torture session, made with the Python SDK: what main.go in the folder above is for Go.

It reads the work from a file, and does not know when its connections were accepted, so that it is told nothing of that.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any

import orca

JSON = dict[str, Any]

EPOCH = 1_767_225_600  # 2026-01-01
SECOND = 1_000_000_000


def mix(work: JSON, n: int, inputs: list[float], past: list[str]) -> int:
    """Give the FNV-1a hash of 64 bits over what an algorithm is and what it was handed."""
    data = f"{work['processor']}/{work['name']}".encode() + struct.pack(f">Q{len(inputs)}f", n, *inputs)
    data += "".join(f"{rows}\n" for rows in past).encode()
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return found


def lasts(work: JSON, n: int) -> float:
    """Say how long the algorithm works on a window, in seconds."""
    takes, varies = int(work["takes"]), int(work["varies"])
    return (takes + (mix(work, n, [], []) % varies if varies else 0)) / SECOND


def asset_of(n: int) -> str:
    return f"machine-{n // 300}-{n % 3}"


def fields_of(n: int) -> JSON:
    """Give the metadata of the window with a number."""
    line = f"never-on-disk-line-{n // 3 % 2}"
    return {"n": n, "asset": asset_of(n), "line": line, "secret": f"never-on-disk-secret-{n}"}


def type_of(n: int) -> str:
    return {4: "Crate", 9: "Shift"}.get(n % 10, "Piece")


def texts(rows: orca.Rows[float]) -> str:
    """Write down past rows. A window that is not as it was emitted, or has what is not stored, is said to be so."""
    return " ".join(text(row) for row in rows)


def text(row: orca.Row[float]) -> str:
    window = row.window
    n = int(window.metadata["n"])
    begin = (EPOCH + n) * SECOND
    found: tuple[Any, ...] = (window.time_from, window.time_to, window.type.name, dict(window.metadata))
    good = found == (begin, begin + SECOND, type_of(n), {"n": n, "asset": asset_of(n)})
    return f"{window.origin}:{struct.pack('>f', row.value).hex()}{'' if good else f'(spoilt: {window})'}"


class Journal:
    """Where it is written down what is executed, a line with each write."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._calls = itertools.count(1)

    def begin(self, line: JSON) -> int:
        call = next(self._calls)
        self._write({**line, "call": call})
        return call

    def end(self, call: int) -> None:
        self._write({"call": call, "end": True})

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            os.write(self._file, (json.dumps({**line, "at": time.time_ns()}) + "\n").encode())
        except OSError as error:  # what is executed would not be known
            print("journal:", error, file=sys.stderr)
            os._exit(1)


def gap_of(back: JSON) -> int | str | None:
    if back["gapCount"]:
        return int(back["gapCount"])
    return back["gapSpan"] + "ns" if back["gapSpan"] != "0" else None


def need_of(need: JSON, version: str) -> orca.Dependency[float]:
    algorithm, back = orca.remote(need["processor"], need["name"], version, float), need["back"]
    if back["span"] != "0":
        return algorithm.over(back["span"] + "ns", gap=gap_of(back))
    return algorithm.last(back["count"], gap=gap_of(back)) if back["count"] else algorithm.newest(gap=gap_of(back))


def self_of(back: JSON) -> orca.Lookback:
    gap = gap_of(back)
    return orca.last(back["count"], gap=gap) if back["span"] == "0" else orca.over(back["span"] + "ns", gap=gap)


class Worker:
    """Does the work of one algorithm."""

    def __init__(self, work: JSON, needs: list[orca.Dependency[float]], rest: int, journal: Journal) -> None:
        self.work, self.needs, self.rest, self.journal = work, needs, rest, journal

    async def execute(self, run: orca.Run) -> float:
        work, metadata = self.work, run.window.metadata
        n = int(metadata["n"])
        if dict(metadata) != fields_of(n):
            raise ValueError(f"the window has the metadata {metadata}, want that of number {n}")
        given = [run[need] for need in self.needs]
        inputs = [rows.current.value for rows in given if rows.current]
        past = [*(texts(rows.past) for rows in given), texts(run.own)]
        algorithm = {"Processor": work["processor"], "Name": work["name"]}
        line = {"origin": run.window.origin, "n": n, "algorithm": algorithm, "inputs": inputs, "past": past}
        call = self.journal.begin(line)
        await asyncio.sleep(lasts(work, n))
        self.journal.end(call)
        if work["breaks"] and n % work["breaks"] == self.rest:
            raise RuntimeError(f"{work['name']} broke")
        if work["fails"] and n % work["fails"] == self.rest:
            raise orca.Failure(f"{work['name']} does not fit")
        return float(mix(work, n, inputs, past) >> 40)


def define(processor: orca.Processor, shared: JSON, journal: Journal) -> None:
    types = {
        on["name"]: orca.WindowType(
            on["name"],
            shared["version"],
            description=on["name"],
            fields=[
                orca.Field(f["name"], description=f["description"], filter=f["filter"], no_store=f["noStore"])
                for f in on["fields"]
            ],
        )
        for on in shared["types"]
    }
    for work in shared["algorithms"]:
        if work["processor"] != processor.name:
            continue
        needs = [need_of(need, shared["version"]) for need in work["needs"]]
        processor.algorithm(
            work["name"],
            shared["version"],
            types[work["windowType"]],
            needs=needs,
            needs_self=self_of(work["self"]),
            description=f"{work['processor']}/{work['name']}",
            result=float,
        )(Worker(work, needs, shared["rest"], journal).execute)


async def serve(args: argparse.Namespace, listen: str, journal: Journal) -> None:
    with open(args.work, encoding="utf-8") as file:
        shared = json.load(file)
    processor = orca.Processor(args.processor, core=args.core, listen=listen, environment=False)
    define(processor, shared, journal)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin, stop.set)  # it ends with the process at the other end of it
    async with processor:
        print("listening", processor.address, flush=True)
        stopping = asyncio.create_task(stop.wait())
        registered = asyncio.create_task(processor.registered())
        await asyncio.wait([stopping, registered], return_when=asyncio.FIRST_COMPLETED)
        if registered.done():
            registered.result()
            print("registered", flush=True)
        registered.cancel()
        await stopping


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--processor", "--core", "--listen", "--journal", "--work"):
        parser.add_argument(name, default="")
    args = parser.parse_args()
    journal = Journal(args.journal)
    try:
        asyncio.run(serve(args, args.listen, journal))
    except orca.OrcaError as error:
        if "cannot listen" not in str(error):
            raise
        host = args.listen.rpartition(":")[0]  # somebody else has the port meanwhile
        asyncio.run(serve(args, f"{host}:0", journal))


if __name__ == "__main__":
    main()
