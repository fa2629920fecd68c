"""The command as a process: its help and the examples in it, pipes, interruptions, colours, imports."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import engine_opt
from engine_opt.cli import cli

from .conftest import BOOK, HEADER, environment, process, write_prices

VERBS = sorted(cli.commands)
HOME = Path(engine_opt.__file__).parents[1]
POSIX = pytest.mark.skipif(os.name != "posix", reason="there are neither named pipes nor terminals to open")


@pytest.fixture(scope="module")
def helps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("help")
    return {verb: process(verb, "--help", cwd=folder) for verb in VERBS}


def example_of(text):
    """The command that a help ends with."""
    _, _, example = text.partition("  Example:\n")
    return example.replace("\\\n", " ").strip()


def test_the_verbs_are_those_that_are_documented():
    assert VERBS == ["ablation", "analyze", "batch", "check", "classify", "demo", "explain", "replay", "run", "serve"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_help_ends_with_an_example_and_names_json(helps, verb):
    done = helps[verb]
    assert (done.status, done.err) == (0, "")
    assert example_of(done.out).startswith(f"python -m engine_opt {verb} ") or verb == "demo"
    assert "\n" not in example_of(done.out)
    assert "--json" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


# It takes seconds to measure anything: the example of `ablation` is run in test_cli_ablation.
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "ablation"])
def test_the_example_of_a_help_runs(helps, shared, tmp_path, verb):
    for name in ("prices.csv", "trades.csv", "decisions.jsonl"):
        if verb != "run" or name != "decisions.jsonl":
            shutil.copy(shared / name, tmp_path)
    program, dash_m, package, *arguments = shlex.split(example_of(helps[verb].out))
    assert (program, dash_m, package) == ("python", "-m", "engine_opt")
    done = process(*arguments, cwd=tmp_path)
    assert done.status == (1 if verb == "check" else 0)
    assert done.err == ""
    assert len(done.out.splitlines()) >= 1
    as_json = process(*arguments, "--json", cwd=tmp_path)
    assert as_json.status == done.status
    assert json.loads(as_json.out)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_without_a_verb_the_verbs_are_listed(call, arguments):
    done = call(*arguments)
    assert (done.status, done.err) == (0, "")
    for verb in VERBS:
        assert f"\n  {verb} " in done.out
    assert "..." not in done.out.partition("Commands:")[2]


_PROBE = """
import json, sys
import engine_opt
assert not any(name.startswith("engine_opt.") or name == "click" for name in sys.modules)
from engine_opt.cli import main
sys.argv[1:] = ["--help"]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def test_help_loads_neither_the_engine_nor_anything_heavy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        check=True,
    )
    loaded = json.loads(done.stderr)
    ours = {name for name in loaded if name.startswith("engine_opt.") and not name.startswith("engine_opt.cli")}
    assert ours == {"engine_opt.errors"}
    assert not {"rich", "numpy", "sqlite3", "asyncio", "logging", "tomllib"} & set(loaded)


def test_no_verb_needs_more_than_the_standard_library_and_click(shared):
    code = f"""
import sys
from engine_opt.cli import main
sys.argv[1:] = {["run", "prices.csv", *BOOK, "--json"]!r}
try:
    main()
finally:
    print(sorted({{n.partition(".")[0] for n in sys.modules}} - set(sys.stdlib_module_names)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        cwd=shared,
        env=environment(PYTHONPATH=os.pathsep.join([str(HOME), *filter(None, sys.path)])),
        check=True,
    )
    assert done.stderr.strip() == "['__main__', 'click', 'engine_opt']"


# Pipes and interruptions ---------------------------------------------------------------------------------------------


def start(*arguments, cwd, **given):
    return subprocess.Popen(
        [sys.executable, "-m", "engine_opt", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        **given,
    )


@POSIX
@pytest.mark.parametrize("options", [("--json",), ()])
def test_a_reader_that_leaves_ends_it_quietly(tmp_path, options):
    write_prices(tmp_path / "prices.csv", ("IBM",), 1500)
    running = start(
        "analyze", "prices.csv", "--last", "1500", *options, cwd=tmp_path, stdout=subprocess.PIPE
    )  # far more than a pipe holds
    assert running.stdout.readline()
    running.stdout.close()
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_told(shared):
    with Path("/dev/full").open("w") as full:
        running = start("demo", cwd=shared, stdout=full)
    assert running.communicate()[1] == "error: No space left on device\n"
    assert running.returncode == 2


@POSIX
@pytest.mark.parametrize("verb", [("classify", "--position", "cash"), ("run", *BOOK, "--out", "out.csv")])
def test_an_interruption_leaves_neither_a_traceback_nor_half_a_file(tmp_path, verb):
    os.mkfifo(tmp_path / "pipe.csv")
    # Not by -m: a shell that runs the tests in the background has its children ignore the interruption.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from engine_opt.cli import main; main()"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code, verb[0], "pipe.csv", *verb[1:]],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with (tmp_path / "pipe.csv").open("w") as pipe:  # opens when it reads
        pipe.write(HEADER)
        pipe.flush()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert (running.returncode, out, err) == (130, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.csv"]


# Colours -------------------------------------------------------------------------------------------------------------


def on_a_terminal(cwd, **given):
    """What `check` prints on a terminal."""
    import pty

    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "engine_opt", "check", "trades.csv"],
        cwd=cwd,
        env=environment(**({"TERM": "xterm"} | given)),
        stdout=theirs,
    )
    running.wait()
    os.close(theirs)
    shown = os.read(ours, 2**16).decode()
    os.close(ours)
    return shown.replace("\r\n", "\n")


@POSIX
def test_colours_are_for_terminals_that_want_them(shared):
    coloured = on_a_terminal(shared)
    assert "\x1b[31mREJECTED\x1b[0m" in coloured
    plain = process("check", "trades.csv", cwd=shared).out
    assert "\x1b" not in plain
    assert on_a_terminal(shared, NO_COLOR="1") == plain
    assert on_a_terminal(shared, TERM="dumb") == plain


def test_a_narrow_terminal_cuts_nothing(shared):
    narrow = process("check", "trades.csv", cwd=shared, COLUMNS="30").out
    wide = process("check", "trades.csv", cwd=shared, COLUMNS="200").out
    assert sorted(narrow.replace("-", "").split()) == sorted(wide.replace("-", "").split())
    assert max(map(len, wide.splitlines())) < 100


def test_a_symbol_that_the_encoding_cannot_show_is_shown_otherwise(tmp_path):
    write_prices(tmp_path / "prices.csv", ("IBM",), 60)
    path = tmp_path / "prices.csv"
    path.write_text(path.read_text().replace(",IBM,", ",日本,"), "utf-8")
    done = process("analyze", "prices.csv", cwd=tmp_path, PYTHONUTF8="0", PYTHONIOENCODING="latin-1")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("\\u65e5\\u672c\n")
    found = process("analyze", "prices.csv", "--json", cwd=tmp_path, PYTHONUTF8="0", PYTHONIOENCODING="latin-1")
    assert json.loads(found.out)["sessions"][0]["symbol"] == "日本"
