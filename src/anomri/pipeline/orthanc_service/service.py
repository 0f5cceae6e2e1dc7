"""The service: takes stable studies from an Orthanc, and sends back what was found in them.

Whatever ends the process, and whenever, the next one goes on: each step is noted in the journal
after it is complete, and each can be repeated. Answers have identifiers that their content decides,
so that Orthanc recognises one that it has.

Its own answers make a study change. They are not MR images of a scanner, and only those count for
the fingerprint that tells whether a study is to be processed again.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from anomri.errors import (
    AnomriError,
    DamagedFile,
    ScanError,
    ServerUnreachable,
    UnusableAnswer,
)
from anomri.files import limit_bytes, replacing_folder
from anomri.pipeline.orthanc_service.answers import SourceImages, Study
from anomri.pipeline.orthanc_service.journal import Entry, Journal, Outcome, Step
from anomri.pipeline.orthanc_service.responder import Answer, Responder
from anomri.pipeline.orthanc_service.rest_client import Orthanc
from anomri.pipeline.orthanc_service.study_folder import StudyFolder, remove_others

MANUFACTURER = "anomri"  # in the objects that are sent back
MAX_ERRORS = 3  # unusable answers about one study, one after the other
MAX_KILLS = 3
STUDY_SHARE = 16  # a study may take this many times the memory limit of one image on disk
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
MAX_WAITS_ONCE = 5  # 31 s
DEFAULT_POLL_SECONDS = 10.0

log = logging.getLogger(__name__)


def _silent(_: str) -> None:
    """Announce nothing."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to look for studies.

    Attributes:
        once: process what is there, and end.
        poll_seconds: time between two looks.
        skip_existing: leave alone what Orthanc holds when the journal begins.
        announce: gets a line for each study, and when Orthanc goes away and comes back.
        sleep: waits for some seconds.
    """

    once: bool = False
    poll_seconds: float = DEFAULT_POLL_SECONDS
    skip_existing: bool = False
    announce: Callable[[str], None] = _silent
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Served:
    """What a service did.

    Attributes:
        outcomes: of the studies that were finished.
        exit_codes: of those without a result.
        arriving: number of studies that were not complete yet at the last look.
        postponed: number of studies that failed at the last look and are to be tried again.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    exit_codes: set[int] = field(default_factory=set)
    arriving: int = 0
    postponed: int = 0

    @property
    def exit_code(self) -> int:
        """0: success; 5: quality checks refused studies; 3: other studies have no result."""
        if not self.exit_codes:
            return 0
        return 5 if self.exit_codes == {5} else 3


def serve(
    server: Orthanc, responder: Responder, work: Path, schedule: Schedule | None = None
) -> Served:
    """Process the studies of an Orthanc; without ``once`` it ends by a signal alone.

    Args:
        server: the Orthanc.
        responder: makes the answers.
        work: folder of the journal and, for the time being, of the images; of one service alone.
        schedule: when to look.

    Raises:
        UsageError: Orthanc does not let the user in, another service uses the folder, or its
            journal belongs to another Orthanc.
        ServerUnreachable: with ``once``, Orthanc does not answer for half a minute.
        DiskFull: no space is left; the study that it happened with is processed by the next run.
    """
    with closing(Journal(work, server.address)) as journal:
        remove_others(work, journal.unfinished())
        service = Service(server, responder, journal, work, schedule or Schedule())
        service.run()
        return service.served


