# SPDX-License-Identifier: Apache-2.0
"""Holds every answer that a test receives against api/openapi.yaml: status, content type, body, and the headers that every answer has."""
import functools
import pathlib
import re
from urllib.parse import urlsplit

import jsonschema
import yaml

CONTRACT = pathlib.Path(__file__).resolve().parents[2] / "api" / "openapi.yaml"
ANY_ERROR = {"$ref": "#/components/responses/Error"}


class Broken(AssertionError):
    """An answer that the contract does not allow."""


@functools.lru_cache(maxsize=1)
def document():
    return yaml.safe_load(CONTRACT.read_text())


@functools.lru_cache(maxsize=1)
def templates():
    out = []
    for path, item in document()["paths"].items():
        pattern = re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(path))
        out.append((re.compile(pattern + "/?$"), path.count("{"), item))
    return sorted(out, key=lambda row: row[1])  # literal paths before patterns


def resolved(node):
    while "$ref" in node:
        target = document()
        for key in node["$ref"].lstrip("#/").split("/"):
            target = target[key]
        node = target
    return node


def operation_of(method, path):
    path = path[len("/connect-api"):] if path.startswith("/connect-api/") else path
    for pattern, _, item in templates():
        if pattern.match(path):
            return item.get("get" if method == "HEAD" else method.lower())
    return None


def check_schema(schema, value, where):
    root = document()
    resolver = jsonschema.RefResolver("", root)
    validator = jsonschema.Draft202012Validator(schema, resolver=resolver, format_checker=jsonschema.FormatChecker())
    faults = sorted(validator.iter_errors(value), key=lambda e: list(e.path))
    if faults:
        raise Broken(where + "".join(f"\n  {'/'.join(map(str, f.path))}: {f.message[:300]}" for f in faults) + f"\n  answer: {value}"[:2000])


def check(answer, *_, **__):
    """A hook for requests: called with each response."""
    method, path = answer.request.method, urlsplit(answer.request.url).path
    where = f"{method} {path} -> {answer.status_code}: "
    operation = operation_of(method, path)
    if operation is None:
        if answer.status_code < 400:
            raise Broken(where + "the contract does not know this operation")
        allowed = ANY_ERROR
    else:
        allowed = operation["responses"].get(str(answer.status_code))
        if allowed is None:
            if answer.status_code < 400 or "default" not in operation["responses"]:
                raise Broken(where + "the contract does not know this status")
            allowed = operation["responses"]["default"]
    allowed = resolved(allowed)
    if "X-Correlation-ID" not in answer.headers:
        raise Broken(where + "has no X-Correlation-ID")
    if method == "HEAD":
        return answer
    content = allowed.get("content")
    if not content:
        if answer.content:
            raise Broken(where + f"has a body: {answer.content[:200]!r}")
        return answer
    media = answer.headers.get("Content-Type", "").split(";")[0]
    if media not in content:
        raise Broken(where + f"content type {media!r} is none of {sorted(content)}: {answer.content[:200]!r}")
    if "schema" in content[media]:
        check_schema(content[media]["schema"], answer.json(), where)
    return answer
