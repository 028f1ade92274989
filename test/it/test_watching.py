# SPDX-License-Identifier: Apache-2.0
"""What the operator can see: the log's lines of requests and of orders, and the metrics."""
import collections

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

import contract
from conftest import ESIM_PRODUCT, PSIM, REALM_PATH, Api, Demo, order_body, wait_for

MARK = "watch me, \"quoted\" = and a \\ too"


def samples(api):
    """The value of each sample, by name and labels."""
    answer = api.get(api.server.env["TOPUP_SERVER"] + "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    out = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in out, f"{key} comes twice"
            out[key] = sample.value
    return out


def value(all_samples, name, **labels):
    return all_samples.get((name, frozenset(labels.items())), 0)


def lines_of(server, enough, **fields):
    """The log's lines that have these fields, once there are enough of them: lines are written by a thread of their own."""
    def look():
        found = [line for line in server.log_lines() if all(line.get(k) == v for k, v in fields.items())]
        return found if len(found) >= enough else None

    return wait_for(look, 10, f"{enough} lines with {fields}")


def test_one_line_a_request(demo, api):
    asked = [("GET", "/v2/products", "/v2/products", 200), ("GET", "/v2/orders/x", "/v2/orders/{id}", 404), ("POST", "/v2/orders", "/v2/orders", 400),
             ("GET", "/nowhere", "none", 404), ("DELETE", "/v2/orders", "none", 405)]
    for i, (method, path, _, status) in enumerate(asked):
        answer = api.call(method, path, headers={"X-Correlation-ID": f"line-{i}"}, json={} if method == "POST" else None)
        assert answer.status_code == status
    for i, (method, _, route, status) in enumerate(asked):
        lines = lines_of(demo, 1, event="request", correlation=f"line-{i}")
        assert len(lines) == 1
        assert (lines[0]["method"], lines[0]["route"], lines[0]["status"]) == (method, route, str(status))
        assert int(lines[0]["us"]) >= 0 and int(lines[0]["bytes"]) > 0
        if route != "none":
            assert int(lines[0]["partner"]) > 0


def escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


def placed_and_finished(server, order_id):
    """The two lines that every order has."""
    (placed,) = [line for line in lines_of(server, 1, event="request", order=order_id) if line["method"] == "POST"]
    (finished,) = lines_of(server, 1, event="order.finished", order=order_id)
    assert finished["state"] == "COMPLETED" and int(finished["ms"]) >= 0
    assert placed["correlation"] == finished["correlation"] == escaped(MARK)
    assert placed["partner"] == finished["partner"] and int(placed["partner"]) > 0
    return placed, finished


def place_marked(api):
    answer = api.post("/v2/orders", order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None), headers={"X-Correlation-ID": MARK})
    assert answer.headers["X-Correlation-ID"] == MARK
    return api.ended(answer.json()["id"])["id"]


def test_an_orders_lines(demo, api):
    placed_and_finished(demo, place_marked(api))


def test_one_line_a_call_to_the_network(new_demo, tmp_path):
    script = tmp_path / "script"
    script.write_text("NETWORK_ENABLE START * 1: unavailable\n")
    server = new_demo("-o", "network=fake", "-o", f"network_script={script}")
    order_id = place_marked(Api(server))
    placed, _ = placed_and_finished(server, order_id)
    steps = lines_of(server, 4, event="order.step", order=order_id)
    assert [(step["task"], step["attempt"], step["outcome"]) for step in steps] == [
        ("PROFILE_RESERVE", "1", "DONE"), ("NETWORK_ENABLE", "1", "UNAVAILABLE"), ("NETWORK_ENABLE", "2", "DONE"), ("PROFILE_RELEASE", "1", "DONE")]
    for step in steps:
        assert step["correlation"] == escaped(MARK) and step["partner"] == placed["partner"]
        assert step["peer"] == "fake" and step["verb"] == "START"


def test_nothing_private_is_logged(demo, api, operator):
    """At the level that says most. What each daemon of every test logs is searched, too, when it ends."""
    body = order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None)
    body["subscriber"] |= {"email": "zaphod@galaxy.example", "first_name": "Zaphod-Name", "last_name": "Beeblebrox-Name", "device": {"id": "my-device-id-77"}}
    order = api.order(body=body)
    base = order["_metadata"]["links"]["_sim"] + "/preferences/notifications/"
    api.put(base + "USAGE_THRESHOLD", {"webhook_url": "https://hook-user:hook-password@hooks.example.com/path?key=hook-key"})
    api.put(base + "USAGE_THRESHOLD", {"webhook_url": "ftp://hook-user:hook-password@hooks.example.com/"})
    api.get("/v2/subscriptions?email=zaphod@galaxy.example")
    api.post("/v2/orders", {**body, "subscriber": {"email": "zaphod(at)galaxy"}})
    tokens = demo.env["TOPUP_SERVER"] + REALM_PATH + "/protocol/openid-connect/token"
    for data in ({"grant_type": "client_credentials", "client_id": "truphone", "client_secret": "a-wrong-secret-0123456"},
                 {"grant_type": "refresh_token", "client_id": "truphone", "client_secret": demo.env["CLIENT_SECRET"], "refresh_token": "not-a-refresh-token"}):
        assert contract.check(requests.post(tokens, data=data, timeout=30)).status_code in (400, 401)
    requests.get(demo.url + "/v2/products?access_token=a-token-in-the-query", headers={"Authorization": "Bearer a-token-in-the-header"}, timeout=30)
    made = operator.post("/admin/v1/partners", {"client_id": "private", "name": "Private Partner Name", "client_secret": "chosen-secret-0123456789"}).json()
    operator.post("/admin/v1/partners/private/rotate-secret", {"client_secret": "another-secret-0123456789"})
    api.get("/v2/products", headers={"X-Correlation-ID": "the-last-one"})
    lines_of(demo, 1, event="request", correlation="the-last-one")
    text = demo.log_text()
    for private in ("zaphod", "galaxy", "Zaphod-Name", "Beeblebrox-Name", "my-device-id-77", "hook-", "a-wrong-secret", "not-a-refresh-token",
                    "a-token-in", "chosen-secret", "another-secret", made["client_secret"], "Bearer", "Private Partner Name"):
        assert private not in text, f"{private!r} is in the log"
    assert "client_id=private" in text, "that somebody was added is logged"


