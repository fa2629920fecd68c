"""Text on a screen of fixed width: what a string occupies, and how to make any string fit and do no harm."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

ELLIPSIS = "…"
# Zero-width joiners hold emoji and some scripts together; every other invisible character is shown by its number.
_JOINERS = "\u200c\u200d"
_HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _harmful(character: str) -> bool:
    return unicodedata.category(character) in _HARMFUL and character not in _JOINERS


def printable(text: str) -> str:
    r"""Return ``text`` with control, direction and half characters spelled out: ``"\x1b"`` becomes ``"\\x1b"``.

    A node id comes from a file or a parameter that anybody may have named; it must not move the cursor, turn the
    direction of the line, or be impossible to encode.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(c) if _harmful(c) else c for c in text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _cells(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"} or character in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "FW" else 1


def width_of(text: str) -> int:
    """Return how many columns a printable ``text`` occupies; East Asian characters and emoji take two."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _head(text: str, width: int) -> str:
    used = 0
    for position, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return text[:position]
    return text


def _tail(text: str, width: int) -> str:
    used = 0
    for position in range(len(text), 0, -1):
        used += _cells(text[position - 1])
        if used > width:
            return text[position:]
    return text


def shorten(text: str, width: int, keep: int = 0) -> str:
    """Return ``text`` in at most ``width`` columns, cut left of the middle; its last ``keep`` columns if they fit."""
    if width_of(text) <= width:
        return text
    if width < 1:
        return ""
    # The end of a node id (function, parameters) tells more than its beginning (folders): it gets two thirds.
    room = width - 1
    end = _tail(text, keep if room * 2 // 3 < keep <= room else room * 2 // 3)
    start = _head(text, room - width_of(end))
    return f"{start}{ELLIPSIS}{end}"


def shorten_id(label: str, width: int) -> str:
    """Return a node id in at most ``width`` columns: first its folders go, then ``.py``, then the middle."""
    label = printable(label)
    if width_of(label) <= width:
        return label
    path, separator, rest = label.partition("::")
    module = path.rpartition("/")[2]
    for name in (module, module.removesuffix(".py")):
        shorter = f"{name}{separator}{rest}"
        if width_of(shorter) <= width:
            return shorter
    function = shorter.partition("[")[0].rfind("::")
    return shorten(shorter, width, keep=width_of(shorter[max(function, 0) :]))


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` filled with blanks to ``width`` columns, at its left end where ``right`` aligned."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def wrap(text: str, width: int, indent: str = "") -> Iterator[str]:
    """Yield ``text`` in lines of at most ``width`` columns, broken between words where that is possible."""
    if len(indent) > width // 2:
        indent = ""
    room = max(width - len(indent), 1)
    line = ""
    for word in printable(text).split(" "):
        if line and width_of(line) + 1 + width_of(word) <= room:
            line += f" {word}"
            continue
        if line:
            yield indent + line
        line = word
        while width_of(line) > room:
            # A character of two columns does not fit in one: it is left out rather than let over the edge.
            piece = _head(line, room)
            yield indent + piece
            line = line[len(piece) or 1 :]
    if line:
        yield indent + line


def hang(text: str, width: int) -> Iterator[str]:
    """Yield ``text`` in lines of at most ``width`` columns, all but the first indented."""
    fits = width_of(printable(text)) <= width
    for number, line in enumerate(wrap(text, width if fits else max(width - 2, 1))):
        yield f"  {line}" if number and width > 2 else line


def wrap_parts(start: str, parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield ``start`` and the parts of a sentence, broken between parts where that is possible."""
    line = start
    for number, part in enumerate(parts, 1):
        text = part if number == len(parts) else f"{part};"
        if line not in ("", start) and width_of(line) + width_of(text) > width:
            yield from wrap(line.rstrip(), width)
            line = ""
        line += f"{text} "
    yield from wrap(line.rstrip(), width)
