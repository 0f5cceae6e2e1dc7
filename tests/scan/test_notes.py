"""Notes are told apart by their kind; their words are for the reader."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from anomri.files import StoredNote
from anomri.scan import Note, NoteKind

SOURCE = Path(__file__).parents[2] / "src" / "anomri"
SEARCHES = {"count", "endswith", "find", "index", "match", "partition", "search", "startswith"}


def searched_notes(code: str) -> Iterator[str]:
    """Yield each expression that looks for words in a note."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            operands = [node.func.value, *node.args] if node.func.attr in SEARCHES else []
        else:
            continue
        texts = [ast.unparse(operand) for operand in operands]
        if any(text == "note" or text.endswith("note.text") for text in texts):
            yield ast.unparse(node)


@pytest.mark.parametrize(
    "code",
    [
        "any('moved' in note for note in notes)",
        "note.text.startswith('no mass')",
        "re.search('moved', note.text)",
        "record.note.text == 'x'",
    ],
)
def test_a_search_for_words_is_recognised(code: str) -> None:
    assert list(searched_notes(code))


def test_no_module_looks_for_words_in_a_note() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): searches
        for path in sorted(SOURCE.rglob("*.py"))
        if (searches := list(searched_notes(path.read_text("utf-8"))))
    }
    assert found == {}


def test_a_stored_note_is_read_back() -> None:
    adapter: TypeAdapter[Note] = TypeAdapter(StoredNote)
    note = Note(NoteKind.REALIGNED, "t1 was moved")
    assert adapter.validate_json(adapter.dump_json(note)) == note
    assert adapter.validate_python("words alone") == Note(NoteKind.OTHER, "words alone")
    newer = adapter.validate_json('{"kind": "of a later version", "text": "x"}')
    assert newer == Note(NoteKind.OTHER, "x")
    with pytest.raises(ValidationError):
        adapter.validate_json('{"kind": 5, "text": "x"}')
