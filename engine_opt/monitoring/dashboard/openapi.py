"""Requests of the dashboard's API checked by what is declared in `schema`, and OpenAPI 3.1 made from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from engine_opt.monitoring.dashboard.schema import (
    ENDPOINTS,
    HEALTH,
    OPENAPI,
    READY,
    Endpoint,
    ErrorBody,
    ErrorDetail,
)

__all__ = ["Refused", "document", "read_body", "read_query"]

LABEL = "label."
_LABELS = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}", re.ASCII)

LONGEST_SEEN = 300
"""Characters of what was seen, in an error."""

S = TypeVar("S", bound=Struct)


class Refused(Exception):  # noqa: N818 - what became of a request, not a mistake of ours
    """A request that is not answered, and with what status.

    Attributes:
        status: of HTTP.
        what: happened.
        seen: what was there; None where there is nothing to show.
        todo: what to do.
        headers: to send along.

    """

    def __init__(
        self, status: int, what: str, seen: object, todo: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, what, seen, todo)
        self.status, self.what, self.todo = status, what, todo
        self.seen = None if seen is None else str(seen)[:LONGEST_SEEN]
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return the answer, as JSON."""
        return msgspec.json.encode(ErrorBody(ErrorDetail(self.what, self.seen, self.todo)))


_MEANINGS = {
    400: "a parameter or field is unknown, missing, given twice or impossible",
    401: "no token, or not the right one",
    403: "a changing request from another origin",
    404: "there is nothing of this name",
    409: "not possible in the present state",
    413: "the body is too large",
    415: "the body is not application/json",
    421: "a host that is not served",
    429: "too many clients",
    503: "what is asked for cannot be read now; the answer says why",
}


def read_query(kind: type[S], items: Iterable[tuple[str, str]]) -> S:
    """Return the parameters of a request, checked. Raises Refused, with 400."""
    known = {each.name: each for each in msgspec.structs.fields(kind)}
    several = {name for name in ("stat", "by", "of") if name in known}
    found: dict[str, Any] = {}
    for name, value in items:
        if name.startswith(LABEL) and "labels" in known:
            label = name.removeprefix(LABEL)
            if not _LABELS.fullmatch(label):
                raise Refused(400, "a parameter was refused", name, f"{LABEL}KEY needs the name of a label as KEY")
            _put(found.setdefault("labels", {}), label, value, name)
        elif name not in known or name == "labels":
            names = sorted(set(known) - {"labels"}) + [f"{LABEL}KEY"] * ("labels" in known)
            raise Refused(400, "a parameter is unknown", name, f"known are: {', '.join(names) or 'none'}")
        elif name in several:
            found.setdefault(name, []).append(value)
        else:
            _put(found, name, value, name)
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, "a parameter was refused", _seen(found), str(error)) from None


def read_body(kind: type[S], body: bytes) -> S:
    """Return what was sent, checked. Raises Refused, with 400."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refused(400, "the body was refused", body.decode(errors="replace"), str(error)) from None
    except UnicodeDecodeError as error:
        raise Refused(400, "the body was refused", body.decode(errors="replace"), f"send UTF-8: {error}") from None


def document(name: str, version: str) -> dict[str, Any]:
    """Return the description of all endpoints in OpenAPI 3.1."""
    types = {each for endpoint in ENDPOINTS for each in (endpoint.answer, endpoint.body, endpoint.query) if each}
    _, schemas = msgspec.json.schema_components(
        sorted({*types, ErrorBody}, key=lambda each: each.__name__), ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "paths": paths,
        "components": {
            "schemas": {key: value for key, value in schemas.items() if not key.endswith("Parameters")},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, schemas: Mapping[str, Any]) -> dict[str, Any]:
    changes = endpoint.method != "GET"
    statuses = {400, 421, *endpoint.may, *((401, 403) if changes else ()), *((413, 415) if endpoint.body else ())}
    content = {"schema": {"type": "string"} if endpoint.answer is None else _reference(endpoint.answer)}
    if endpoint is OPENAPI:
        content = {"schema": {"type": "object"}}
    operation: dict[str, Any] = {
        "summary": endpoint.does,
        "operationId": f"{endpoint.method.lower()}{re.sub('[^a-z0-9]+', '_', endpoint.path)}".rstrip("_"),
        "parameters": [*_path_parameters(endpoint), *_query_parameters(schemas[endpoint.query.__name__])],
        "responses": {
            str(endpoint.status): {"description": "done", "content": {endpoint.media: content}},
            **{str(each): _error(endpoint, each) for each in sorted(statuses)},
        },
    }
    if endpoint.body is not None:
        schema = _reference(endpoint.body)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if changes:
        operation["security"] = [{"token": []}]
    return operation


def _error(endpoint: Endpoint, status: int) -> dict[str, Any]:
    """Return the description of what is answered in place of what was asked for. Health that is bad is still health."""
    bad_health = status == 503 and endpoint in {HEALTH, READY}
    schema = _reference(endpoint.answer if bad_health and endpoint.answer else ErrorBody)
    return {"description": _MEANINGS[status], "content": {"application/json": {"schema": schema}}}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1}
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query_parameters(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, each in schema["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": dict(each)}
        if name == "labels":
            # The names are free, so they cannot be listed: an object that is exploded becomes one parameter for each.
            pattern = f"^{re.escape(LABEL)}{_LABELS.pattern}$"
            parameter["schema"] = {
                "type": "object",
                "patternProperties": {pattern: {"type": "string", "maxLength": 200}},
                "additionalProperties": False,
            }
            parameter |= {"style": "form", "explode": True, "description": f"{LABEL}KEY=VALUE: only such series"}
        elif "description" in each:
            parameter["description"] = each["description"]
        found.append(parameter)
    return found


def _reference(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _put(table: dict[str, Any], key: str, value: str, name: str) -> None:
    if key in table:
        raise Refused(400, "a parameter was given twice", name, "give it once")
    table[key] = value


def _seen(found: Mapping[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in found.items())
