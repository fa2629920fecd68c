"""`serve`: the dashboard, and an engine at work for it to show."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from engine_opt.errors import EngineError

from .options import FILE

MEMORY_TARGET = 100e6
"""Bytes that the process of an engine should stay below."""

_SHORTEST_INTERVAL = 0.1
_SHOWN_INTERVALS = 6  # the numbers beside the charts are of so many


@click.command(
    short_help="The dashboard in a browser, and an engine at work.",
    epilog="\b\nExample:\n  python -m engine_opt serve --port 0 --for 0.5s",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8765, show_default=True, help="0 takes one that is free."
)
@click.option("--store", metavar="PATH", help="Keep what is measured: a file, or a URL of PostgreSQL.")
@click.option("--rules", type=FILE, metavar="FILE.toml", help="Alerts to watch for, in place of those for the load.")
@click.option("--interval", default="2s", show_default=True, metavar="TIME", help="From one collection to the next.")
@click.option("--rate", type=float, default=300.0, show_default=True, metavar="N", help="Decisions a second, at most.")
@click.option("--slow-while", type=FILE, metavar="FILE", help="Decide slowly as long as there is such a file.")
@click.option("--no-load", is_flag=True, help="Only show --store, to which another process writes.")
@click.option("--for", "lasts", metavar="TIME", help="Stop after this time; without it, when interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print address and token as one JSON document.")
def serve(
    port: int,
    store: str | None,
    rules: Path | None,
    interval: str,
    rate: float,
    slow_while: Path | None,
    no_load: bool,
    lasts: str | None,
    as_json: bool,
) -> None:
    """Serve the dashboard on this machine, and print its URL: a page on an engine at work, live and in history.

    The engine decides about real series in a process of its own, which is started anew where it ends. Only this machine
    can reach the page. What is behind the # in the URL lets acknowledge and silence alerts.

    Ctrl-C stops everything. Without --store nothing is left then. TIME is a number and ms, s, min or h.
    """
    from engine_opt import _validate as check
    from engine_opt.engine_panels import engine_panels
    from engine_opt.monitoring.alerting_system import AlertingSystem, load_alerts
    from engine_opt.monitoring.alerts.toml import seconds
    from engine_opt.monitoring.dashboard_backend import run
    from engine_opt.monitoring.metric_store import DAY, open_store

    from .loading import KeptLoad

    if no_load and store is None:
        raise click.UsageError("--no-load shows what another process writes: name it with --store")
    every = check.between("--interval", seconds("--interval", interval), _SHORTEST_INTERVAL, DAY, "seconds")
    after = None if lasts is None else check.positive("--for", seconds("--for", lasts))
    check.positive("--rate", rate)
    with as_file(files(__package__) / "serve.toml") as ours:
        watched, notifiers = load_alerts(ours if rules is None else rules)
    with ExitStack() as stack:
        stack.enter_context(_interrupted_by_sigterm())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="engine-opt-", ignore_cleanup_errors=True)))
        where = str(folder / "metrics.db") if store is None else store
        if not no_load:
            open_store(where).close()  # made, or refused, before anything is started
            stack.enter_context(KeptLoad(where, rate, every, slow_while))
        metrics = stack.enter_context(closing(open_store(where, read_only=True)))
        states = folder / "alerts.db" if store is None or "://" in store else Path(f"{store}.alerts")
        alerts = stack.enter_context(AlertingSystem(watched, metrics, states, notifiers=notifiers))
        alerts.start()

        def ready(address: str, token: str) -> None:
            _tell(address, token, as_json=as_json)
            if after is not None:
                stack.enter_context(_stopping(after))

        panels = engine_panels(seconds=_SHOWN_INTERVALS * every, memory_target=MEMORY_TARGET)
        try:
            run(metrics, port=port, ready=ready, alerts=alerts, panels=panels, interval=every)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            raise EngineError(f"port {port} cannot be had ({error.strerror}): name another with --port") from error


def _tell(address: str, token: str, *, as_json: bool) -> None:
    from .show import print_json, print_text

    url = f"{address}/#token={token}"
    if as_json:
        print_json({"url": url, "address": address, "token": token})
    else:
        print_text(url)
    sys.stdout.flush()


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take a SIGTERM for a Ctrl-C, so that what was begun is ended."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _stopping(after: float) -> Iterator[None]:
    """Stop the server after so many seconds, as a signal would."""
    timer = threading.Timer(after, signal.raise_signal, (signal.SIGTERM,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
