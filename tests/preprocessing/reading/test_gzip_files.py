from __future__ import annotations

import gzip
from pathlib import Path

from anomri.preprocessing.reading.gzip_files import decompress


def test_a_file_of_many_members_is_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "many.gz"
    path.write_bytes(gzip.compress(b"") * 10_000 + gzip.compress(bytes(range(256))))
    assert decompress(path, 1 << 20) == bytes(range(256))
    assert decompress(path, 3) == bytes(range(3))
