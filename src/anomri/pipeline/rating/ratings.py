"""The table of a reader's ratings: a row for each scan that was rated and finding that was judged.

========= ==========================================================================================
column    meaning
========= ==========================================================================================
subject   name of the subject in the data set
label     BIDS prefix of the scan's results
lesion    number of the finding; ``n/a`` in the row of a scan
volume_ml volume when it was rated: a rating of another result does not count
rating    of a scan: 1 unusable, 2 poor, 3 acceptable, 4 good; ``n/a`` if it was cleared
judgement of a finding: ``real`` or ``not_real``; ``n/a`` if it was cleared
rated     time, in UTC; of two rows on one scan or finding the later one holds
========= ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anomri.errors import DamagedFile, UsageError
from anomri.files import NOTHING, read_tsv, write_tsv

NEXT = "save it again from the report, or correct this row"


class Rating(BaseModel):
    """What a reader said of a scan or of one finding; attributes as the columns of the table."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    subject: str
    label: str
    lesion: Annotated[int, Field(ge=1)] | None = None
    volume_ml: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    rating: Annotated[int, Field(ge=1, le=4)] | None = None
    judgement: Literal["real", "not_real"] | None = None
    rated: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]

    @model_validator(mode="after")
    def _is_of_one_thing(self) -> Rating:
        other = self.rating if self.lesion else self.judgement
        if other is not None:
            raise ValueError("expected a rating of a scan, or a judgement of a lesion")
        return self


COLUMNS = tuple(Rating.model_fields)


def read_ratings(path: Path) -> list[Rating]:
    """Read a table of ratings.

    Raises:
        UsageError: there is no such file.
        DamagedFile: a column is missing, or a row holds something else.
    """
    if not path.is_file():
        raise UsageError(
            f"{path.name}: expected a table of ratings, found no file. "
            "Next: save ratings.tsv from the report, or check the spelling."
        )
    rows = read_tsv(path, next_step="save it again from the report")
    return [_row(path, number, row) for number, row in enumerate(rows, start=2)]


def merge_ratings(tables: Iterable[Sequence[Rating]]) -> list[Rating]:
    """Return the last rating of each scan and finding, in the order of labels and numbers."""
    last: dict[tuple[str, int], Rating] = {}
    for rating in (rating for table in tables for rating in table):
        key = rating.label, rating.lesion or 0
        if key not in last or last[key].rated < rating.rated:
            last[key] = rating
    return [last[key] for key in sorted(last)]


def write_ratings(path: Path, ratings: Sequence[Rating]) -> None:
    """Write a table of ratings, and the dictionary of its columns beside it."""
    write_tsv(path, COLUMNS, [tuple(rating.model_dump().values()) for rating in ratings])


def _row(path: Path, number: int, row: Mapping[str, str]) -> Rating:
    try:
        return Rating.model_validate({k: v for k, v in row.items() if v != NOTHING})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "row"
        raise DamagedFile(
            path,
            expected=f"ratings with the columns {', '.join(COLUMNS)}",
            got=f"in line {number}, {place}: {first['msg']}",
            next_step=NEXT,
        ) from error
