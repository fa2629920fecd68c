"""Alerts by HTTP POST, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.alerts.messages import DeliveryError, Message, cleaned
from engine_opt.monitoring.alerts.toml import Secret, secret, text

_LATER = {408, 421, 425, 429}  # of the 4xx, those that another attempt may change (RFC 9110, 6585, 8470)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookNotifier:
    """Posts each message to an address; any status 2xx says that it has arrived.

    The uid is in the body and in the header `Idempotency-Key`. Redirects are not followed: they would carry the message,
    and whatever the headers hold, to an address that nobody configured.

    Attributes:
        url: http or https; a secret, for many services know their clients by it.
        headers: further ones by name, their values secrets.
        timeout: seconds for connecting, and for each answer of the network.
        deduplicates: whether the receiver drops what it has by its uid.

    """

    name: str
    url: Secret | str | Mapping[str, str]
    headers: Mapping[str, Secret | str | Mapping[str, str]] = field(default_factory=dict)
    timeout: float = 10.0
    deduplicates: bool = False

    def __post_init__(self) -> None:
        text("name", self.name)
        check.store(self, "url", secret("url", self.url))
        _check_url(self._url())
        if not isinstance(self.headers, Mapping):
            raise InputError("headers", Secret(""), "it must be a table of values by name")
        checked = {text("headers", name): secret(f"headers.{name}", each) for name, each in self.headers.items()}
        for name, each in checked.items():
            if not name.replace("-", "").isalnum() or not name.isascii() or not _sendable(each.reveal()):
                raise InputError(f"headers.{name}", each, "a header is a name and one line of printable ASCII")
        check.store(self, "headers", checked)
        check.positive("timeout", self.timeout)
        check.flag("deduplicates", self.deduplicates)

    def send(self, message: Message) -> None:
        """Post a message. Raises DeliveryError, permanent where the status says that nothing else is to be expected."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "engine-opt-alerts",
            "Idempotency-Key": message.uid,
        }
        own = {name: each.reveal() for name, each in self.headers.items() if isinstance(each, Secret)}
        request = Request(self._url(), message.json().encode(), headers | own, method="POST")  # noqa: S310 - checked
        try:
            _opener().open(request, timeout=self.timeout).close()
        except HTTPError as error:
            error.close()
            why = "which redirects: configure the address itself" if 300 <= error.code < 400 else cleaned(error.reason)
            permanent = 300 <= error.code < 500 and error.code not in _LATER
            raise DeliveryError(f"{self._place()} answered {error.code}, {why}", permanent=permanent) from None
        except (OSError, HTTPException) as error:
            cause = error.reason if isinstance(error, URLError) else str(error) or type(error).__name__
            raise DeliveryError(f"{self._place()}: {cleaned(cause, self._secrets())}") from None

    def _url(self) -> str:
        return self.url.reveal() if isinstance(self.url, Secret) else ""

    def _place(self) -> str:
        """Return what of the address is no secret."""
        parts = urlsplit(self._url())
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    def _secrets(self) -> list[Secret]:
        return [each for each in (self.url, *self.headers.values()) if isinstance(each, Secret)]


def _check_url(url: str) -> None:
    """Raise InputError, which never shows the address, where it is none that can be posted to."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and _sendable(url)
    except ValueError:
        fits = False
    if not fits or " " in url:
        raise InputError("url", Secret(url), "it must be an address that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise InputError("url", Secret(url), "it has a password, which would not be sent: use a header")


def _sendable(line: str) -> bool:
    return line.isascii() and line.isprintable()


def _opener() -> OpenerDirector:
    """Return what opens http and https and nothing else, through the proxy of the environment where there is one."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler(), HTTPErrorProcessor(), HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    return opener
