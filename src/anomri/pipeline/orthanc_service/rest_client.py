"""Orthanc's REST interface over HTTP, as far as it is used.

The standard library does: a dozen calls, one after the other. No library for HTTP is among the
dependencies, and one that comes with another package may go with it.

Nothing that is raised or logged here holds a password or a tag of a patient: Orthanc's
identifiers are hashes, and the texts of its errors are left out.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from anomri.errors import ServerUnreachable, UnusableAnswer, UsageError
from anomri.files import limit_bytes, replacing
from anomri.pipeline.orthanc_service.answers import (
    Changes,
    Resource,
    Series,
    Stored,
    Study,
    System,
)

TIMEOUT_SECONDS = 60.0
MAX_JSON_BYTES = 64 << 20
CHANGES_AT_ONCE = 500
CHUNK_BYTES = 1 << 20
DENIED = frozenset({401, 403})
MISSING = 404
UNAVAILABLE = frozenset({502, 503, 504})
DICOM_MAGIC, MAGIC_END = b"DICM", 132  # after the preamble: Orthanc stores files with it alone
STORED = frozenset({"Success", "AlreadyStored"})
CREDENTIALS = "set ANOMRI_ORTHANC_USER and ANOMRI_ORTHANC_PASSWORD to a user of this Orthanc"

T = TypeVar("T")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: patients' images and a password go to the address that was given alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return nothing, so that the redirection becomes an error."""