@dataclass(slots=True)
class Service:
    """A service at work; arguments as for :func:`serve`."""

    server: Orthanc
    responder: Responder
    journal: Journal
    work: Path
    schedule: Schedule
    served: Served = field(default_factory=Served)
    _failed_looks: int = 0
    _is_away: bool = False
    _is_known: bool = False

    def run(self) -> None:
        """Look for studies until a signal comes, or once."""
        while True:
            try:
                self._look()
            except ServerUnreachable as error:
                self._wait(error)
                continue
            self._failed_looks = 0
            if self.schedule.once:
                return
            self.schedule.sleep(self.schedule.poll_seconds)

    def _wait(self, error: ServerUnreachable) -> None:
        """Wait for Orthanc, longer each time, and say so the first time."""
        if self.schedule.once and self._failed_looks >= MAX_WAITS_ONCE:
            raise error
        if not self._is_away:
            self.schedule.announce(f"{error.address} does not answer ({error.reason}); waiting")
        self._is_away = True
        seconds = FIRST_WAIT_SECONDS * 2**self._failed_looks
        self.schedule.sleep(min(seconds, LONGEST_WAIT_SECONDS))
        self._failed_looks = min(self._failed_looks + 1, 10)

    def _look(self) -> None:
        """Note what is new, and process all that is complete."""
        self._note_changes()
        if self._is_away:
            self.schedule.announce(f"{self.server.address} answers again")
            self._is_away = False
        self.served.arriving = self.served.postponed = 0
        for study in self.journal.unfinished():
            self._guarded(study)

    def _note_changes(self) -> None:
        """Note the studies in the log of changes; a log that is shorter than before is another."""
        if not self._is_known:
            self.server.check()
            self._is_known = True
        try:
            position, last = self.journal.position, self.server.last_change()
            if position < 0 and self.schedule.skip_existing:
                self.journal.note((), last)
            else:
                self._note_after(0 if position < 0 or last < position else position)
        except UnusableAnswer as error:  # a page of a proxy, say
            raise ServerUnreachable(self.server.address, error.reason) from error

    def _note_after(self, position: int) -> None:
        done = False
        while not done:
            changes = self.server.changes(position)
            done = changes.Done
            if not (done or changes.Last > position):
                raise ServerUnreachable(self.server.address, "its log of changes does not end")
            if changes.Last != self.journal.position:
                self.journal.note(changes.studies(), changes.Last)
            position = changes.Last

    def _guarded(self, study: str) -> None:
        """Process a study; an answer that cannot be used, or a fault, concerns it alone."""
        entry = self.journal.entry(study)
        try:
            self._process(entry)
        except (ScanError, DamagedFile) as error:
            self._note_error(entry, str(error))
        except (AnomriError, OSError):
            raise  # concerns all studies
        except Exception as error:  # for an unusual study a library may raise anything
            # Not the text of the error: it may hold tags of the patient.
            log.error("study %s:\n%s", study, "".join(traceback.format_tb(error.__traceback__)))
            self._note_error(entry, f"unexpected {type(error).__name__}")

    def _note_error(self, entry: Entry, words: str) -> None:
        """Note that a study could not be processed; give it up after several times."""
        self.journal.error(entry.study)
        if entry.errors + 1 < MAX_ERRORS:
            log.warning("study %s: %s; to be tried again", entry.study, words)
            self.served.postponed += 1
            return
        reason = f"given up after {MAX_ERRORS} attempts, without an answer: {words}"
        log.warning("study %s: %s", entry.study, reason)
        self._finish(entry.study, "", Answer(Outcome.FAILED, ScanError.exit_code, reason))

    def _process(self, entry: Entry) -> None:
        """Do what is to be done for a study, as far as its images are complete."""
        study = self.server.study(entry.study)
        if study is None:
            StudyFolder.of(self.work, entry.study).remove()
            self.journal.forget(entry.study)
            return
        if not study.IsStable:
            self.served.arriving += 1
            return
        images = self._images(entry.study)
        same = images.fingerprint == entry.fingerprint
        if entry.step is Step.SENDING and same and self._folder(entry).answer.is_dir():
            self._send(entry)
        elif entry.step is Step.WAITING and same and entry.outcome:
            self.journal.finish(
                entry.study, entry.fingerprint, entry.outcome, entry.exit_code
            )  # only an answer arrived, or images that are not looked at
        elif not self._wanted(images):
            self.journal.finish(entry.study, images.fingerprint, Outcome.IGNORED)
        else:
            if entry.step is Step.SENDING:  # what lies in the folder is of other images
                self._start_again(entry)
            self._answer(entry, study, images)

    def _start_again(self, entry: Entry) -> None:
        """Forget the answer for a study whose images changed."""
        self.journal.wait(entry.study)
        self._folder(entry).remove()

    def _folder(self, entry: Entry) -> StudyFolder:
        return StudyFolder.of(self.work, entry.study)

    def _images(self, study: str) -> SourceImages:
        return SourceImages.of(self.server.series(study), MANUFACTURER)

    def _wanted(self, images: SourceImages) -> bool:
        return any(
            self.responder.wants(self.server.tags(instances[0]))
            for instances in images.instances.values()
            if instances
        )

    def _answer(self, entry: Entry, study: Study, images: SourceImages) -> None:
        """Make the answer for a study, and send it unless its images changed in the meantime."""
        self.journal.begin(entry.study)
        try:
            answer = self._made(entry, study, images)
        finally:  # also for a signal: only a process that is killed at once leaves the mark
            self.journal.end(entry.study)
        if self._images(entry.study).fingerprint != images.fingerprint:
            self.schedule.announce(
                f"study {entry.study}: changed while it was being processed; it is processed again"
            )
            self._start_again(entry)
            return
        self.journal.send(entry.study, images.fingerprint, answer.outcome, answer.exit_code)
        self._send(self.journal.entry(entry.study), answer.summary)

    def _made(self, entry: Entry, study: Study, images: SourceImages) -> Answer:
        """Write the answer for a study into its folder, whole."""
        folder = self._folder(entry)
        instances = [name for names in images.instances.values() for name in names]
        folder.prepare(instances)
        fault = self._fault(entry, study) or self._download(folder, instances)
        if fault:
            self._fetch(folder, instances[0])
        with replacing_folder(folder.answer, draft_parent=folder.path) as draft:
            if fault:
                return self.responder.refuse(folder, draft, *fault, ScanError.exit_code)
            return self.responder.detect(folder, draft)

    def _fault(self, entry: Entry, study: Study) -> tuple[str, str] | None:
        """Return why a study is refused before its images are looked at, and what to do."""
        patients = len(self.server.studies_with(study.MainDicomTags.get("StudyInstanceUID", "")))
        if patients > 1:
            return (
                f"expected one patient with this study, got {patients} with the same "
                "StudyInstanceUID",
                "correct the identity of the patients, and send the study again",
            )
        if entry.kills >= MAX_KILLS:
            return (
                f"expected a study that can be processed, got one whose processing was killed "
                f"{entry.kills} times, possibly out of memory",
                "run `anomri detect` on its images on a machine with more memory",
            )
        return None

    def _download(self, folder: StudyFolder, instances: list[str]) -> tuple[str, str] | None:
        """Download the images that are not there yet; return why not, if they are too large."""
        limit, size = STUDY_SHARE * limit_bytes(), 0
        for instance in instances:
            size += self._fetch(folder, instance)
            if size > limit:
                return (
                    f"expected at most {limit / (1 << 30):.3g} GB of MR images, got more",
                    "send fewer series, or raise ANOMRI_MAX_IMAGE_GB: the limit is 16 times that",
                )
        return None

    def _fetch(self, folder: StudyFolder, instance: str) -> int:
        """Download an image unless it is there, and return its size."""
        path = folder.image(instance)
        if path.is_file():
            return path.stat().st_size
        return self.server.download(instance, path)

    def _send(self, entry: Entry, summary: str = "") -> None:
        """Send the answer for a study, then note that it is finished and remove its files."""
        objects = sorted(self._folder(entry).answer.glob("*.dcm"))
        for path in objects:
            self.server.send(path, entry.study)
        count = "1 object" if len(objects) == 1 else f"{len(objects)} objects"
        words = f"{summary or entry.outcome}; {count} sent"
        outcome = Outcome(entry.outcome)
        self._finish(entry.study, entry.fingerprint, Answer(outcome, entry.exit_code, words))

    def _finish(self, study: str, fingerprint: str, answer: Answer) -> None:
        """Note that a study is finished, remove its files and say so."""
        failed = answer.outcome is Outcome.FAILED
        reason = answer.summary if failed else ""
        self.journal.finish(study, fingerprint, answer.outcome, answer.exit_code, reason)
        StudyFolder.of(self.work, study).remove()
        self.served.outcomes.append(answer.outcome)
        if answer.exit_code:
            self.served.exit_codes.add(answer.exit_code)
        if not failed:  # the log has a warning already
            self.schedule.announce(f"study {study}: {answer.summary}")
