"""Metrics reduce over two gloo processes, one of which may have no target at all."""

import json
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from dori.metrics.fid_kid import FIDKID
from dori.metrics.memorization_rate import MemorizationRate
from dori.metrics.sscd_orig import SSCDOrig

GENERATOR = torch.Generator().manual_seed(0)
GENERATED = torch.randn(5, 3, 8, generator=GENERATOR)
ORIGINALS = torch.randn(5, 8, generator=GENERATOR)
SIMILARITY = torch.rand(5, 3, generator=GENERATOR)
FEATURES = torch.randn(40, 4, generator=GENERATOR)


def measure(rank: int, ranks: int) -> dict:
    """What one of ``ranks`` processes computes: its share of the targets, by index."""
    rate, similarity, alone = MemorizationRate(), SSCDOrig(), SSCDOrig()
    quality = FIDKID()
    mine = torch.arange(rank, 5, ranks)
    rate.update(SIMILARITY[mine])
    similarity.update(GENERATED[mine], ORIGINALS[mine])
    if rank == 0:
        alone.update(GENERATED[:1], ORIGINALS[:1])
        quality.update(FEATURES[20:], torch.arange(20), real=True)
    images = torch.arange(20)[rank::ranks]
    quality.update(FEATURES[images], images, real=False)
    return {
        "MR": rate.compute(),
        "SSCD_Orig": similarity.compute(),
        "one target": alone.compute(),
        **quality.compute(),
    }


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    with open(os.path.join(folder, f"{rank}.json"), "w") as file:
        json.dump(measure(rank, 2), file)
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_two_processes_measure_what_one_does(tmp_path):
    mp.spawn(work, (str(tmp_path),), nprocs=2)
    expected = measure(0, 1)
    for rank in range(2):
        got = json.loads((tmp_path / f"{rank}.json").read_text())
        for name in expected:
            assert got[name] == pytest.approx(expected[name]), name