class Orthanc:
    """A running Orthanc.

    Args:
        url: of its REST interface, such as ``http://127.0.0.1:8042``.
        user: empty where it asks for none.
        password: of the user.

    Attributes:
        address: the URL without a slash at its end.

    Raises:
        UsageError: the URL is not one of HTTP, or holds a password.
    """

    def __init__(self, url: str, *, user: str = "", password: str = "") -> None:
        self.address = _checked(url)
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"} if user else {}
        direct = urllib.request.ProxyHandler({})  # whatever http_proxy says, as for redirections
        self._opener = urllib.request.build_opener(direct, _NoRedirects)

    def check(self) -> None:
        """Check that an Orthanc answers.

        Raises:
            ServerUnreachable: nothing answers; this error and the next ones are raised by all
                calls.
            UsageError: it does not let this user in, or it is no Orthanc.
        """
        try:
            self._json(System, "/system")
        except UnusableAnswer as error:
            raise UsageError(
                f"{self.address}: expected the REST interface of an Orthanc, {error.reason}. "
                "Next: check the address and its port (usually 8042)."
            ) from error

    def changes(self, since: int) -> Changes:
        """Return a part of the log of changes after a position."""
        return self._json(Changes, f"/changes?since={since}&limit={CHANGES_AT_ONCE}")

    def last_change(self) -> int:
        """Return the last position in the log of changes."""
        return self._json(Changes, "/changes?last").Last

    def study(self, study: str) -> Study | None:
        """Return a study; None where it was deleted."""
        return self._json_or_none(Study, f"/studies/{study}")

    def series(self, study: str) -> list[Series]:
        """Return the series of a study; none where it was deleted."""
        return self._json_or_none(list[Series], f"/studies/{study}/series") or []

    def tags(self, instance: str) -> dict[str, str]:
        """Return the tags of an image whose value is a text; no nested ones."""
        tags = self._json(dict[str, Any], f"/instances/{instance}/simplified-tags")
        return {name: value for name, value in tags.items() if isinstance(value, str)}

    def studies_with(self, uid: str) -> set[str]:
        """Return the studies that have this StudyInstanceUID: one for each patient."""
        hits = self._json(list[Resource], "/tools/lookup", uid.encode())
        return {hit.ID for hit in hits if hit.Type == "Study"}

    def download(self, instance: str, path: Path) -> int:
        """Write an image to a file and return its size.

        Raises:
            UnusableAnswer: it is no DICOM file, incomplete, or larger than the limit of memory.
            DiskFull: no space is left.
        """
        place = f"/instances/{instance}/file"
        with self._answer(place) as answer, replacing(path) as draft, draft.open("xb") as file:
            return self._copy(answer, file, place)

    def send(self, path: Path, study: str) -> bool:
        """Store a DICOM file; return whether it is new.

        Raises:
            UnusableAnswer: it was not stored, or under another study.
        """
        stored = self._json(Stored, "/instances", path.read_bytes(), content="application/dicom")
        if stored.Status not in STORED:
            raise _unusable("/instances", "a file to be stored", stored.Status[:40])
        if stored.ParentStudy != study:
            raise _unusable("/instances", "a result in the study of its source", "another study")
        return stored.Status == "Success"

    def _copy(self, answer: Any, file: IO[bytes], place: str) -> int:
        """Copy an answer to a file and return the number of bytes."""
        size, start, limit = 0, b"", limit_bytes()
        while piece := self._read(answer, CHUNK_BYTES):
            start, size = (start + piece)[:MAGIC_END], size + len(piece)
            if size > limit:
                raise _unusable(place, f"an image of at most {limit >> 20} MiB", "a larger one")
            file.write(piece)
        declared = answer.headers.get("Content-Length")
        if declared is not None and declared != str(size):
            raise ServerUnreachable(self.address, "the answer broke off")
        if not start.endswith(DICOM_MAGIC) or len(start) < MAGIC_END:
            raise _unusable(place, "a DICOM file", "something else")
        return size

    def _json_or_none(self, kind: type[T], place: str) -> T | None:
        try:
            return self._json(kind, place)
        except _NotThere:
            return None

    def _json(self, kind: type[T], place: str, data: bytes | None = None, **options: str) -> T:
        with self._answer(place, data, **options) as answer:
            content = self._read(answer, MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise _unusable(place, f"at most {MAX_JSON_BYTES >> 20} MiB", "more")
        try:
            return TypeAdapter(kind).validate_python(json.loads(content))
        except (ValueError, RecursionError) as error:  # ValidationError is a ValueError
            got = "another one" if isinstance(error, ValidationError) else "no JSON"
            raise _unusable(place, "an answer as in Orthanc's documentation", got) from None

    @contextmanager
    def _answer(
        self, place: str, data: bytes | None = None, *, content: str = "text/plain"
    ) -> Iterator[Any]:
        """Yield the answer to a request, with errors that name the server and the place."""
        headers = {"Accept": "*/*", **({"Content-Type": content} if data is not None else {})}
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            f"{self.address}{place}", data=data, headers={**self._headers, **headers}
        )
        with self._network():
            try:
                answer = self._opener.open(request, timeout=TIMEOUT_SECONDS)
            except urllib.error.HTTPError as error:
                error.close()
                raise self._refused(error.code, place) from None
        with answer:
            yield answer

    def _read(self, answer: Any, size: int) -> bytes:
        with self._network():
            content: bytes = answer.read(size)
        return content

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Turn errors of the network into one that names the server."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise UsageError(
                    f"{self.address}: expected a certificate that can be verified "
                    f"({reason.verify_message}). Next: name its authority's file in SSL_CERT_FILE."
                ) from None
            raise ServerUnreachable(self.address, _in_words(reason)) from None

    def _refused(self, code: int, place: str) -> Exception:
        """Return the error that an HTTP status amounts to."""
        if code in DENIED:
            return UsageError(
                f"{self.address}: expected access, got HTTP status {code}. Next: {CREDENTIALS}."
            )
        if 300 <= code < 400:
            return UsageError(
                f"{self.address}: expected no redirection, got HTTP status {code}. "
                "Next: give the address that it leads to."
            )
        if code in UNAVAILABLE:
            return ServerUnreachable(self.address, f"HTTP status {code}")
        kind = _NotThere if code == MISSING else UnusableAnswer
        return _unusable(place, "an answer", f"HTTP status {code}", kind=kind)


class _NotThere(UnusableAnswer):
    """Nothing is at the place that was asked for."""


def _unusable(
    place: str, expected: str, got: str, *, kind: type[UnusableAnswer] = UnusableAnswer
) -> UnusableAnswer:
    return kind(
        place.partition("?")[0].replace("/", " ").strip(),
        expected=expected,
        got=got,
        next_step="look at Orthanc's log",
    )


def _in_words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    words = getattr(reason, "strerror", None)
    return str(words or type(reason).__name__)


def _checked(url: str) -> str:
    """Return a URL without a slash at its end.

    Raises:
        UsageError: it is not one of HTTP, or holds a password, which others could read.
    """
    try:
        parts = urllib.parse.urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or "@" in url or parts.query or parts.fragment:
        what = "an address without user and password" if "@" in url else "an address"
        raise UsageError(
            f"--orthanc: expected {what}, such as http://127.0.0.1:8042. Next: correct it"
            + (f"; {CREDENTIALS}." if "@" in url else ".")
        )
    return url.strip().rstrip("/")
