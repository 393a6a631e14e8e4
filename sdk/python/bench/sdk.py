"""The processor of the shape single, written with the SDK, for `orca bench --processor`."""

import argparse
import asyncio
import os
import struct
import sys
import time

import orca

EPOCH = 1_577_836_800  # when window 0 begins: every window is a second
REGISTERED = 0xFFFFFFFF
RECORD = struct.Struct("<qIq")


def report(window: int, node: int) -> None:
    """Tell whoever started this what was done, and when."""
    os.write(1, RECORD.pack(window, node, time.time_ns()))


def plain(run: orca.Run) -> float:
    report(run.window.time_from // 1_000_000_000 - EPOCH, 0)
    return 1.0


async def awaiting(run: orca.Run) -> float:
    return plain(run)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--core")
    parser.add_argument("--shape")
    parser.add_argument("--name")
    parser.add_argument("--async", dest="awaits", action="store_true")
    args = parser.parse_args()

    asset = orca.Field("asset", str, description="The asset", filter=True)
    single = orca.WindowType("Single", "1.0.0", description="A second of one asset", fields=[asset])
    proc = orca.Processor(args.name, core=args.core, listen="127.0.0.1:0", environment=False)
    proc.algorithm("Single0", "1.0.0", single, description="One", result=float)(awaiting if args.awaits else plain)

    async def serve() -> None:
        async with proc:
            await proc.registered()
            report(0, REGISTERED)
            await asyncio.to_thread(sys.stdin.read)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
