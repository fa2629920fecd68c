"""What mkdocs does besides turning Markdown into pages: some are made from the code, and all are looked at in the end."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from offline import loaded_from_elsewhere
from pages import pages

# [text](target), where the target is no address.
_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]*)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the files in the place of a pattern in the navigation."""
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def _expanded(item: object, docs: Path) -> object:
    if isinstance(item, list):
        return [_expanded(child, docs) for child in item]
    if isinstance(item, dict):
        return {name: _expanded(child, docs) for name, child in item.items()}
    if isinstance(item, str) and "*" in item:
        return [path.relative_to(docs).as_posix() for path in sorted(docs.glob(item))]
    return item


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - by name
    """Leave only the words of links to what is in the repository and not in the site."""
    here = Path(config.docs_dir, page.file.src_uri).parent

    def link(match: re.Match[str]) -> str:
        target = (here / match[2]).resolve()
        return match[0] if target.is_relative_to(Path(config.docs_dir).resolve()) else match[1]

    return _LINK.sub(link, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that would ask anybody but its own server for anything.

    Raises:
        PluginError: a page or a style sheet loads something from elsewhere.

    """
    found = [
        f"{path.relative_to(config.site_dir)}: {text}"
        for path in sorted(Path(config.site_dir).rglob("*"))
        if path.suffix in (".html", ".css")
        for text in loaded_from_elsewhere(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError("the site would ask others:\n" + "\n".join(found))
