"""A run that is killed again and again, against the same run left alone.

    python benchmarks/kills.py --kills 10 --every 60 experiments=adversarial data.targets=4

Starts ``dori`` with the arguments given, kills it with everything that it started (SIGKILL) after a random
time, and starts it again, as often as asked; then lets it end. Each of the two runs has a cache of its own.
``rows.json`` and all weights that the run writes must be the same, byte for byte. ``--whole`` names the
folder of a run that nobody touched, if there is one already. The last line is one JSON object.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def start(arguments: list[str], folder: Path, multirun: bool) -> subprocess.Popen:
    """In a session of its own, its output in ``folder``, so that all of it can be killed."""
    folder.mkdir(parents=True, exist_ok=True)
    place = [f"hydra.sweep.dir={folder}/out"] if multirun else [f"hydra.run.dir={folder}/out"]
    log = (folder / "log").open("a")
    # not -m dori.app.main, which would take the dori of the folder that this is called in
    command = [str(Path(sys.executable).parent / "dori"), *arguments, *place]
    environment = {**os.environ, "DORI_CACHE": str(folder / "cache")}
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def end(process: subprocess.Popen, folder: Path) -> None:
    if process.wait():
        sys.exit(f"dori failed:\n{(folder / 'log').read_text()[-3000:]}")


def digests(out: Path) -> dict[str, str]:
    """Of the rows of every job and of all weights, by their place below ``out``."""
    files = [path for path in out.rglob("*") if path.name == "rows.json" or path.suffix == ".safetensors"]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--every", type=float, default=60, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--multirun", action="store_true", help="the arguments make a sweep")
    parser.add_argument("--whole", type=Path, help="output of the same run, uninterrupted")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.mkdtemp(prefix="kills-")))
    own, arguments = parser.parse_known_args()
    moments = random.Random(own.seed)
    killed, whole = own.folder / "killed", own.whole
    begin, lived, used = time.monotonic(), [], 0
    for _ in range(own.kills):
        process, first = start(arguments, killed, own.multirun), time.monotonic()
        try:
            process.wait(moments.uniform(0.1, 1.9) * own.every)
            break  # it was done before its time came
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            used += 1
        lived.append(round(time.monotonic() - first, 1))
        print(f"killed after {lived[-1]} s", flush=True)
    end(start(arguments, killed, own.multirun), killed)
    seconds = {"killed": round(time.monotonic() - begin, 1)}
    if whole is None:
        begin = time.monotonic()
        end(start(arguments, own.folder / "whole", own.multirun), own.folder / "whole")
        whole, seconds["whole"] = own.folder / "whole" / "out", round(time.monotonic() - begin, 1)
    one, other = digests(killed / "out"), digests(whole)
    differing = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    print(json.dumps({
        "identical": not differing, "differing": differing, "files": len(other), "kills": used,
        "after": lived, "seconds": seconds,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
