"""Pages of the reference that are made from the code, as Markdown."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import Enum
from typing import Any

import click

import engine_opt
from pytest_pe_perf import activate, errors, plugin
from pytest_pe_perf.cli import cli
from pytest_pe_perf.config import PAIRED, Settings
from pytest_pe_perf.fixtures import Measure
from pytest_pe_perf.model import METRICS
from pytest_pe_perf.report.wording import MEANING, ORDER, SIGN

_MADE = "This page is made from the code."
# Columns of a signature that is not broken.
_WIDTH = 88
_UNITS = {"s": "time", "B": "bytes", "1": "number"}
_JUDGED = {"exact": "by its value: it repeats", "noisy": "by an interval", "nothing": "never: it is shown"}


def pages() -> dict[str, str]:
    """Return the pages by their place in the site."""
    return {
        "reference/at-a-glance.md": at_a_glance(),
        "reference/command-line.md": command_line(),
        "reference/fixtures.md": fixtures(),
        "engine/names.md": names(),
    }


def at_a_glance() -> str:
    """Return the tables of options, settings, markers, metrics, verdicts and messages."""
    return "\n\n".join(
        [
            "# At a glance",
            f"{_MADE} What stands behind each word: [fixtures, markers, options, settings](settings.md).",
            "## Options of pytest",
            _table(("option", "meaning"), _options()),
            "## Settings",
            "In `[tool.pe_perf]` of `pyproject.toml`: times are seconds here, and shares fractions.",
            _table(("setting", "against a baseline", "beside a commit", "option"), _settings()),
            "## Markers",
            _table(("marker", "meaning"), _markers()),
            "## Metrics",
            _table(("metric", "what", "unit", "judged"), _metrics()),
            "## Verdicts",
            _table(("", "verdict", "meaning"), ((SIGN[word], f"`{word}`", MEANING[word]) for word in ORDER)),
            "## Messages",
            _table(("slug", "meaning"), _messages()),
        ]
    )


def command_line() -> str:
    """Return what every command of ``pe-perf`` says of itself."""
    parts = ["# Commands of pe-perf", f"{_MADE} It is what `--help` says."]
    for name, text in _helps(cli, "pe-perf"):
        parts += [f"## {name}", f"```text\n{text}\n```"]
    return "\n\n".join(parts)


def fixtures() -> str:
    """Return the page of the fixtures: what a test may call."""
    rows = (
        (f"`{name}`", _first(inspect.unwrap(getattr(plugin, name)).__doc__)) for name in ("pe_latency", "pe_memory")
    )
    return "\n\n".join(
        [
            "# Fixtures",
            f"{_MADE} How they are used: [fixtures, markers, options, settings](settings.md).",
            _table(("fixture", "meaning"), rows),
            "Both are a `Measure`.",
            *_described("Measure", Measure, ("__call__", "__getitem__", "called")),
        ]
    )


def names() -> str:
    """Return the page of all public names of the engine."""
    parts = ["# Names of engine_opt", f"{_MADE} `import engine_opt` has these, and nothing else is promised."]
    for name in sorted(engine_opt.__all__, key=str.lower):
        thing = getattr(engine_opt, name)
        public = [word for word in vars(thing) if word.islower() and word[0] != "_"] if isinstance(thing, type) else []
        parts += _described(name, thing, public)
    return "\n\n".join(parts)


def _described(name: str, thing: Any, members: Iterable[str]) -> Iterator[str]:
    """Yield how something is called and what it says of itself, and of its members as far as they say anything."""
    yield f"## {name}"
    if isinstance(thing, type) and issubclass(thing, Enum):
        yield inspect.cleandoc(thing.__doc__ or "")
        yield f"One of {', '.join(f'`{member.name}`' for member in thing)}."
        return
    yield f"```python\n{_signature(name, thing)}\n```"
    yield inspect.cleandoc(thing.__doc__ or "")
    for word in members:
        member = inspect.getattr_static(thing, word)
        member = getattr(member, "__func__", member)
        if not member.__doc__ or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        yield f"### {name}.{word}"
        if inspect.isfunction(member):
            yield f"```python\n{_signature(word, member)}\n```"
        yield inspect.cleandoc(member.__doc__)


def _signature(name: str, thing: Any) -> str:
    """Return a call as its definition has it, on several lines where one has no room."""
    try:
        signature = inspect.signature(thing)
    except ValueError:  # an error that takes what any exception takes
        return f"{name}(*args)"
    arguments = list(_arguments(signature))
    returned = signature.return_annotation
    end = "" if returned in (inspect.Signature.empty, None, "None") else f" -> {_annotation(returned)}"
    line = f"{name}({', '.join(arguments)}){end}"
    return line if len(line) <= _WIDTH else "\n".join([f"{name}(", *(f"    {each}," for each in arguments), f"){end}"])


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    kinds = [parameter.kind for parameter in parameters]
    for number, parameter in enumerate(parameters):
        by_name = parameter.kind is parameter.KEYWORD_ONLY
        if by_name and not {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}.intersection(kinds[:number]):
            yield "*"
        yield _argument(parameter)


def _argument(parameter: inspect.Parameter) -> str:
    empty = inspect.Parameter.empty
    plain = str(parameter.replace(annotation=empty, default=empty))
    typed = plain if parameter.annotation is empty else f"{plain}: {_annotation(parameter.annotation)}"
    return typed if parameter.default is empty else f"{typed} = {_default(parameter.default)}"


def _annotation(annotation: Any) -> str:
    text = getattr(annotation, "__forward_arg__", annotation)
    return text if isinstance(text, str) else inspect.formatannotation(text)


def _default(value: object) -> str:
    """Return a default as code, but for what a dataclass makes anew each time, which has no short name."""
    text = repr(value)
    return "..." if text.startswith("<") or len(text) > _WIDTH // 2 else text


class _Recorder:
    """Stands where pytest hands its parser over, and keeps what is declared."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []

    def getgroup(self, *_: str) -> _Recorder:
        return self

    def addoption(self, name: str, **how: Any) -> None:
        self.options.append((name, how))


