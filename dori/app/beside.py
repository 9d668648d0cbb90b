"""Processes that a scheduler started side by side on a node: jobs of their own, never ranks of one."""

import os

from dori.core.errors import InputError

# how many there are on this node, by who started them
COUNTED = {
    "torchrun": "LOCAL_WORLD_SIZE", "mpirun": "OMPI_COMM_WORLD_LOCAL_SIZE", "mpiexec": "MPI_LOCALNRANKS",
    "jsrun": "JSM_NAMESPACE_LOCAL_SIZE",
}  # fmt: skip


def check_started_once(ranks: int) -> None:
    """For a job that starts its ``ranks`` on this node itself.

    Raises:
        InputError: it was itself started several times on this node, as one starts Lightning.
    """
    found = {starter: int(os.environ.get(name, 1)) for starter, name in COUNTED.items()}
    if "SLURM_STEP_ID" in os.environ:  # elsewhere srun's variables are the allocation's
        found["srun"] = -(-_slurm("NUM_TASKS", "NTASKS") // _slurm("NUM_NODES", "NNODES"))
    for starter, tasks in found.items():
        if tasks > 1:
            raise InputError(
                f"{starter} started {tasks} processes on this node, but trainer=ddp starts its {ranks} ranks"
                " itself: start one process on each node (srun --ntasks-per-node=1), with all of the node's"
                " devices; for jobs of their own side by side, trainer=default"
            )


def _slurm(step: str, job: str) -> int:
    return int(os.environ.get(f"SLURM_STEP_{step}") or os.environ.get(f"SLURM_{job}") or 1)
