"""What of a page or a style sheet would make a browser ask another server."""

from __future__ import annotations

import re

# A source, a picture, a frame; a style sheet, an icon, a font; whatever a style sheet names.
_LOADED = (
    re.compile(
        r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc(?:set)?=[\"']?(?:https?:)?//[^>]*", re.IGNORECASE
    ),
    re.compile(r"<link\b(?![^>]*\brel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//[^>]*", re.IGNORECASE),
    re.compile(r"(?:@import\s*|url\(\s*)[\"']?(?:https?:)?//[^)\"']*", re.IGNORECASE),
)


def loaded_from_elsewhere(text: str) -> list[str]:
    """Return the parts by which a browser would load something; links that a reader may follow are none."""
    return [match[0] for pattern in _LOADED for match in pattern.finditer(text)]
