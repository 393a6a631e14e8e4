"""Compares a processor written with the SDK with the same one written with the bare stubs.

    python overhead.py ORCA TURNS

Each turn has a core, a closed loop of 16 windows under way, and one of the processors, in turn.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
KINDS = {"bare": ["bare.py"], "sdk": ["sdk.py"], "sdk, async": ["sdk.py", "--async"]}


def turn(binary: str, script: list[str], folder: str) -> float:
    """Give the windows per second of one turn."""
    command = ",".join([sys.executable, str(HERE / script[0]), *script[1:]])
    path = os.pathsep.join([str(HERE.parent / "src"), str(HERE.parents[2] / "contract" / "python")])
    options = ["--shape", "single", "--concurrency", "16", "--loop", "closed", "--turns", "1", "--for", "3s"]
    done = subprocess.run(
        [binary, "bench", *options, "--dir", folder, "--json", "--processor", command],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)["rows"][0]["core"]["windows_per_second"]


def main() -> None:
    binary, turns = sys.argv[1], int(sys.argv[2])
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(dir=Path(binary).parent) as folder:
        for _ in range(turns):
            for kind, script in KINDS.items():
                rates[kind].append(turn(binary, script, folder))
    bare = statistics.median(rates["bare"])
    for kind, measured in rates.items():
        rate = statistics.median(measured)
        each = ", ".join(f"{r:.0f}" for r in measured)
        print(f"{kind:12} {rate:8.0f} windows/s   {rate / bare:.2f} of bare   ({each})")


if __name__ == "__main__":
    main()
