"""Make the sample report: a small project with a past, and a branch that makes one thing slower and another faster.

    python docs/sample/make.py

writes sample-report.html beside this script. Everything in it is measured while the script runs, some minutes on a quiet
machine; git and this project must be installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

REPORT: Final = Path(__file__).with_name("sample-report.html")

PROJECT: Final = """
[project]
name = "shop"
version = "1"

[tool.pe_perf]
confirm = "never"

[tool.pytest.ini_options]
pythonpath = ["."]
"""
ORDERS: Final = '''
"""Orders: read from text, added up, looked up, shown."""

import csv
from dataclasses import dataclass


@dataclass
class Order:
    number: int
    customer: str
    amount: float
    rate: float


def read(text):
    rows = csv.DictReader(text.splitlines())
    return [Order(int(row["number"]), row["customer"], float(row["amount"]), float(row["rate"])) for row in rows]


def with_tax(order):
    return round(order.amount * (1 + order.rate), 2)


def total(orders):
    return sum(with_tax(order) for order in orders)


def of_customer(orders, customer):
    return [order for order in orders if order.customer == customer]


def statement(orders):
    lines = [f"{order.number:>8} {order.customer:<20} {with_tax(order):>12.2f}" for order in orders]
    return "\\n".join(lines)
'''
TESTS: Final = """
import pytest
from shop import orders

TEXT = "number,customer,amount,rate\\n" + "".join(
    f"{n},customer {n % 40},{n * 7 % 300}.5,0.{n % 3 + 1}9\\n" for n in range(400)
)


@pytest.fixture
def some():
    return orders.read(TEXT)


def test_read(pe_latency, pe_memory):
    assert len(pe_latency(orders.read, TEXT)) == 400
    pe_memory(orders.read, TEXT)


def test_total(pe_latency, pe_memory, some):
    assert pe_latency(orders.total, some) > 0
    pe_memory(orders.total, some)


def test_orders_of_a_customer(pe_latency, some):
    assert len(pe_latency(orders.of_customer, some, "customer 7")) == 10


def test_statement(pe_latency, pe_memory, some):
    assert pe_latency(orders.statement, some).count("\\n") == 399
    pe_memory(orders.statement, some)
"""
# What becomes of the code: the number of the commit on main, what is replaced by what, and why it may get slower.
STEPS: Final = {
    9: (
        '{with_tax(order):>12.2f}" for',
        '{order.amount * order.rate:>10.2f} {with_tax(order):>12.2f}" for',
        "statements show the tax besides",
    ),
    17: (
        ORDERS[ORDERS.index("    rows = csv.D") : ORDERS.index("def with_tax")],
        (
            "    rows = csv.reader(text.splitlines()[1:])\n"
            "    return [Order(int(n), customer, float(amount), float(rate)) for n, customer, amount, rate in rows]\n\n\n"
        ),
        "",
    ),
}
COMMITS: Final = 24
# What the branch does: it rounds the tax as well, and orders get smaller.
BRANCH: Final = (
    (
        "    return round(order.amount * (1 + order.rate), 2)",
        "    return round(order.amount + round(order.amount * order.rate, 2), 2)",
    ),
    ("@dataclass\n", "@dataclass(slots=True)\n"),
)


def main() -> int:
    """Make the project, its past and the report."""
    with tempfile.TemporaryDirectory(prefix="sample-") as room:
        shop = Shop(Path(room, "shop"))
        code = ORDERS
        for number in range(1, COMMITS + 1):
            old, new, reason = STEPS.get(number, ("", "", ""))
            code = code.replace(old, new) if old else code
            shop.commit(code, f"Release {number}")
            shop.pytest("--pe-perf-time", "0.4 s")
            if number == 1 or old:
                shop.accept(reason or "measured")
        shop.git("checkout", "--quiet", "-b", "round-the-tax")
        for old, new in BRANCH:
            code = code.replace(old, new)
        shop.commit(code, "Round the tax as well")
        if shop.pytest("--pe-perf-against", "main") == 0:
            raise SystemExit("nothing was called slower: the machine is too busy for a sample")
        page = (shop.folder / ".pe-perf/report.html").read_text(encoding="utf-8")
    if room in page:
        raise SystemExit(f"the report names the folder in which it was made: {room}")
    REPORT.write_text(page, encoding="utf-8")
    print(f"{REPORT.name}: {len(page.encode()):,} bytes")
    return 0


class Shop:
    """The throw-away project, and what is done in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {
            "pyproject.toml": PROJECT,
            ".gitignore": ".pe-perf/\n.pytest_cache/\n__pycache__/\n",
            "tests/perf/test_orders.py": TESTS.replace("\\\\", "\\"),
        }.items():
            self._write(name, text)
        self.git("init", "--quiet", "--initial-branch=main")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self, code: str, message: str) -> None:
        """Commit the project with this code."""
        self._write("shop/orders.py", code.replace("\\\\", "\\"))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")

    def pytest(self, *options: str) -> int:
        """Run the gate, with no plugins but ours and pytest-benchmark, and return whether a test failed."""
        environ = {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "pytest_benchmark.plugin,pytest_pe_perf.plugin",
            "PYTEST_ADDOPTS": "",
        }
        status = self._run(sys.executable, "-m", "pytest", "--pe-perf", *options, "tests/perf", **environ)
        if status > 1:
            raise SystemExit(f"exit status {status} of pytest {options}")
        return status

    def accept(self, reason: str) -> None:
        """Accept what the last run measured, and commit that."""
        self._run(sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", "update", "--reason", reason)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=Baselines")

    def git(self, *arguments: str) -> None:
        """Run git as somebody."""
        people = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        if status := self._run("git", *arguments, **dict.fromkeys(people, "sample@example.org")):
            raise SystemExit(f"exit status {status} of git {arguments}")

    def _run(self, *command: str, **environ: str) -> int:
        return subprocess.run(command, cwd=self.folder, env=os.environ | environ, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
