# SPDX-License-Identifier: Apache-2.0
"""Idempotency keys against the running server: threads at once, kill -9, restarts, a network that loses answers.

What must hold: for each key one order, however often and from wherever the call came; whoever got an answer gets the same one again. Planted
once: the key stored by a job of its own after the order's. test_fifty_at_once_place_one_order and three of six rounds of
test_kill_and_repeat found keys with two orders.
"""
import collections
import http.server
import json
import os
import random
import socket
import subprocess
import threading
import time
import uuid
from urllib.parse import urlsplit

import pytest
import requests

import contract
from conftest import BUILD, PRODUCT, PSIM, Api, order_body, wait_for

ROUNDS = int(os.environ.get("KILL_ROUNDS") or ("20" if os.environ.get("LONG") else "3"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(2**32))))
JSON = {"Content-Type": "application/json"}


def fresh():
    return str(uuid.uuid4())


def place(server, token, key, body=None, **headers):
    answer = requests.post(server.url + "/v2/orders", json=body or order_body(), timeout=60,
                           headers={"Authorization": "Bearer " + token, "Idempotency-Key": key, "X-Correlation-ID": key, **headers})
    return contract.check(answer)


def orders_of(api, key):
    """The orders that calls with this key made: they carried it as their correlation id, too."""
    return [order["id"] for order in api.get("/v2/orders", params={"correlation_id": key}).json()["data"]]


def same_answer(a, b):
    assert (a.status_code, a.content) == (b.status_code, b.content)
    for name in ("Content-Type", "Location"):
        assert a.headers.get(name) == b.headers.get(name)


