"""In the place of ``dori.app.rank``: ranks that fail, are killed, or wait, as the configuration says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text())
    rank = os.environ.get("LOCAL_RANK")
    plans = job["config"]["plan"]
    plan = plans[int(rank or 0)]
    output = Path(job["output"])
    print(f"rank {rank} speaks")
    (output / f"environment-{rank}.json").write_text(json.dumps({**os.environ, "pid": os.getpid()}))
    if plan == "done":
        sys.exit(0)
    if plan == "killed":
        while not (output / "child").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    if plan == "stuck":  # in a call that no signal ends, and with a child
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        (output / "child.tmp").write_text(str(child.pid))
        os.replace(output / "child.tmp", output / "child")
        time.sleep(1000)
    if plan == "told":  # to end, and tells its logger
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        (output / "listens").touch()
        try:
            time.sleep(1000)
        finally:
            (output / "told").touch()
    while "told" in plans and not (output / "listens").exists():
        time.sleep(0.01)
    (folder / f"error-{rank or 0}.json").write_text(json.dumps({"type": plan, "text": "a reason"}))
    sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
