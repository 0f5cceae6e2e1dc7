"""Batches of scans: worker processes, clusters, job arrays, and what failed."""

from anomri.batch.executor import ALONE, ENGINES, PROCESSES, Crew, WorkerLost
from anomri.batch.failures import Failures, by_label, failures_of, known, replace_all, replace_for
from anomri.batch.runner import Outcome, Track, each, left_out, untracked
from anomri.batch.shards import WHOLE, Note, Part, all_there, finish, joint, locked

__all__ = [
    "ALONE",
    "ENGINES",
    "PROCESSES",
    "WHOLE",
    "Crew",
    "Failures",
    "Note",
    "Outcome",
    "Part",
    "Track",
    "WorkerLost",
    "all_there",
    "by_label",
    "each",
    "failures_of",
    "finish",
    "joint",
    "known",
    "left_out",
    "locked",
    "replace_all",
    "replace_for",
    "untracked",
]