def all_at_once(n, call):
    gate, results = threading.Barrier(n), [None] * n

    def run(i):
        gate.wait()
        results[i] = call(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_fifty_at_once_place_one_order(demo, api):
    key, token = fresh(), demo.token()
    answers = all_at_once(50, lambda _: place(demo, token, key))
    first = [a for a in answers if "Idempotent-Replayed" not in a.headers]
    assert len(first) == 1
    for answer in answers:
        assert answer.status_code == 202
        same_answer(answer, first[0])
    assert orders_of(api, key) == [first[0].json()["id"]]


def test_different_keys_do_not_meet(demo, api):
    keys, token = [fresh() for _ in range(50)], demo.token()
    answers = all_at_once(50, lambda i: place(demo, token, keys[i], order_body("ACTIVATION", "ESIM", iccid=None)))
    assert all(a.status_code == 202 and "Idempotent-Replayed" not in a.headers for a in answers)
    assert len({a.json()["id"] for a in answers}) == 50
    for key, answer in zip(keys, answers):
        assert orders_of(api, key) == [answer.json()["id"]]


def test_half_with_one_body_half_with_another(demo, api):
    key, token = fresh(), demo.token()
    bodies = [order_body(), order_body(sold_price=21, sold_currency="EUR")]
    answers = all_at_once(20, lambda i: place(demo, token, key, bodies[i % 2]))
    kinds = collections.Counter((i % 2, a.status_code) for i, a in enumerate(answers))
    assert set(kinds) in ({(0, 202), (1, 422)}, {(0, 422), (1, 202)}), kinds
    assert len(orders_of(api, key)) == 1


def test_a_body_is_compared_byte_for_byte(demo, api):
    key, token = fresh(), demo.token()
    body = order_body()
    first = place(demo, token, key, body)
    assert first.status_code == 202
    headers = {"Authorization": "Bearer " + token, "Idempotency-Key": key, **JSON}
    for other in (json.dumps(body, indent=1), json.dumps(dict(reversed(body.items()))), json.dumps(body) + " "):
        answer = contract.check(requests.post(demo.url + "/v2/orders", data=other, headers=headers, timeout=60))
        assert answer.status_code == 422 and answer.json()["type"] == "IDEMPOTENCY_MISMATCH"
    assert contract.check(requests.post(demo.url + "/v2/orders?x=1", json=body, headers=headers, timeout=60)).status_code == 422
    again = place(demo, token, key, body)
    same_answer(again, first)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert orders_of(api, key) == [first.json()["id"]]


def test_a_repeat_has_a_correlation_id_of_its_own(demo):
    key, token = fresh(), demo.token()
    place(demo, token, key)
    again = place(demo, token, key, **{"X-Correlation-ID": "mine"})
    assert again.headers["X-Correlation-ID"] == "mine"
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("key", [b"", b" ", b"x" * 256, b"caf\xc3\xa9", b"a\tb", b"a\x7fb"])
def test_what_is_no_key(demo, api, key):
    body = json.dumps(order_body()).encode()
    address = urlsplit(demo.url)
    request = (f"POST {address.path}/v2/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {demo.token()}\r\nConnection: close\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: ").encode() + key + b"\r\n\r\n" + body
    with socket.create_connection((address.hostname, address.port), timeout=30) as s:
        s.sendall(request)
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"Idempotency-Key" in answer


def test_refusals_are_the_answer_too(demo, api):
    key, token, reference = fresh(), demo.token(), fresh()
    assert place(demo, token, fresh(), {**order_body(), "reference": reference}).status_code == 202
    refused = place(demo, token, key, {**order_body(), "reference": reference})
    assert refused.status_code == 409 and refused.json()["messages"] == ["reference: is taken by another order"]
    again = place(demo, token, key, {**order_body(), "reference": reference})
    same_answer(again, refused)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(api.get("/v2/orders", params={"reference": reference}).json()["data"]) == 1


def test_every_writing_operation_says_that_it_takes_a_key():
    for path, item in contract.documents()[contract.PUBLIC]["paths"].items():
        for method, operation in item.items():
            if method in ("post", "put", "patch", "delete") and path.startswith("/v2/"):
                names = [p.get("$ref", "").rsplit("/", 1)[-1] for p in operation.get("parameters", []) + item.get("parameters", [])]
                assert "idempotencyKey" in names, f"{method} {path}"
                assert "422" in operation["responses"], f"{method} {path}"


def test_a_restart_forgets_no_key(new_demo, tmp_path):
    server = new_demo("-o", "rate_per_minute=0", data=tmp_path / "data")
    keys = [fresh() for _ in range(5)]
    first = [place(server, server.token(), key) for key in keys]
    assert server.stop() == 0
    server = new_demo("-o", "rate_per_minute=0", data=tmp_path / "data")
    for key, answer in zip(keys, first):
        again = place(server, server.token(), key)
        same_answer(again, answer)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert orders_of(Api(server), key) == [answer.json()["id"]]


# ---- kill -9 ----

def place_until_killed(server, token, answers, asked, stop):
    """Each call is known before it is made: `asked` has the keys, `answers` those that came back."""
    session = requests.Session()
    session.headers["Authorization"] = "Bearer " + token
    while not stop.is_set() and len(asked) < 3000:
        key = fresh()
        asked.append(key)
        try:
            answer = session.post(server.url + "/v2/orders", json=order_body("ACTIVATION", "ESIM", iccid=None), timeout=10,
                                  headers={"Idempotency-Key": key, "X-Correlation-ID": key})
        except requests.RequestException:
            return
        if answer.status_code == 202:
            answers[key] = answer


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_kill_and_repeat(new_demo, tmp_path, round_number):
    rng = random.Random(f"{SEED}-{round_number}")
    print(f"SEED={SEED}")
    data = tmp_path / "data"
    server = new_demo("-o", "rate_per_minute=0", data=data)
    answers, asked, stop = {}, [], threading.Event()
    threads = [threading.Thread(target=place_until_killed, args=(server, server.token(), answers, asked, stop)) for _ in range(8)]
    for thread in threads:
        thread.start()
    at_least = rng.randrange(1, 150)
    wait_for(lambda: len(answers) >= at_least, 60, f"{at_least} accepted orders")
    time.sleep(rng.random() * 0.02)  # the moment within the work: any will do, it is not waited for
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    lost = [key for key in asked if key not in answers]
    assert lost, "nobody was caught between request and answer"

    server = new_demo("-o", "rate_per_minute=0", data=data)
    api, token = Api(server), server.token()
    activation = order_body("ACTIVATION", "ESIM", iccid=None)
    for key in rng.sample(sorted(answers), min(len(answers), 20)) + lost:
        again = place(server, token, key, activation)
        assert again.status_code == 202
        if key in answers:
            same_answer(again, answers[key])
            assert again.headers["Idempotent-Replayed"] == "true"
        assert orders_of(api, key) == [again.json()["id"]], "a key has another number of orders than one"
        assert api.ended(again.json()["id"], 60)["status"] == "COMPLETED"


# ---- the command-line client behind a network that loses answers ----

class Lossy(http.server.ThreadingHTTPServer):
    """Passes everything on to the server, and throws the first answers to orders away."""
    daemon_threads = True

    def __init__(self, demo, lose):
        super().__init__(("127.0.0.1", 0), LossyCall)
        self.to = demo.env["TOPUP_SERVER"]
        self.lose, self.keys = lose, []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class LossyCall(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = requests.request(self.command, self.server.to + self.path, data=body, headers=dict(self.headers), timeout=30)
        if self.command == "POST" and self.path.endswith("/v2/orders"):
            self.server.keys.append(self.headers.get("Idempotency-Key"))
            if self.server.lose > 0:
                self.server.lose -= 1
                self.close_connection = True
                return
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = pass_on


def topup_through(demo, proxy, tmp_path, *options):
    address = f"127.0.0.1:{proxy.server_address[1]}"
    env = {**os.environ, **demo.env, "HOME": str(tmp_path)}
    for name in ("BASE_URL", "TOPUP_SERVER"):
        env[name] = urlsplit(env[name])._replace(netloc=address).geturl()
    return subprocess.run([BUILD / "topup", "order", "place", "--product", PRODUCT, "--iccid", PSIM, *options], env=env, text=True,
                          capture_output=True, timeout=120)


def ids(api):
    return {order["id"] for order in api.get("/v2/orders?page_size=100").json()["data"]}


def test_topup_repeats_what_got_no_answer(demo, api, tmp_path):
    before = ids(api)
    proxy = Lossy(demo, 2)
    done = topup_through(demo, proxy, tmp_path, "--wait")
    proxy.shutdown()
    assert done.returncode == 0, done.stderr
    assert len(proxy.keys) == 3 and len(set(proxy.keys)) == 1 and proxy.keys[0]
    assert len(ids(api) - before) == 1


def test_topup_says_how_to_repeat_when_it_gives_up(demo, api, tmp_path):
    before = ids(api)
    proxy = Lossy(demo, 1000)
    done = topup_through(demo, proxy, tmp_path)
    assert done.returncode == 3
    assert f"--idempotency-key '{proxy.keys[0]}'" in done.stderr
    proxy.lose = 0
    done = topup_through(demo, proxy, tmp_path, "--idempotency-key", proxy.keys[0])
    proxy.shutdown()
    assert done.returncode == 0, done.stderr
    assert len(ids(api) - before) == 1
    assert topup_through(demo, proxy, tmp_path, "--idempotency-key", "a\r\nX-Evil: 1").returncode == 2
