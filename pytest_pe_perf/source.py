"""The identity of a benchmark: a hash of its own source. Two different benchmarks are not compared."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def source_hash(function: Callable[..., Any], *, named: bool = True) -> str:
    """Return twelve hex digits for what ``function`` does, whatever its comments, docstring, layout and decorators.

    Decorators are left out because budgets and thresholds stand there: tightening one is not another benchmark. The
    code that it calls is left out because that is what is measured. Without ``named`` its own name is left out too, so
    that a function that was renamed is known again.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
        text = "\n".join(_essence(node, named=named) for node in tree.body)
    except (OSError, TypeError, SyntaxError):
        # No source, or not a statement of its own (a lambda in the middle of a line): what is left is its code.
        code = getattr(function, "__code__", None)
        text = repr((code.co_code, code.co_names, code.co_consts)) if code else repr(type(function))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _essence(node: ast.stmt, *, named: bool) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node.decorator_list = []
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        if not named:
            node.name = ""
    return ast.dump(node)