def _declared() -> list[tuple[str, dict[str, Any]]]:
    recorder = _Recorder()
    plugin.pytest_addoption(recorder)
    return recorder.options


def _options() -> Iterator[tuple[str, ...]]:
    for name, how in _declared():
        yield f"`{' '.join(part for part in (name, how.get('metavar')) if part)}`", how["help"]


def _settings() -> Iterator[tuple[str, ...]]:
    by_setting = {setting: option for option, setting in activate.SETTINGS.items()}
    for field in fields(Settings):
        option = by_setting.get(field.name, "").replace("_", "-")
        paired = PAIRED.get(field.name, field.default)
        yield f"`{field.name}`", _value(field.default), _value(paired), f"`--{option}`" if option else ""


def _value(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _markers() -> Iterator[tuple[str, ...]]:
    for text in plugin.MARKERS:
        name, _, meaning = text.partition(": ")
        yield f"`{name}`", meaning


def _metrics() -> Iterator[tuple[str, ...]]:
    for metric in METRICS.values():
        yield f"`{metric.name}`", metric.title, _UNITS[metric.unit], _JUDGED[metric.assume]


def _messages() -> Iterator[tuple[str, ...]]:
    kinds = [errors.PePerfError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    for kind in sorted(kinds, key=lambda kind: kind.slug):
        yield f"[`{kind.slug}`](messages.md#{kind.slug})", _first(kind.__doc__)


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name, max_content_width=80, terminal_width=80)
    yield name, command.get_help(context)
    for word in command.list_commands(context) if isinstance(command, click.Group) else ():
        child = command.get_command(context, word)
        if child is not None:
            yield from _helps(child, f"{name} {word}")


def _first(docstring: str | None) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join(inspect.cleandoc(docstring or "").partition("\n\n")[0].split())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
