"""Batches of scans: worker processes, clusters, job arrays and failures."""

from anomri.batch.executor import DASK, ENGINES, PROCESSES, SERIAL, Executor, WorkerLost
from anomri.batch.failures import Failures, by_label, known, replace_all, replace_for
from anomri.batch.runner import (
    DEFAULT_EXECUTION,
    UNEXPECTED,
    Execution,
    Outcome,
    Progress,
    ScanSummary,
    left_out,
    no_progress,
    run_batch,
)
from anomri.batch.shards import WHOLE, Shard, ShardNote, all_there, finish, joint, locked

__all__ = [
    "DASK",
    "DEFAULT_EXECUTION",
    "ENGINES",
    "PROCESSES",
    "SERIAL",
    "UNEXPECTED",
    "WHOLE",
    "Execution",
    "Executor",
    "Failures",
    "Outcome",
    "Progress",
    "ScanSummary",
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