def test_a_correlation_id_cannot_forge_a_line(demo, api):
    for sent in ("x\u00e9".encode(), b"a\tb", b"\xff\xfe", b"x" * 5000):
        answer = api.get("/v2/products", headers={"X-Correlation-ID": sent})
        assert answer.status_code == 200 and 0 < len(answer.headers["X-Correlation-ID"]) <= 200
    assert demo.log_lines()


def test_the_metrics_parse_and_count_right(demo, api):
    def orders(n):
        for _ in range(n):
            assert api.order()["status"] == "COMPLETED"

    orders(1)
    before = samples(api)
    orders(5)
    for _ in range(3):
        api.get("/v2/products")
    api.post("/v2/orders", {})
    api.get("/nowhere")
    api.get("/nowhere/else")

    def counted():  # the counters move when an answer is on its way: a moment after it is here
        now = samples(api)
        return now if value(now, "topupd_http_requests_total", method="other", route="other", code="404") - value(
            before, "topupd_http_requests_total", method="other", route="other", code="404") == 2 else None

    after = wait_for(counted, 10, "two requests for nothing")

    def more(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("topupd_http_requests_total", method="POST", route="/v2/orders", code="202") == 5
    assert more("topupd_http_requests_total", method="POST", route="/v2/orders", code="400") == 1
    assert more("topupd_http_requests_total", method="GET", route="/v2/products", code="200") == 3
    assert more("topupd_http_request_seconds_count", method="POST", route="/v2/orders") == 6
    assert more("topupd_http_request_seconds_count", method="GET", route="/v2/products") == 3
    assert 0 < more("topupd_http_request_seconds_sum", method="POST", route="/v2/orders") < 60
    assert more("topupd_orders_finished_total", state="COMPLETED") == 5 and more("topupd_orders_finished_total", state="FAILED") == 0
    assert more("topupd_order_seconds_count") == 5
    assert value(after, "topupd_orders", state="ACCEPTED") == 0 == value(after, "topupd_orders", state="FULFILLING")
    assert value(after, "topupd_tasks", state="PARKED") == 0
    assert ("topupd_store_jobs_waiting", frozenset()) in after and more("topupd_engine_tasks_total") >= 5


def test_histograms_are_histograms(api):
    answer = api.get(api.server.env["TOPUP_SERVER"] + "/metrics").text
    buckets = collections.defaultdict(list)
    all_samples = {}
    for family in text_string_to_metric_families(answer):
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                labels = dict(sample.labels)
                buckets[family.name, labels.pop("le") and frozenset(labels.items())].append((float(sample.labels["le"]), sample.value))
            all_samples[sample.name, frozenset(sample.labels.items())] = sample.value
    assert buckets
    for (name, labels), steps in buckets.items():
        assert steps == sorted(steps) and steps[-1][0] == float("inf"), name
        assert [n for _, n in steps] == sorted(n for _, n in steps), f"{name} is not cumulative"
        assert steps[-1][1] == all_samples[name + "_count", labels]
        assert all_samples[name + "_sum", labels] >= 0


def test_peers_outcomes_are_counted(new_demo, tmp_path):
    script = tmp_path / "script"
    script.write_text("NETWORK_ENABLE START * 1: refuse\nPROFILE_RESERVE START * 2: unavailable\n* START * *: late 50ms\n")
    server = new_demo("-o", "network=fake", "-o", f"network_script={script}", "-o", "rate_per_minute=0")
    api = Api(server)
    failed = api.order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None))
    assert failed["status"] == "FAILED"
    assert api.order(iccid=PSIM)["status"] == "COMPLETED"

    def counted():
        now = samples(api)
        return now if value(now, "topupd_orders_finished_total", state="COMPLETED") == 1 else None

    now = wait_for(counted, 10, "the orders counted")
    assert value(now, "topupd_orders_finished_total", state="FAILED") == 1
    assert value(now, "topupd_peer_outcomes_total", peer="fake", outcome="REFUSED") == 1
    assert value(now, "topupd_peer_outcomes_total", peer="fake", outcome="UNAVAILABLE") == 2
    assert value(now, "topupd_peer_outcomes_total", peer="fake", outcome="DONE") >= 2
    (finished,) = lines_of(server, 1, event="order.finished", order=failed["id"])
    assert finished["state"] == "FAILED" and finished["failure"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The module's daemon tells all it has to tell."""
    server = Demo(tmp_path_factory.mktemp("demo"), ["-o", "rate_per_minute=0", "-o", "log_level=debug"])
    yield server
    assert server.stop() == 0, server.log_text()[-4000:]
