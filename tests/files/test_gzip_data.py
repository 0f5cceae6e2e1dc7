from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from anomri.files import DAMAGED, compress, compressed_file, gzip_data, inflater

CONTENT = bytes(range(256)) * 400


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setattr(gzip_data, "isal_zlib", None)
        monkeypatch.setattr(gzip_data, "igzip", None)


def test_others_read_what_is_compressed(tmp_path: Path) -> None:
    assert gzip.decompress(compress(CONTENT)) == CONTENT
    with compressed_file(tmp_path / "a.gz") as stream:
        stream.write(CONTENT[:1000])
        stream.write(CONTENT[1000:])
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == CONTENT


def test_it_tells_neither_time_nor_name(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        with compressed_file(tmp_path / name) as stream:
            stream.write(CONTENT)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert compress(CONTENT)[3:8] == (tmp_path / "a.gz").read_bytes()[3:8] == bytes(5)


def test_a_member_is_read_up_to_a_limit() -> None:
    packed = gzip.compress(CONTENT, mtime=0) + b"more"
    member = inflater()
    start = member.decompress(packed, 10)
    assert start == CONTENT[:10]
    assert not member.eof
    assert member.decompress(member.unconsumed_tail, len(CONTENT)) == CONTENT[10:]
    assert member.eof
    assert member.unused_data == b"more"


@pytest.mark.parametrize("place", [30, -8, -4])  # data, checksum, length
def test_damage_is_found(place: int) -> None:
    packed = bytearray(gzip.compress(CONTENT))
    packed[place] ^= 0xFF
    with pytest.raises(DAMAGED):
        assert inflater().decompress(bytes(packed), 1 << 30) == CONTENT
