"""Activations of N embeddings compared in blocks, against all of them held at once; on minnow.

    python benchmarks/locality.py [--counts 25 50 100] [--block 16]

Each is run in a process of its own, whose memory above that of the loaded model is measured: in
blocks it must not grow with N. The distances must be equal. The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch


def resident() -> float:
    """Memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


class Peak:
    """The highest memory within the context, above that at its start, in MB."""

    def __enter__(self) -> "Peak":
        self.base = self.peak = resident()
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()
        return self

    def _watch(self) -> None:
        while not self.over.is_set():
            self.peak = max(self.peak, resident())
            time.sleep(0.002)

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        self.watcher.join()
        self.above = max(self.peak, resident()) - self.base


def measure(count: int, block: int, kept: Any) -> None:
    """Leaves (peak, seconds, a sum of all distances) in ``kept``."""
    from hydra import compose, initialize_config_dir

    from dori.app.main import quiet
    from dori.core.config import CONF, build
    from dori.studies.locality.analysis import activations as act

    quiet()
    torch.set_num_threads(1)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        model = build(compose("config", ["model.batch=16"]).model, twin=None)
    layers = {name: x for some in ("values", "feed_forward") for name, x in model.layers(some).items()}
    y = torch.randn(count, *model.empty.shape[1:], generator=torch.Generator().manual_seed(0))
    noise = act.fixed_noise(model, 0)
    act.block_distances(model, layers, y[:2], noise, 0, 2)  # what torch takes once
    begin = time.perf_counter()
    with Peak() as memory:
        whole = act.whole(
            [act.block_distances(model, layers, y, noise, i, block) for i in range(0, count, block)]
        )
    kept.put((memory.above, time.perf_counter() - begin, sum(float(x.sum()) for x in whole.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[25, 50, 100])
    parser.add_argument("--block", type=int, default=16)
    arguments = parser.parse_args()
    context, figures = multiprocessing.get_context("spawn"), {}
    for count in arguments.counts:
        totals = []
        for name, block in (("blocks", arguments.block), ("at_once", count)):
            kept = context.Queue()
            process = context.Process(target=measure, args=(count, block, kept))
            process.start()
            peak, seconds, total = kept.get()
            process.join()
            totals.append(total)
            figures[f"{name}_{count}_mb"] = round(peak, 1)
            print(f"N = {count:4}  {name:8} peak {peak:7.1f} MB  {seconds:5.1f} s")
        assert np.isclose(*totals, rtol=1e-5), "the distances differ"
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
