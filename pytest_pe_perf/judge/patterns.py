"""Which tests a pattern names. The same words serve ``pe-perf update`` and the entries that accept a regression."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from .gate import module_of

_WILDCARD = re.compile(r"[*?]")


def matches(pattern: str, test: str) -> bool:
    """Whether ``pattern`` names ``test``.

    A pattern is a node id, the beginning of one (a folder, a file, a class, a test without its parameters), or either
    with ``*`` and ``?``.
    """
    if pattern in (".", "./"):
        return True
    plain = _plain(pattern)
    if test == plain or (plain and test.startswith((f"{plain}/", f"{plain}::", f"{plain}["))):
        return True
    # Brackets hold the parameters of a test: they stand for themselves.
    return fnmatchcase(test, plain.replace("[", "[[]"))


def has_wildcard(pattern: str) -> bool:
    """Whether the pattern may name tests of modules that it does not spell out."""
    return _WILDCARD.search(pattern) is not None


def may_be_in(pattern: str, module: str) -> bool:
    """Whether a test that ``pattern`` names could stand in ``module``."""
    plain = _plain(pattern)
    if not has_wildcard(plain):
        return matches(module_of(pattern), module)
    spelt_out = _WILDCARD.split(plain, maxsplit=1)[0]
    return module.startswith(spelt_out) or spelt_out.startswith(f"{module}::")


def _plain(pattern: str) -> str:
    return pattern.removeprefix("./").removesuffix("/")
