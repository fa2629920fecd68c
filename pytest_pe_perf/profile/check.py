"""Whether a profile is one that can have been made: a run file comes from anywhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_pe_perf.model import Profile
from pytest_pe_perf.profile.stacks import DEEPEST, LONGEST_NAME, LONGEST_NOTE, MOST_FRAMES, MOST_STACKS, PROFILED

# Shards that were merged have those of all of them; and a stack that was cut off has one frame more.
MOST_PROFILES = 2000
_LARGEST = 1e18


def flaws(profile: Profile) -> Iterator[str]:
    """Yield what no profile of ours has, in words that follow on its name."""
    if profile.key.metric not in PROFILED:
        yield "is of a metric that has none"
    if len(profile.stacks) > MOST_STACKS + 1 or len(profile.frames) > MOST_FRAMES:
        yield f"has {len(profile.stacks)} stacks and {len(profile.frames)} functions, more than any of ours"
    names = [name for frame in profile.frames for name in (frame.function, frame.file)]
    if any(len(name) > LONGEST_NAME for name in names) or len(profile.note) > LONGEST_NOTE:
        yield "has a name that is longer than any of ours"
    for stack in profile.stacks:
        if not 0 < len(stack.frames) <= DEEPEST + 1:
            yield f"has a stack of {len(stack.frames)} calls"
        if not all(0 <= place < len(profile.frames) for place in stack.frames):
            yield "has a stack of functions that it does not name"
        if not all(0 <= weight <= _LARGEST for weight in (stack.base, stack.head)):
            yield "has a weight that nobody can have measured"
    if any(not 0 <= frame.line <= _LARGEST for frame in profile.frames):
        yield "has a line that no file has"
