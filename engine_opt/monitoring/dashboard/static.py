"""The page and the files it is made of: those that were installed with the package, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

__all__ = ["StaticFile", "page_files"]

FOLDER = "page"
PAGE = "index.html"

MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
"""What is served, by the end of its name."""


class StaticFile(NamedTuple):
    """A file that is served.

    Attributes:
        content: all of it.
        media: its media type.
        tag: changes with its content.

    """

    content: bytes
    media: str
    tag: str


def page_files(folder: Traversable | None = None) -> Mapping[str, StaticFile]:
    """Return the files of the page by their path below its folder, that of the package if none is given.

    They are read once: a path that somebody asks for is looked up here, and never reaches a disk.
    """
    folder = files(__package__) / FOLDER if folder is None else folder
    return dict(_below(folder, "")) if folder.is_dir() else {}


def _below(folder: Traversable, path: str) -> list[tuple[str, StaticFile]]:
    found = []
    for each in folder.iterdir():
        media = MEDIA.get("." + each.name.rpartition(".")[2])
        if each.is_dir():
            found += _below(each, f"{path}{each.name}/")
        elif media is not None:
            content = each.read_bytes()
            found.append((path + each.name, StaticFile(content, media, tag_of(content))))
    return found


def tag_of(content: bytes) -> str:
    """Return an ETag."""
    return f'"{sha256(content).hexdigest()[:20]}"'
