"""A job on several processes (``trainer=ddp``), also as one of many in a multirun.

The process that Hydra started launches a rank per device and only watches them (``launch``). So it never
joins a process group, its environment stays as it was, and a rank that fails or is killed fails this job
alone: the others are ended, the multirun goes on. Ranks end with the process that launched them. Lightning's
own launcher would run the command line again, which in a multirun is the whole sweep; a rank (``dori.rank``)
starts from the job's resolved configuration instead, as a single run with the same output folder.

Every rank runs the same study (``group``):

- a stage's cache entry is looked at, locked and finished by rank 0 alone, so all ranks agree on what is
  missing;
- most stages are computed by rank 0 while the others wait. A stage that uses a trainer says ``by_all``:
  every rank runs its ``compute``, the trainer deals out the work (``dori.predict``) or reduces gradients
  within ``process_group``, and what only one process may do, such as merging parts, goes through ``once``;
- rows are arithmetic on finished stages: each rank repeats it, and rank 0 alone writes, logs and prints.
  What the others print is in ``rank-<n>.log`` in the job's folder.

Nodes (``trainer.num_nodes``) share the cache and the output folder. The command is run once on each, by
SLURM (``hydra/launcher=slurm``) or by hand with MASTER_ADDR, MASTER_PORT and NODE_RANK.
"""

from dori.distributed.group import dealt, once, process_group, world

__all__ = ["dealt", "once", "process_group", "world"]
