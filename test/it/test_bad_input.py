# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent gets a clear error; nothing is stored, and the server goes on."""
import base64
import json
import os
import random
import socket
import time
from urllib.parse import urlsplit

import pytest
import requests

from conftest import contract, order_body

JSON = {"Content-Type": "application/json"}


def orders_stored(api):
    return api.get("/v2/orders?page_size=1").json()["_metadata"]["page_count"]


@pytest.fixture(autouse=True)
def nothing_is_stored(api):
    before = orders_stored(api)
    yield
    assert orders_stored(api) == before, "a refused request left an order behind"
    assert api.get("/healthz").status_code == 200


def refused(answer, status, error_type, *words):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["type"] == error_type, body
    text = "\n".join(body["messages"])
    for word in words:
        assert word in text, f"{word!r} is not in {text!r}"
    return body


def with_field(path, value, base=None):
    """The documentation's body with one field changed; `...` removes it."""
    body = json.loads(json.dumps(base or order_body(sold_price=20, sold_currency="EUR")))
    *parents, last = path.split(".")
    node = body
    for parent in parents:
        node = node.setdefault(parent, {})
    if value is ...:
        node.pop(last, None)
    else:
        node[last] = value
    return body


UNPARSABLE = {
    "empty": b"",
    "not JSON": b"operation_type=TOPUP",
    "an array": b"[]",
    "a string": b'"TOPUP"',
    "truncated": b'{"operation_type": "TOPUP"',
    "two values": b"{} {}",
    "invalid UTF-8": b'{"country": "\xff\xfe"}',
    "duplicate keys": b'{"country": "GB", "country": "DE"}',
    "a number beyond 2^63": b'{"subscriber": {"sim": {"iccid": 99999999999999999999999999}}}',
    "depth 10,000 of arrays": b'{"a":' + b"[" * 10000 + b"]" * 10000 + b"}",
    "depth 10,000 of objects": b'{"a":' * 10000 + b"1" + b"}" * 10000,
    "NUL in a string": b'{"country": "G\\u0000"}',
    "a NaN": b'{"product": {"sold_price": NaN}}',
}


@pytest.mark.parametrize("name", UNPARSABLE)
def test_a_body_that_does_not_parse(api, name):
    answer = api.call("POST", "/v2/orders", data=UNPARSABLE[name], headers=JSON)
    refused(answer, 400, "INVALID_HTTP_MESSAGE" if name != "NUL in a string" else answer.json()["type"])


