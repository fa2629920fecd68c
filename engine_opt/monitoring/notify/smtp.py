"""Alerts by mail."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from enum import StrEnum

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.alerts.messages import DeliveryError, Message, cleaned
from engine_opt.monitoring.alerts.toml import Secret, secret, text


class Tls(StrEnum):
    """How the way to the server is protected."""

    IMPLICIT = "implicit"  # from the start, port 465
    STARTTLS = "starttls"  # port 587
    NONE = "none"  # port 25


_PORTS = {Tls.IMPLICIT: 465, Tls.STARTTLS: 587, Tls.NONE: 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpNotifier:
    """Mails each message; the uid is in the header Message-ID.

    Attributes:
        host, port: of the server; the port by itself that of the protection.
        sender, to: addresses.
        user, password: to log in with; only over TLS.
        tls: starttls, implicit or none; certificates are checked.
        timeout: seconds for connecting, and for each answer.

    """

    name: str
    host: str
    sender: str
    to: Sequence[str]
    port: int | None = None
    user: str | None = None
    password: Secret | str | Mapping[str, str] | None = None
    tls: Tls = Tls.STARTTLS
    timeout: float = 10.0

    def __post_init__(self) -> None:
        for each in ("name", "host"):
            text(each, getattr(self, each))
        check.store(self, "tls", check.member(Tls, "tls", self.tls))
        if self.port is None:
            check.store(self, "port", _PORTS[self.tls])
        if type(self.port) is not int or not 0 < self.port < 65_536:
            raise InputError("port", self.port, "it must be a whole number from 1 to 65535")
        _address("sender", self.sender)
        if isinstance(self.to, str) or not isinstance(self.to, Sequence) or not self.to:
            raise InputError("to", self.to, "it must be a list of addresses that is not empty")
        check.store(self, "to", tuple(_address(f"to[{index}]", each) for index, each in enumerate(self.to)))
        if (self.user is None) != (self.password is None):
            raise InputError("user", self.user, "user and password go together: give both or neither")
        if self.user is not None:
            text("user", self.user)
            check.store(self, "password", secret("password", self.password))
            if self.tls is Tls.NONE:
                raise InputError("tls", self.tls.value, "a password is not sent in the clear: use starttls or implicit")
        check.positive("timeout", self.timeout)

    @property
    def deduplicates(self) -> bool:
        """No: many servers deliver a message again, whatever its id."""
        return False

    def send(self, message: Message) -> None:
        """Mail a message. Raises DeliveryError, permanent where the server refuses for good."""
        try:
            with self._connected() as server:
                refused = server.send_message(self._mail(message))
        except smtplib.SMTPRecipientsRefused as error:
            raise self._refusal(max(error.recipients.values(), key=lambda each: each[0])) from None
        except smtplib.SMTPResponseException as error:
            raise self._refusal((error.smtp_code, error.smtp_error)) from None
        except (OSError, MessageError) as error:  # smtplib's own errors are OSErrors
            raise DeliveryError(f"{self.host}:{self.port}: {cleaned(error, self._secrets())}") from None
        if refused:
            raise DeliveryError(
                f"{self.host}:{self.port} took it for {len(self.to) - len(refused)} of {len(self.to)} addresses only",
                permanent=True,  # the others would get it again
            )

    def _connected(self) -> smtplib.SMTP:
        port = self.port or 0
        if self.tls is Tls.IMPLICIT:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, port, timeout=self.timeout, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(self.host, port, timeout=self.timeout)
        try:
            if self.tls is Tls.STARTTLS:
                server.starttls(context=ssl.create_default_context())
            if self.user is not None and isinstance(self.password, Secret):
                server.login(self.user, self.password.reveal())
        except BaseException:
            server.close()
            raise
        return server

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Subject"] = cleaned(message.title)
        mail["Date"] = datetime.fromtimestamp(message.created, UTC)
        mail["Message-ID"] = f"<{message.uid}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday greeting comes back
        mail.set_content(message.text)
        return mail

    def _refusal(self, answer: tuple[int, bytes | str]) -> DeliveryError:
        code, said = answer
        words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        why = f"{self.host}:{self.port} answered {code} {cleaned(words, self._secrets())}"
        return DeliveryError(why, permanent=500 <= code < 600)

    def _secrets(self) -> list[Secret]:
        return [self.password] if isinstance(self.password, Secret) else []


def _address(where: str, value: object) -> str:
    """Return a mail address; raises InputError."""
    address = text(where, value)
    try:
        if not address.isascii() or not Address(addr_spec=address).domain:
            raise InputError(where, value, "it must be an address such as ops@example.org")
    except (MessageError, ValueError, IndexError) as error:
        raise InputError(where, value, "it must be an address such as ops@example.org") from error
    return address
