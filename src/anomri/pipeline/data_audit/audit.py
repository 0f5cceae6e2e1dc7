"""Audit of a data set: each scan by itself, then all against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from anomri.batch import DEFAULT_EXECUTION, Execution, Outcome, run_batch
from anomri.datasets import Found
from anomri.files import AUDIT, AUDIT_PAGE, remove_stale_drafts
from anomri.pipeline.data_audit.duplicates import duplicates
from anomri.pipeline.data_audit.problems import Problem, Severity, write_problems
from anomri.pipeline.data_audit.scan_audit import AuditedScan, AuditTask
from anomri.recipe import Preparation
from anomri.reporting import Tile, noun, write_html

NO_SPLITS: Mapping[str, str] = {}


def audit(
    found: Found,
    out: Path,
    *,
    preparation: Preparation,
    splits: Mapping[str, str] = NO_SPLITS,
    execution: Execution = DEFAULT_EXECUTION,
) -> list[Problem]:
    """Check a data set, and write ``audit.tsv``, its dictionary and ``audit.html``.

    Args:
        found: the scans.
        out: folder to write to.
        preparation: how scans are prepared.
        splits: split by subject.
        execution: how to run the batch.

    Returns:
        The problems, those that are wrong first.
    """
    remove_stale_drafts(out)
    outcome = run_batch(found, AuditTask(preparation), execution, "auditing")
    scans: list[AuditedScan] = outcome.values
    problems = [problem for scan in scans for problem in scan.problems]
    problems += [*duplicates(scans, splits), *_unread(outcome), *_skipped(found)]
    problems.sort(key=lambda problem: problem.severity is not Severity.WRONG)
    write_problems(out, problems)
    write_html(
        out / AUDIT_PAGE,
        "audit.html.j2",
        package="anomri.pipeline",
        **_contents(found, len(scans), problems),
    )
    return problems


def _unread(outcome: Outcome) -> list[Problem]:
    rows = [*outcome.failures, *outcome.left_out]
    return [
        Problem(row.subject, row.label, Severity.WRONG, "files", row.reason, row.next_step)
        for row in rows
    ]


def _skipped(found: Found) -> list[Problem]:
    step = "correct or remove it"
    private = found.layout == "dicom"  # its folders are often named after patients
    return [
        Problem(
            PurePath(item.name).name if private else item.name,
            "",
            Severity.REMARK,
            "files",
            item.reason,
            step,
        )
        for item in found.skipped
    ]


def _contents(found: Found, read: int, problems: Sequence[Problem]) -> dict[str, object]:
    """Return what the page shows."""
    wrong = [problem for problem in problems if problem.severity is Severity.WRONG]
    concerned = len({problem.subject for problem in wrong})
    counts = Counter(problem.check for problem in wrong)
    tiles = [
        Tile(f"{read} of {len(found.scans)}", "", "scans read"),
        Tile(str(concerned), "", f"{noun(concerned, 'subject')} with something wrong"),
        *(Tile(str(count), "", check.replace("_", " ")) for check, count in counts.most_common()),
    ]
    rows = [
        {
            "subject": problem.subject,
            "severity": str(problem.severity),
            "check": problem.check.replace("_", " "),
            "finding": problem.finding,
            "next_step": problem.next_step,
        }
        for problem in problems
    ]
    return {"lead": _lead(len(found.scans), wrong), "tiles": tiles, "rows": rows, "table": AUDIT}


def _lead(count: int, wrong: Sequence[Problem]) -> str:
    scans = f"{count} {noun(count, 'scan')}"
    if not wrong:
        return f"{scans}: nothing wrong was found."
    first = wrong[0]
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{scans}: {first.subject}: {first.finding}{more}."
