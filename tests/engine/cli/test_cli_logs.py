"""A recorded run is replayed; what was changed, cut off or damaged is found."""

import json
import os
import subprocess
import sys

import pytest

from engine_opt import data, explain
from engine_opt.audit import read_audit
from engine_opt.cli.logs import recording_to
from engine_opt.model import EngineDecision
from engine_opt.plain import load
from engine_opt.protocol.market_scoring import MarketConfig

from .conftest import BOOK, COUNT, HEADER, csv_line, environment, process


def rewritten(source, target, change):
    """Write a log again, with checksums that are right, after `change` was made to its records."""
    records = [(each.kind, json.loads(json.dumps(each.payload)), each.time) for each in read_audit(source)]
    change(records)
    with recording_to(target) as log:
        for kind, payload, time in records:
            log.append(kind, payload, time)
    return target


def first_decision(records):
    return next(payload for kind, payload, _ in records if kind == "decision")


@pytest.mark.parametrize("suffix", ["jsonl", "sqlite", "db"])
def test_a_recorded_run_is_replayed_in_another_process(shared, tmp_path, suffix):
    done = process("run", shared / "prices.csv", *BOOK, "--audit", f"log.{suffix}", "--json", cwd=tmp_path)
    assert done.status == 0
    decisions = json.loads(done.out)["decisions"]
    recorded = [each for each in read_audit(tmp_path / f"log.{suffix}") if each.kind == "decision"]
    assert [each.payload["decision"]["decision_id"] for each in recorded] == [each["decision_id"] for each in decisions]
    again = process("replay", f"log.{suffix}", "--json", cwd=tmp_path)
    assert (again.status, again.err) == (0, "")
    found = json.loads(again.out)
    assert found == {
        "records": found["bars"] + len(decisions) + 1,
        "bars": 2 * COUNT,
        "decisions": len(decisions),
        "different": 0,
        "differences": [],
    }


@pytest.mark.parametrize("suffix", ["jsonl", "sqlite"])
def test_a_tampered_decision_is_found(shared, tmp_path, suffix):
    def change(records):
        first_decision(records)["decision"]["proposal"]["quantity"] += 1

    rewritten(shared / "decisions.jsonl", tmp_path / f"log.{suffix}", change)
    done = process("replay", f"log.{suffix}", cwd=tmp_path)
    assert (done.status, done.err) == (1, "")
    first, second = done.out.splitlines()
    assert first.endswith(" 1 different")
    assert "decision.proposal.quantity was " in second


def test_many_differences_are_counted_and_the_first_shown(shared, tmp_path, call):
    def change(records):
        for kind, payload, _ in records:
            if kind == "decision":
                payload["decision"]["confidence"] = 0.123

    path = rewritten(shared / "decisions.jsonl", tmp_path / "log.jsonl", change)
    done = call("replay", path)
    decisions = sum(each.kind == "decision" for each in read_audit(path))
    assert done.status == 1
    assert f"and {decisions - 10} more" in done.out
    found = json.loads(call("replay", path, "--json").out)
    assert (found["different"], len(found["differences"])) == (decisions, min(decisions, 100))


GARBAGE = {
    "no decision": lambda records: first_decision(records).update(decision=None),
    "a decision that is a list": lambda records: first_decision(records).update(decision=[1]),
    "no configuration": lambda records: records.pop(0),
    "a configuration of something else": lambda records: records[0][1].update(config={"market": 3}),
    "a symbol that is no text": lambda records: records[1][1].update(symbol=["X"]),
    "a record of another kind": lambda records: records.insert(1, ("moon", {}, None)),
    "a bar that is none": lambda records: records[1][1].update(bar={"close": "x"}),
    "nothing at all": lambda records: records.clear(),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_log_of_what_no_engine_recorded_is_told(shared, tmp_path, call, what):
    path = rewritten(shared / "decisions.jsonl", tmp_path / "log.jsonl", GARBAGE[what])
    done = call("replay", path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: {path}: ")


@pytest.mark.parametrize("verb", ["replay", "explain"])
def test_a_damaged_byte_is_found(shared, tmp_path, call, verb):
    content = bytearray((shared / "decisions.jsonl").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "log.jsonl").write_bytes(content)
    done = call(verb, tmp_path / "log.jsonl")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: {tmp_path / 'log.jsonl'}, line ")


def test_a_decision_that_is_not_there_cannot_be_explained(shared, tmp_path, call):
    done = call("explain", shared / "decisions.jsonl", "TSLA/GEN/2024-01-01T16:00:00")
    assert done.status == 2
    assert done.err.endswith("there is no decision 'TSLA/GEN/2024-01-01T16:00:00'; --list shows those there are\n")
    path = rewritten(shared / "decisions.jsonl", tmp_path / "log.jsonl", lambda records: records.clear())
    assert call("explain", path).err == f"error: {path}: there is no decision\n"


def test_a_damaged_decision_cannot_be_explained(shared, tmp_path, call):
    def change(records):
        for kind, payload, _ in records:
            if kind == "decision":
                del payload["decision"]["market"]

    path = rewritten(shared / "decisions.jsonl", tmp_path / "log.jsonl", change)
    assert "does not hold a decision: market: it is missing" in call("explain", path).err


def test_the_market_is_explained_by_the_configuration_of_the_log(shared, tmp_path, call):
    arguments = ("run", shared / "prices.csv", *BOOK, "--set", "market.cuts=[0.01, 0.03, 0.06]")
    log = ("--audit", tmp_path / "log.jsonl")
    assert call("run", shared / "prices.csv", *BOOK, *log).status == call(*arguments, *log).status == 0
    *_, last = read_audit(tmp_path / "log.jsonl")
    decision, _ = load(EngineDecision, last.payload["decision"])
    tree = explain(decision, MarketConfig(cuts=(0.01, 0.03, 0.06))).plain()
    assert json.loads(call("explain", tmp_path / "log.jsonl", "--json").out) == json.loads(json.dumps(tree))
    assert tree != explain(decision).plain()


def test_a_log_goes_on_with_the_next_run(shared, tmp_path, call):
    arguments = ("run", shared / "prices.csv", *BOOK, "--symbol", "IBM", "--audit", tmp_path / "log.jsonl")
    assert call(*arguments).status == call(*arguments).status == 0
    done = call("replay", tmp_path / "log.jsonl")
    assert (done.status, done.out.count(" 0 different")) == (0, 1)
    assert f"{2 * COUNT} bars" in done.out


@pytest.mark.skipif(os.name != "posix", reason="there are no named pipes")
def test_a_log_torn_by_a_kill_is_still_replayed(tmp_path, call):
    os.mkfifo(tmp_path / "pipe.csv")
    arguments = ("run", tmp_path / "pipe.csv", *BOOK, "--audit", tmp_path / "log.jsonl")
    running = subprocess.Popen(
        [sys.executable, "-m", "engine_opt", *map(str, arguments)], env=environment(), stdout=subprocess.DEVNULL
    )
    with (tmp_path / "pipe.csv").open("w") as pipe:
        pipe.write(HEADER)
        pipe.writelines(csv_line("IBM", bar, 20.0) for bar in data.load("IBM")[:1600])
        pipe.flush()
        # A pipe holds 64 KiB: whatever was written before that has been read, and most of it recorded.
        running.kill()
        running.wait()
    content = (tmp_path / "log.jsonl").read_bytes()
    (tmp_path / "log.jsonl").write_bytes(content[:-7])
    done = call("replay", tmp_path / "log.jsonl", "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out)["bars"] > 100
    assert json.loads(done.out)["different"] == 0