@pytest.mark.parametrize("path,value,status,error_type", [
    ("operation_type", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("operation_type", "DELETE", 400, "INVALID_REQUEST_PARAMS"),
    ("operation_type", 7, 400, "INVALID_REQUEST_PARAMS"),
    ("sim_type", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("sim_type", "ESIM", 400, "INVALID_REQUEST_PARAMS"),
    ("country", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("country", "ZZ", 400, "INVALID_REQUEST_PARAMS"),
    ("country", "gb", 400, "INVALID_REQUEST_PARAMS"),
    ("country", "GBR", 400, "INVALID_REQUEST_PARAMS"),
    ("product", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("product", [], 400, "INVALID_REQUEST_PARAMS"),
    ("product.id", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("product.id", "short", 400, "INVALID_REQUEST_PARAMS"),
    ("product.id", "A" * 43 + "=", 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", "20,00", 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", "NaN", 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", "", 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", -1, 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", 20.001, 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", 1e300, 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", True, 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_price", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_currency", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_currency", "EURO", 400, "INVALID_REQUEST_PARAMS"),
    ("product.sold_currency", "ZZZ", 400, "INVALID_REQUEST_PARAMS"),
    ("product.activation_date", "2021-02-30T00:00:00Z", 400, "INVALID_HTTP_MESSAGE"),
    ("product.activation_date", "2021-02-28", 400, "INVALID_HTTP_MESSAGE"),
    ("product.activation_date", "yesterday", 400, "INVALID_HTTP_MESSAGE"),
    ("product.activation_date", 1600000000, 400, None),
    ("product.expiration_date", "2021-13-01T00:00:00Z", 400, "INVALID_HTTP_MESSAGE"),
    ("product.expiration_date", "2020-01-01T00:00:00Z", 400, "INVALID_REQUEST_PARAMS"),
    ("product.expiration_date", "2099-01-01T00:00:00Z", 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.sim", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.sim.iccid", ..., 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.sim.iccid", "8944472600000510741", 400, "INVALID_REQUEST_PARAMS"),  # wrong check digit
    ("subscriber.sim.iccid", "89444726", 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.sim.iccid", "894447260000051074O", 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.sim.iccid", 1.5, 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.email", "nobody", 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.email", "a" * 300 + "@example.com", 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.country_of_residence", "XX", 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.device.eid", "123", 400, "INVALID_REQUEST_PARAMS"),
    ("subscriber.device.operating_system", "symbian", 400, "INVALID_REQUEST_PARAMS"),
    ("reference", "r" * 65, 400, "INVALID_REQUEST_PARAMS"),
])
def test_one_wrong_field(api, path, value, status, error_type):
    body = refused(api.post("/v2/orders", with_field(path, value)), status, error_type or "INVALID_REQUEST_PARAMS")
    assert any(message.startswith(path.split(".")[0]) for message in body["messages"]), body


# Every field, with what is wrong in it whatever else the order says. An optional field that is null or "" counts as absent.
WRONG = {"bool": True, "a negative number": -1, "a fraction": 1.5, "too long": "x" * 5000, "an array": [], "a line break": "a\nb"}
WRONG_WORDS = WRONG | {"a number": 7, "blank": " ", "SQL": "x'; DROP TABLE orders; --", "an object": {}, "bidi": "\u202e"}
WRONG_NEEDED = WRONG_WORDS | {"null": None, "empty": ""}
FREE_TEXT = WRONG | {"a number": 7, "an object": {}}


@pytest.mark.parametrize("path,wrong", [
    ("operation_type", WRONG_NEEDED), ("sim_type", WRONG_NEEDED), ("country", WRONG_NEEDED), ("reference", FREE_TEXT), ("product.id", WRONG_NEEDED),
    ("product.sold_price", {k: v for k, v in WRONG_NEEDED.items() if k not in ("a number", "a fraction")}), ("product.sold_currency", WRONG_NEEDED),
    ("product.activation_date", WRONG_WORDS | {"empty": ""}), ("product.expiration_date", WRONG_WORDS | {"empty": ""}),
    ("subscriber.email", WRONG_WORDS), ("subscriber.first_name", FREE_TEXT), ("subscriber.last_name", FREE_TEXT),
    ("subscriber.country_of_residence", WRONG_WORDS), ("subscriber.language", WRONG_WORDS), ("subscriber.device.operating_system", WRONG_WORDS),
    ("subscriber.device.model", FREE_TEXT), ("subscriber.device.id", FREE_TEXT), ("subscriber.device.eid", WRONG_WORDS),
    ("subscriber.sim.iccid", WRONG_NEEDED), ("product", {"text": "x", "array": [], "null": None}), ("subscriber", {"text": "x", "array": [], "null": None}),
    ("subscriber.sim", {"text": "x", "array": [], "null": None, "empty": {}}), ("subscriber.device", {"text": "x", "array": []}),
])
def test_every_field_says_what_is_wrong_with_it(api, path, wrong):
    for name, value in wrong.items():
        answer = api.post("/v2/orders", with_field(path, value))
        assert answer.status_code == 400, (path, name, answer.text)
        assert any(m.startswith((path + ":", path + ".")) for m in answer.json()["messages"]), (path, name, answer.text)


def test_random_damage(api):
    """Bodies with some bytes changed: an error of the client's, in the one shape, and never one of ours."""
    seed = int(os.environ.get("SEED", str(random.SystemRandom().randrange(2**32))))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    whole = json.dumps(with_field("subscriber.sim.iccid", "8944472600000510741")).encode()  # a wrong check digit: never accepted
    for _ in range(300):
        body = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            at, what = rng.randrange(len(body)), rng.randrange(4)
            if what == 0:
                body[at] = rng.randrange(256)
            elif what == 1:
                del body[at:at + rng.randrange(1, 20)]
            elif what == 2:
                body[at:at] = bytes(rng.choice(b'{}[]",:0\\e-+.\x00\xff') for _ in range(rng.randrange(1, 8)))
            else:
                body[at:at] = body[at:at + rng.randrange(1, 40)]
        answer = api.call("POST", "/v2/orders", data=bytes(body), headers=JSON)
        assert answer.status_code == 400, bytes(body)


def test_all_faults_at_once(api):
    body = refused(api.post("/v2/orders", {"operation_type": "TOPUP", "sim_type": "PSIM", "country": "ZZ",
                                           "product": {"id": "A" * 43 + "=", "sold_price": "x"},
                                           "subscriber": {"email": "nobody", "sim": {"iccid": "8944472600000510740"}}}),
                   400, "INVALID_REQUEST_PARAMS")
    for path in ("country", "product.id", "product.sold_price", "product.sold_currency", "subscriber.email"):
        assert any(m.startswith(path) for m in body["messages"]), f"{path} is missing in {body}"


def test_sql_and_script_in_every_field_is_only_text(api):
    evil = "x'; DROP TABLE orders; --"
    base = order_body("ACTIVATION", "ESIM", iccid=None)
    for path in ("operation_type", "sim_type", "country", "product.id", "product.sold_price", "product.sold_currency", "subscriber.email",
                 "subscriber.language", "subscriber.country_of_residence", "subscriber.device.eid", "subscriber.device.operating_system"):
        assert api.post("/v2/orders", with_field(path, evil, base)).status_code == 400, path
    for path in (f"/v2/orders/{evil}", f"/v2/sims/{evil}", f"/v2/subscriptions/{evil}", f"/v2/products/{evil}"):
        refused(api.get(path), 404, "NOT_FOUND")
    for query in ("status", "before", "after"):
        refused(api.get(f"/v2/orders?{query}={evil}"), 400, api.get(f"/v2/orders?{query}={evil}").json()["type"])
    for query in ("correlation_id", "reference"):
        assert api.get(f"/v2/orders?{query}={evil}").json()["data"] == []


def test_media_type_and_size(api):
    body = json.dumps(order_body())
    refused(api.call("POST", "/v2/orders", data=body, headers={"Content-Type": "text/plain"}), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert api.call("POST", "/v2/orders", data=body, headers={"Content-Type": ""}).status_code == 415
    refused(api.call("POST", "/v2/orders", data=b" " * (64 * 1024 + 1), headers=JSON), 413, "PAYLOAD_TOO_LARGE")


def raw(server, data, timeout=60):
    """Sends bytes and returns all that comes back until the server closes or is silent after a whole answer."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=timeout) as s:
        try:
            s.sendall(data)
        except OSError:
            pass  # the server may answer and close before all is sent
        out = b""
        try:
            while chunk := s.recv(65536):
                out += chunk
        except ConnectionResetError:
            pass
        return out


def test_ten_megabytes_are_refused_without_being_read(demo, api):
    head = (f"POST /v2/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {demo.token()}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {10 * 1024 * 1024}\r\nConnection: close\r\n\r\n").encode()
    answer = raw(demo, head + b"x" * 1024)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    assert b'"PAYLOAD_TOO_LARGE"' in answer


@pytest.mark.parametrize("kilobytes", [17, 100, 1000])
def test_a_header_of_100_kilobytes(demo, api, kilobytes):
    filler = b"a" * kilobytes * 1024
    for request, statuses in ((b"GET /v2/products HTTP/1.1\r\nHost: x\r\nX-Filler: %s\r\nConnection: close\r\n\r\n", (431,)),
                              (b"GET /v2/products?x=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (431, 414)),
                              (b"GET /v2/products/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (431, 414))):
        answer = raw(demo, request.replace(b"%s", filler))
        assert answer[:9] == b"HTTP/1.1 " and int(answer[9:12]) in statuses, answer[:200]
        if kilobytes < 32:
            assert b'{"type":"INVALID_HTTP_MESSAGE","messages":["the request line and headers are too large"]}' in answer


@pytest.mark.parametrize("line", [b"GET\r\n\r\n", b"\x00\x01\x02\x03\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"\r\n" * 2000,
                                  b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                                  b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_not_http_at_all(demo, api, line):
    address = urlsplit(demo.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as s:
        s.sendall(line)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := s.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 5")), answer[:200]


@pytest.mark.parametrize("path,status", [
    ("/v2/orders/%2e%2e/products", 404), ("/v2/%2e%2e/admin/v1/partners", 404), ("/v2/orders/%00", 404), ("/v2//orders", 404),
    ("/v2/sims/..%2f..%2fetc%2fpasswd", 404), ("/v2/orders/%", 404), ("/v2/orders/%zz", 404), ("/v2/sims/" + "9" * 4000, 404), ("/v3/orders", 404),
    ("/V2/orders", 404),
])
def test_path_tricks(demo, api, path, status):
    answer = raw(demo, f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {demo.token()}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert b'"NOT_FOUND"' in answer


def test_methods(api):
    for path, allowed in (("/v2/orders", {"GET", "POST"}), ("/v2/products", {"GET"}), ("/v2/subscriptions", {"GET"})):
        answer = api.call("DELETE", path)
        refused(answer, 405, "METHOD_NOT_ALLOWED")
        assert allowed <= {m.strip() for m in answer.headers["Allow"].split(",")}


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_tokens_that_are_not_good(demo, api):
    good = demo.token()
    head, claims, signature = good.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    bad = {
        "alg none": f"{encoded({'alg': 'none', 'typ': 'at+jwt'})}.{claims}.",
        "signature cut": f"{head}.{claims}.{signature[:-8]}",
        "signature of another": f"{head}.{claims}.{signature[::-1]}",
        "another realm": f"{head}.{encoded({**decoded, 'iss': decoded['iss'].replace('tru-staff', 'other')})}.{signature}",
        "an operator's token": demo.env["TOPUP_ADMIN_TOKEN"],
        "empty": "",
        "huge": "a" * 8000,
        "not a token": "x.y.z",
    }
    for name, token in bad.items():
        answer = requests.get(demo.url + "/v2/products", headers={"Authorization": "Bearer " + token}, timeout=30)
        contract.check(answer)
        refused(answer, 401, "UNAUTHORISED")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer"), name
    for value in (None, "Basic " + base64.b64encode(b"a:b").decode(), "Bearer", good):
        answer = requests.get(demo.url + "/v2/products", headers={"Authorization": value} if value else {}, timeout=30)
        refused(answer, 401, "UNAUTHORISED")
    # a partner's token never reaches the operator's side
    refused(requests.get(demo.url + "/admin/v1/partners", headers={"Authorization": "Bearer " + good}, timeout=30), 401, "UNAUTHORISED")


def test_an_expired_token(new_demo):
    server = new_demo("-o", "access_token_seconds=10", "-o", "rate_per_minute=0")
    token = server.token()
    end = time.monotonic() + 30
    while requests.get(server.url + "/v2/products", headers={"Authorization": "Bearer " + token}, timeout=30).status_code == 200:
        assert time.monotonic() < end, "the token did not expire"
        time.sleep(0.2)
    refused(requests.get(server.url + "/v2/products", headers={"Authorization": "Bearer " + token}, timeout=30), 401, "UNAUTHORISED")


def test_a_client_that_sends_one_byte_a_second(new_demo):
    server = new_demo("-o", "request_timeout_seconds=3")
    address = urlsplit(server.url)
    for prefix in (b"", b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"):
        with socket.create_connection((address.hostname, address.port), timeout=30) as s:
            s.settimeout(1)
            s.sendall(prefix)
            begun = time.monotonic()
            while time.monotonic() - begun < 20:
                try:
                    s.sendall(b"G")
                    if not s.recv(1):
                        break
                except socket.timeout:
                    continue
                except OSError:
                    break
            assert time.monotonic() - begun < 15, "a slow client was served for too long"
    assert requests.get(server.url + "/healthz", timeout=30).status_code == 200
