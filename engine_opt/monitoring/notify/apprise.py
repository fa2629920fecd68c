"""Alerts by way of apprise, to any of the services that it knows; in a process of its own.

apprise loads a hundred plug-ins and talks to the world as it sees fit. A process that is ended when its time is up keeps
its memory, its threads and its mistakes away from the one that evaluates alerts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.alerts.messages import DeliveryError, Message
from engine_opt.monitoring.alerts.rules import Severity
from engine_opt.monitoring.alerts.states import Event
from engine_opt.monitoring.alerts.toml import Secret, secret, text

_CHILD = Path(__file__).with_name("_apprise_child.py")
_TYPES = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseNotifier:
    """Sends each message to apprise's addresses, such as `slack://...`; needs the extra `apprise`.

    Attributes:
        urls: addresses, each a secret.
        timeout: seconds for all of it, the start of the process included.

    """

    name: str
    urls: Sequence[Secret | str | Mapping[str, str]]
    timeout: float = 30.0

    def __post_init__(self) -> None:
        text("name", self.name)
        if isinstance(self.urls, str) or not isinstance(self.urls, Sequence) or not self.urls:
            raise InputError("urls", Secret(""), "it must be a list of addresses that is not empty")
        check.store(self, "urls", tuple(secret(f"urls[{index}]", each) for index, each in enumerate(self.urls)))
        check.positive("timeout", self.timeout)
        if find_spec("apprise") is None:
            raise InputError("name", self.name, "apprise is not installed: pip install 'pytest-pe-perf[apprise]'")

    @property
    def deduplicates(self) -> bool:
        """No: the services behind it do not know our uid."""
        return False

    def send(self, message: Message) -> None:
        """Send a message. Raises DeliveryError; apprise does not say what is permanent, so nothing is."""
        asked = {
            "urls": [each.reveal() for each in self.urls if isinstance(each, Secret)],
            "title": message.title,
            "body": message.text,
            "type": "success" if message.event is Event.RESOLVED else _TYPES[message.severity],
        }
        try:
            # By standard input: arguments can be seen by everybody on the machine. What apprise prints may hold secrets.
            done = subprocess.run(
                [sys.executable, "-P", str(_CHILD)],
                input=json.dumps(asked).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeliveryError(f"apprise was not done after {self.timeout:g} s, and was ended") from None
        except OSError as error:
            raise DeliveryError(f"apprise could not be started: {error.strerror}") from error
        if done.returncode == 3:
            raise DeliveryError("apprise does not understand one of the addresses", permanent=True)
        if done.returncode != 0:
            raise DeliveryError(f"apprise could not deliver to all addresses (status {done.returncode})")
