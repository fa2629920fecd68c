"""GitHub and GitLab as far as our jobs see them: a server that keeps comments, and a runner that runs the steps of a job."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

# --- what services keep -----------------------------------------------------------------------------------------------


ROOT = Path(__file__).parents[2]
TOKENS = (("Bearer secret", None), (None, "secret"))


class Services(ThreadingHTTPServer):
    """One repository on GitHub, and one project on GitLab, whose comments are those of pull request 7; and all statuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, body: str, *, bot: bool = True) -> dict[str, Any]:
        kind = {"user": {"type": "Bot" if bot else "User"}, "author": {"id": 5 if bot else 6}}
        new = {"id": len(self.comments), "body": body, "html_url": "https://x.example/1", **kind}
        self.comments.append(new)
        return new

    def open(self, number: int, head: str, base: str = "main") -> None:
        self.pulls.append({"number": number, "head": {"sha": head}, "base": {"ref": base}})

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments]


class Handler(BaseHTTPRequestHandler):
    server: Services

    def answer(self) -> None:
        address = urlsplit(self.path)
        content = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if (self.headers["Authorization"], self.headers["Private-Token"]) not in TOKENS:
            self.send_error(403)
            return
        said: Any
        # Of GitHub, and then of GitLab.
        match self.command, address.path.strip("/").split("/"):
            case "GET", ["repos", "a", "b", "pulls"]:
                said = self.page(self.server.pulls)
            case "GET", ["repos", "a", "b", "issues", "7", "comments"] | [
                "projects",
                "3",
                "merge_requests",
                "7",
                "notes",
            ]:
                said = self.page(self.server.comments)
            case "POST", ["repos", "a", "b", "issues", "7", "comments"] | [
                "projects",
                "3",
                "merge_requests",
                "7",
                "notes",
            ]:
                said = self.server.add(content["body"])
            case "POST", ["repos", "a", "b", "statuses", commit] if len(content["description"]) <= 140:
                said = {"commit": commit, **content}
                self.server.statuses.append(said)
            case ("PATCH", ["repos", "a", "b", "issues", "comments", number]) | (
                "PUT",
                ["projects", "3", "merge_requests", "7", "notes", number],
            ):
                said = self.server.comments[int(number)]
                said.update(content)
            case "GET", ["user"]:
                said = {"id": 5}
            case _:
                self.send_error(404)
                return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 - the names that the server calls

    def page(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        asked = parse_qs(urlsplit(self.path).query)
        size, page = int(asked["per_page"][0]), int(asked["page"][0])
        return entries[size * (page - 1) : size * page]

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def listening() -> Iterator[Services]:
    with Services() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def services(listening: Services) -> Services:
    """Return the services, with nothing in them yet."""
    listening.pulls.clear()
    listening.comments.clear()
    listening.statuses.clear()
    return listening


# --- what a runner does -----------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*('[^']*'|&&|\|\||==|!=|!|[(),]|[A-Za-z_][\w.-]*)")
_WORDS = {"&&": " and ", "||": " or ", "!": " not "}
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
Uses = Callable[["Runner", Mapping[str, str]], None]


@dataclass
class Runner:
    """Runs the steps of jobs, each in a shell of its own. ``facts`` are what expressions ask for that no step has made.

    ``uses`` are what other people's actions do, by their names; an action of this repository is read and run.
    ``instead`` are scripts for steps, by their names, that need not be run once more.
    """

    workspace: Path
    temp: Path
    environ: Mapping[str, str]
    facts: dict[str, Any]
    uses: Mapping[str, Uses]
    instead: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""
    log: str = ""
    ran: list[str] = field(default_factory=list)

    def job(self, job: Mapping[str, Any]) -> str:
        """Run a job; return the name of the first step that failed, or nothing."""
        self.temp.mkdir()
        if self.value(job.get("if", "true")) in ("", "false"):
            return "skipped"
        folder = job.get("defaults", {}).get("run", {}).get("working-directory", ".")
        self.steps(job["steps"], folder)
        return self.failed

    def steps(self, steps: list[dict[str, Any]], folder: str = ".") -> None:
        for step in steps:
            name = step.get("name") or step.get("uses") or step["run"]
            # Without a word on the state of the job a step is for one in which nothing has failed.
            condition = str(step.get("if", "success()"))
            own = re.search(r"\b(always|cancelled|failure)\(", condition)
            if (self.failed and not own) or self.value(condition) in ("", "false"):
                continue
            self.ran.append(name)
            try:
                if "uses" in step:
                    self._use(step["uses"], {key: self.text(value) for key, value in step.get("with", {}).items()})
                else:
                    self._run(step, folder)
            except subprocess.CalledProcessError as error:
                self.failed = self.failed or name
                self.log += f"{name}: {error}\n"

    def _use(self, name: str, given: dict[str, str]) -> None:
        if not name.startswith("$/"):
            self.uses[name.partition("@")[0]](self, given)
            return
        action = yaml.safe_load((ROOT / name[2:] / "action.yml").read_text())
        inputs = {key: given.get(key, self.text(about["default"])) for key, about in action["inputs"].items()}
        self.facts |= {f"inputs.{key}": value for key, value in inputs.items()}
        self.steps(action["runs"]["steps"])

    def _run(self, step: dict[str, Any], folder: str) -> None:
        files = {name: self.temp / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
        for name, file in files.items():
            if name != "GITHUB_STEP_SUMMARY":
                file.write_text("")
        script = self.temp / "step.sh"
        script.write_text(self.instead.get(step.get("name", ""), self.text(step["run"])))
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"] if "shell" in step else ["bash", "-e"]
        done = subprocess.run(
            [*shell, str(script)],
            cwd=self.workspace / self.text(step.get("working-directory", folder)),
            env={
                **self.environ,
                "RUNNER_TEMP": str(self.temp),
                **{name: str(file) for name, file in files.items()},
                **{name: self.text(value) for name, value in step.get("env", {}).items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.log += done.stdout
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            key, _, value = line.partition("=")
            self.facts[f"steps.{step['id']}.outputs.{key}"] = value
        done.check_returncode()

    def text(self, text: object) -> str:
        """Return a text with the values of its expressions."""
        return _EXPRESSION.sub(lambda match: self.value(match[1]), str(text))

    def value(self, expression: str) -> str:
        """Return the value of an expression, as text; with or without its brackets."""
        inner = _EXPRESSION.fullmatch(expression.strip())
        words, place = "", 0
        source = (inner[1] if inner else expression).strip()
        while place < len(source):
            match = _TOKEN.match(source, place)
            assert match, source[place:]
            token, place = match[1], match.end()
            is_path = token[0].isalpha() and not source[place:].lstrip().startswith("(")
            words += f"fact({token!r})" if is_path else _WORDS.get(token, token)
        known = {
            "fact": self._fact,
            "success": lambda: not self.failed,
            "always": lambda: True,
            "cancelled": lambda: False,
            "fromJSON": json.loads,
            "contains": lambda inside, one: one in inside,
        }
        found = eval(words, {"__builtins__": {}}, known)
        return str(found).lower() if isinstance(found, bool) else str(found or "")

    def _fact(self, path: str) -> Any:
        if path in ("true", "false"):
            return path == "true"
        if path == "runner.temp":
            return str(self.temp)
        # What an earlier step has not said is empty; any other name must be known.
        return self.facts.get(path, "") if path.startswith("steps.") else self.facts[path]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=clean(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def clean() -> dict[str, str]:
    """Return the environment of whoever runs the tests, without what git, pytest or a CI system has put there."""
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_", "CI_", "PYTEST_"))
    }
    person = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = os.pathsep.join([str(Path(sys.executable).parent), ours["PATH"]])
    return {**ours, **person, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def checkout(server: Path) -> Uses:
    """Return what actions/checkout does: the history of all branches, and the commit that was asked for."""

    def use(runner: Runner, given: Mapping[str, str]) -> None:
        assert (given["persist-credentials"], given["fetch-depth"]) == ("False", "0")
        # By its address, so that nothing comes along that was not asked for.
        git(server, "clone", "--quiet", server.as_uri(), str(runner.workspace))
        git(runner.workspace, "checkout", "--quiet", "--detach", given.get("ref") or "origin/main")

    return use


def upload(store: Path) -> Uses:
    """Return what actions/upload-artifact does: the folder's content is kept."""

    def use(runner: Runner, given: Mapping[str, str]) -> None:
        shutil.copytree(runner.workspace / given["path"], store / given["name"], dirs_exist_ok=True)

    return use


def download(store: Path) -> Uses:
    """Return what actions/download-artifact does; one that is not there fails the step."""

    def use(runner: Runner, given: Mapping[str, str]) -> None:
        assert given["run-id"] == "99"
        if not (store / given["name"]).exists():
            raise subprocess.CalledProcessError(1, "download-artifact")
        shutil.copytree(store / given["name"], given["path"])

    return use
