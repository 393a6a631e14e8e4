"""The test processor of the Python SDK: it is what its script says. README.md of conformance has the rules."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import orca

JSON = dict[str, Any]

RESULTS = {"value": float, "array": list[float], "struct": dict, "none": None}


class Unsupported(Exception):
    """The SDK cannot express what the script asks for."""


# What the script says, in the SDK's words.


def lookback_of(algorithm: orca.Algorithm[Any], need: JSON) -> orca.Dependency[Any]:
    gap = gap_of(need)
    if need["count"]:
        return algorithm.last(need["count"], gap=gap)
    if need["span"] != "0":
        return algorithm.over(need["span"] + "ns", gap=gap)
    return algorithm.newest(gap=gap)


def self_of(back: JSON) -> orca.Lookback | None:
    if back["count"]:
        return orca.last(back["count"], gap=gap_of(back))
    if back["span"] != "0":
        return orca.over(back["span"] + "ns", gap=gap_of(back))
    return None


def gap_of(back: JSON) -> int | str | None:
    if back["gap_count"]:
        return int(back["gap_count"])
    return back["gap_span"] + "ns" if back["gap_span"] != "0" else None


def window_type_of(script: JSON) -> orca.WindowType:
    fields = [
        orca.Field(f["name"], description=f["description"], filter=f["filter"], no_store=f["no_store"])
        for f in script["fields"]
    ]
    return orca.WindowType(script["name"], script["version"], fields=fields, description=script["description"])


# Data, to the bit.


def floats(text: str) -> list[float]:
    return list(struct.unpack(f">{len(text) // 8}f", bytes.fromhex(text)))


def bits(values: Sequence[float]) -> str:
    return struct.pack(f">{len(values)}f", *values).hex()


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict) and "number" in value:
        return struct.unpack(">d", bytes.fromhex(value["number"]))[0]  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict):
        return plain_fields(value["fields"])  # pyright: ignore[reportUnknownArgumentType]
    return value


def plain_fields(fields: JSON) -> JSON:
    return {name: plain(value) for name, value in fields.items()}


def tagged(value: Any) -> Any:
    if isinstance(value, float):
        return {"number": struct.pack(">d", value).hex()}
    if isinstance(value, list):
        return [tagged(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {"fields": tagged_fields(value)}  # pyright: ignore[reportUnknownArgumentType]
    return value


def tagged_fields(fields: Any) -> JSON:
    return {name: tagged(value) for name, value in fields.items()}


def read(data: JSON) -> Any:
    if "value" in data:
        return floats(data["value"])[0]
    if "array" in data:
        return floats(data["array"])
    return plain_fields(data["struct"]) if "struct" in data else None


def written(value: Any) -> JSON:
    if isinstance(value, float):
        return {"value": bits([value])}
    if isinstance(value, dict):
        return {"struct": tagged_fields(value)}
    return {} if value is None else {"array": bits(value)}


def window_of(window: orca.Window) -> JSON:
    return {
        "type": window.type.name,
        "version": window.type.version,
        "from": str(window.time_from),
        "to": str(window.time_to),
        "origin": window.origin,
        "metadata": tagged_fields(window.metadata),
    }


def rows_of(rows: Sequence[orca.Row[Any]]) -> list[JSON]:
    return [{"window": window_of(row.window), **written(row.value)} for row in rows]


# What an algorithm does.


class Player:
    """Does what the script says of one algorithm."""

    telling = threading.Lock()  # a line is written whole

    def __init__(self, script: JSON, folder: Path, needs: list[orca.Dependency[Any]]) -> None:
        self.script, self.folder, self.needs = script, folder, needs

    def play(self, run: orca.Run) -> Any:
        for step in self.script["plays"].get(run.window.metadata.get("play"), self.script["do"]):
            ((what, said),) = step.items()
            if what not in self.steps:
                return self.end(run, what, said)
            self.steps[what](self, run, said)
        return None

    def end(self, run: orca.Run, what: str, said: Any) -> Any:
        if what == "give":
            return read(said)
        if what == "give_field":
            return run.window.metadata[said]
        if what == "fail":
            raise orca.Failure(said["reason"], plain_fields(said.get("details", {})))
        if what == "break":
            raise RuntimeError(said)
        if what == "panic":
            raise SystemExit(said)
        raise ValueError(f"the step {what!r} is not known")

    def mark(self, _: orca.Run, name: str) -> None:
        (self.folder / name).touch()

    def wait(self, run: orca.Run, name: str) -> None:
        while not (self.folder / name).exists():
            if run.cancelled:
                (self.folder / "cancelled").touch()
                raise RuntimeError("cancelled")
            time.sleep(0.01)

    def tell(self, run: orca.Run, _: bool) -> None:
        told = {
            "algorithm": self.script["name"],
            "window": window_of(run.window),
            "needs": [rows_of(run[need]) for need in self.needs],
            "self": rows_of(run.own),
        }
        with self.telling, (self.folder / "told").open("a") as out:
            out.write(json.dumps(told) + "\n")

    def emit(self, run: orca.Run, window: JSON) -> None:
        on = orca.WindowType(window["type"], window["version"])
        begin, end, metadata = int(window["from"]), int(window["to"]), plain_fields(window["metadata"])
        run.emit(orca.Window(on, begin, end, origin=window["origin"], metadata=metadata))

    steps: ClassVar[dict[str, Callable[[Player, orca.Run, Any], None]]] = {
        "mark": mark,
        "await": wait,
        "tell": tell,
        "emit": emit,
    }


def define(processor: orca.Processor, script: JSON, folder: Path) -> None:
    if any("silent" in step for steps in [script["do"], *script["plays"].values()] for step in steps):
        raise Unsupported("an algorithm without a result")
    needs = [
        lookback_of(orca.remote(need["processor"], need["name"], need["version"]), need) for need in script["needs"]
    ]
    processor.algorithm(
        script["name"],
        script["version"],
        window_type_of(script["window_type"]),
        needs=needs,
        needs_self=self_of(script["self"]),
        description=script["description"],
        result=RESULTS[script["result"]],
    )(Player(script, folder, needs).play)


async def serve(processor: orca.Processor) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with processor:
        stopped = asyncio.ensure_future(stop.wait())
        registered = asyncio.ensure_future(processor.registered())
        await asyncio.wait([stopped, registered], return_when=asyncio.FIRST_COMPLETED)
        if registered.done():
            registered.result()
            print("registered", flush=True)
        await stopped


def main() -> int:
    with open(os.environ["ORCA_CONFORMANCE_SCRIPT"], encoding="utf-8") as file:
        script = json.load(file)
    processor = orca.Processor(script["processor"])
    try:
        for algorithm in script["algorithms"]:
            define(processor, algorithm, Path(script["dir"]))
    except Unsupported as error:
        print(f"unsupported: {error}", file=sys.stderr)
        return 3
    asyncio.run(serve(processor))
    return 0


if __name__ == "__main__":
    sys.exit(main())
