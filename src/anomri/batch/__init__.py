"""Batches of scans: worker processes, clusters, job arrays, and what failed."""

from anomri.batch.executor import ENGINES, PROCESSES, SERIAL, Executor, WorkerLost
from anomri.batch.failures import Failures, by_label, known, replace_all, replace_for
from anomri.batch.runner import Outcome, Progress, left_out, no_progress, run_batch
from anomri.batch.shards import WHOLE, Shard, ShardNote, all_there, finish, joint, locked

__all__ = [
    "ENGINES",
    "PROCESSES",
    "SERIAL",
    "WHOLE",
    "Executor",
    "Failures",
    "Outcome",
    "Progress",
    "Shard",
    "ShardNote",
    "WorkerLost",
    "all_there",
    "by_label",
    "finish",
    "joint",
    "known",
    "left_out",
    "locked",
    "no_progress",
    "replace_all",
    "replace_for",
    "run_batch",
]
