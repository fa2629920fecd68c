"""Constructors of the records that the engine itself makes in every decision.

A frozen dataclass sets each of its fields through `object.__setattr__`, which takes longer than all of its checks. A
draft with the same fields is filled as any object is, and then becomes the record: the same arguments, checks and
result in less than half of the time.
"""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Any, TypeVar, cast

_R = TypeVar("_R")


def quick(kind: type[_R]) -> type[_R]:
    """Return a constructor of `kind`, a frozen dataclass with slots whose checks are its `__post_init__`.

    It takes what `kind` takes and raises what `kind` raises; what it returns is a `kind` and nothing else.
    """

    def become(draft: Any) -> None:
        draft.__class__ = kind  # the layout is the same
        draft.__post_init__()

    known = cast("Any", kind)
    same = [
        (each.name, each.type, field(default=each.default, default_factory=each.default_factory))
        for each in fields(known)
    ]
    draft = make_dataclass(kind.__name__, same, namespace={"__post_init__": become}, slots=True, repr=False, eq=False)
    return cast("type[_R]", draft)
