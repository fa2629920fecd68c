"""Profiles of rows, from processes of their own: nothing that is measured is ever looked at meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.janitor import Workspace
from pytest_pe_perf.model import Key, Profile, Skipped
from pytest_pe_perf.profile.stacks import Seen, joined, merged


def look(
    command: Sequence[str],
    keys: Sequence[Key],
    *,
    folder: Path,
    room: Workspace,
    patience: fresh.Patience,
    environ: Mapping[str, str],
) -> fresh.Answer:
    """Return what a process that is started by ``command`` sees of the rows ``keys``, and why not of others."""
    tests = tuple(dict.fromkeys(key.test for key in keys))

    @contextlib.contextmanager
    def watch(pgid: int) -> Iterator[None]:
        room.watch(pgid)
        try:
            yield
        finally:
            room.unwatch(pgid)

    try:
        return fresh.weigh(
            command,
            tests,
            folder=folder,
            room=room.path,
            patience=patience,
            environ=environ,
            watch=watch,
            profile=tuple(keys),
        )
    except fresh.FreshProcessError as error:
        return fresh.Answer((), tuple(Skipped(test, str(error)) for test in tests))


def of_both(keys: Sequence[Key], base: fresh.Answer, head: fresh.Answer) -> tuple[Profile, ...]:
    """Return the profiles of what both sides saw; where base saw nothing, that of head alone."""
    return tuple(_profile(key, base, head, "") for key in keys)


def of_head(keys: Sequence[Key], head: fresh.Answer, why: str) -> tuple[Profile, ...]:
    """Return the profiles of what head saw; ``why`` says why there is no other side."""
    return tuple(_profile(key, None, head, why) for key in keys)


def _profile(key: Key, base: fresh.Answer | None, head: fresh.Answer, why: str) -> Profile:
    on_head = _seen(key, head)
    if isinstance(on_head, str):
        return Profile(key, note=f"no profile: {'on head, ' if base else ''}{on_head}")
    on_base = why if base is None else _seen(key, base)
    if isinstance(on_base, str):
        where = "on base, " if base else ""
        return joined(key, None, merged([on_head]), f"of head alone: {where}{on_base}")
    return joined(key, merged([on_base]), merged([on_head]))


def _seen(key: Key, answer: fresh.Answer) -> Seen | str:
    """Return what a side saw of a row, or why it saw nothing."""
    found = next((item for item in answer.seen if item.key == key), None)
    if found is not None and not found.problem:
        return found
    said = next((item.why for item in answer.skipped if item.test == key.test), "")
    return (found.problem if found else "") or said or "its process did not come to it"
