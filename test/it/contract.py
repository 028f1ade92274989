# SPDX-License-Identifier: Apache-2.0
"""
Holds every answer that a test receives against api/openapi.yaml and, below /admin/, api/admin.yaml: status, content type, body, error type,
and the headers that every answer has. `seen` remembers which operations were answered, and how; `secrets` what must not be logged.
"""
import functools
import pathlib
import re
from urllib.parse import urlsplit

import jsonschema
import yaml

API = pathlib.Path(__file__).resolve().parents[2] / "api"
PUBLIC, ADMIN = "openapi.yaml", "admin.yaml"

# connect-v2, section 3, written a second time: which status an error's type has.
STATUS_OF_TYPE = {
    "INVALID_HTTP_MESSAGE": (400, 431), "INVALID_REQUEST_PARAMS": (400,), "UNAUTHORISED": (401,), "ACCESS_DENIED": (403,), "NOT_FOUND": (404,),
    "METHOD_NOT_ALLOWED": (405,), "UNACCEPTABLE": (406,), "CONFLICT": (409,), "GONE": (410,), "PAYLOAD_TOO_LARGE": (413,),
    "UNSUPPORTED_MEDIA_TYPE": (415,), "IDEMPOTENCY_MISMATCH": (422,), "TOO MANY REQUESTS": (429,), "INTERNAL_ERROR": (500,),
    "SERVICE_UNAVAILABLE": (503,),
}
NEEDED_HEADER = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}

seen = set()  # (document, method, path template, status)
secrets = set()  # every secret that a test was given: none may be found in a log


class Broken(AssertionError):
    """An answer that the contract does not allow."""


@functools.lru_cache(maxsize=1)
def documents():
    return {name: yaml.safe_load((API / name).read_text()) for name in (PUBLIC, ADMIN)}


@functools.lru_cache(maxsize=2)
def templates(name):
    out = []
    for path, item in documents()[name]["paths"].items():
        pattern = re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(path))
        out.append((re.compile(pattern + "/?$"), path.count("{"), path, item))
    return sorted(out, key=lambda row: row[1])  # literal paths before patterns


def resolved(node, home):
    while "$ref" in node:
        name, pointer = node["$ref"].split("#")
        home = name or home
        node = documents()[home]
        for key in pointer.strip("/").split("/"):
            node = node[key]
    return node, home


def operation_of(method, path):
    """The document that knows the path, the path's template there, and the operation: each None when there is none."""
    path = path[len("/connect-api"):] if path.startswith("/connect-api/") else path
    name = ADMIN if path.startswith("/admin/") else PUBLIC
    for pattern, _, template, item in templates(name):
        if pattern.match(path) and (operation := item.get("get" if method == "HEAD" else method.lower())):
            return name, template, operation
    return name, None, None


def check_schema(schema, home, value, where):
    resolver = jsonschema.RefResolver(home, documents()[home], store=documents())
    validator = jsonschema.Draft202012Validator(schema, resolver=resolver, format_checker=jsonschema.FormatChecker())
    faults = sorted(validator.iter_errors(value), key=lambda e: list(e.path))
    if faults:
        raise Broken(where + "".join(f"\n  {'/'.join(map(str, f.path))}: {f.message[:300]}" for f in faults) + f"\n  answer: {value}"[:2000])


def check_error(answer, body, where):
    kind = body.get("code", body.get("type"))
    if kind in STATUS_OF_TYPE and answer.status_code not in STATUS_OF_TYPE[kind]:
        raise Broken(where + f"the type {kind} does not go with this status")
    if answer.status_code in NEEDED_HEADER and NEEDED_HEADER[answer.status_code] not in answer.headers:
        raise Broken(where + f"has no {NEEDED_HEADER[answer.status_code]}")


def check(answer, *_, **__):
    """A hook for requests: called with each response."""
    method, path = answer.request.method, urlsplit(answer.request.url).path
    where = f"{method} {path} -> {answer.status_code}: "
    home, template, operation = operation_of(method, path)
    if operation is None:
        if answer.status_code < 400:
            raise Broken(where + "the contract does not know this operation")
        allowed, home = documents()[PUBLIC]["components"]["responses"]["Error"], PUBLIC
    else:
        seen.add((home, method.lower(), template, answer.status_code))
        responses = operation["responses"]
        allowed = responses.get(str(answer.status_code)) or responses.get(f"{answer.status_code // 100}XX")
        if allowed is None:
            raise Broken(where + "the contract does not know this status")
        allowed, home = resolved(allowed, home)
    if "X-Correlation-ID" not in answer.headers:
        raise Broken(where + "has no X-Correlation-ID")
    if method == "HEAD":
        if answer.content:
            raise Broken(where + "has a body")
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
        body = answer.json()
        secrets.update(body[name] for name in ("client_secret", "access_token", "refresh_token") if isinstance(body, dict) and name in body)
        check_schema(content[media]["schema"], home, body, where)
        if answer.status_code >= 400 and "error" not in body:
            check_error(answer, body, where)
    return answer
