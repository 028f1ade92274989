# SPDX-License-Identifier: Apache-2.0
"""Webhooks against real receivers: order, signatures, retries, Retry-After, 410, redirects, slow receivers, replay, restart and kill -9."""
import base64
import re
import threading
import time

import pytest

from conftest import ESIM_PRODUCT, Api, Demo, order_body, wait_for
from receiver import Answer, Receiver, verdicts
from test_topup_cli import REFUSED, USAGE, Topup

# A machine that stands still for some seconds must not use up an endpoint's patience before a test has seen what comes before.
QUICK = "webhook_retry_scale_ppm=200"  # the first five attempts in half a second, five days in 86
WHOLE = "webhook_retry_scale_ppm=40"  # three days in 10 s, five in 17
OPTIONS = ("-o", "rate_per_minute=0", "-o", "webhook_private_targets=1")


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    """A demo whose webhooks may lead to 127.0.0.1, with the retry schedule made short."""
    server = Demo(tmp_path_factory.mktemp("hooked"), [*OPTIONS, "-o", QUICK])
    yield server
    assert server.stop() == 0, "topupd did not stop cleanly:\n" + server.log_text()[-4000:]


@pytest.fixture
def api(hooked):
    client = Api(hooked)
    yield client
    for hook in client.get("/v2/webhooks?page_size=100").json()["data"]:
        assert client.delete("/v2/webhooks/" + hook["id"]).status_code == 204


@pytest.fixture
def receiver():
    made = []

    def make(*args, **kwargs):
        made.append(Receiver(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def add(api, url, **fields):
    answer = api.post("/v2/webhooks", {"url": url, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def look(api, hook, path=""):
    return api.get(f"/v2/webhooks/{hook['id']}{path}").json()


def log_of(api, hook):
    return look(api, hook, "/deliveries?page_size=100")["data"]


def happen(api, **order):
    """An order and all that follows from it; a SIM takes 15 subscriptions that are not finished, so each is finished."""
    done = api.order(**order)
    assert api.post(done["_metadata"]["links"]["_subscription"] + "/expire").status_code == 200


def newest(api):
    return api.get("/v2/events?after=latest").json()["_metadata"]["newest"]


def events_after(api, sequence):
    return api.get(f"/v2/events?after={sequence}&limit=1000").json()["data"]


def logged(server, pattern):
    """Lines are written by a thread of their own, some milliseconds later."""
    wait_for(lambda: re.search(pattern, server.log_text()), what=f"a line with {pattern}")


def settled(api, hook, outcome, seconds=30):
    """The first line of the log with this outcome, once there is one."""
    return wait_for(lambda: next((d for d in log_of(api, hook) if d["outcome"] == outcome), None), seconds, f"a delivery that is {outcome}")


def test_events_come_in_order_as_the_log_shows_them_and_the_library_takes_their_signatures(api, receiver):
    there = receiver()
    before = newest(api)
    hook = add(api, there.url())
    for _ in range(10):
        happen(api)
    told = events_after(api, before)
    wait_for(lambda: len(there.got) >= len(told), what="all deliveries")
    assert [g.json for g in there.got] == told
    assert there.most_at_once == 1
    for g in there.got:
        assert g.headers["webhook-id"] == g.json["id"]
        assert abs(int(g.headers["webhook-timestamp"]) - time.time()) < 60
        assert g.headers["Content-Type"] == "application/json"
    assert verdicts(there.got, hook["secret"]) == [None] * len(told)
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert None not in verdicts(there.got, other)
    changed = [g._replace(body=g.body + " ") for g in there.got]
    assert None not in verdicts(changed, hook["secret"])
    wait_for(lambda: look(api, hook)["next_sequence"] == told[-1]["sequence"] + 1, what="the cursor")


def test_only_wanted_types_come(api, receiver):
    there = receiver()
    hook = add(api, there.url(), types=["order.completed", "sim.*"])
    assert hook["types"] == ["order.completed", "sim.*"]
    happen(api)
    happen(api, body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None))
    wait_for(lambda: there.types().count("order.completed") == 2 and "sim.activated" in there.types(), what="the wanted events")
    assert set(there.types()) == {"order.completed", "sim.activated"}
    assert api.call("PATCH", f"/v2/webhooks/{hook['id']}", json={"types": ["subscription.*"]}).status_code == 200
    n = len(there.got)
    happen(api)
    wait_for(lambda: len(there.got) > n, what="a subscription's event")
    assert {t.split(".")[0] for t in there.types()[n:]} == {"subscription"}


def test_a_failed_attempt_is_repeated_with_the_same_id_and_nothing_overtakes_it(api, receiver):
    there = receiver()
    there.script.extend([Answer(500, b"broken"), Answer(503), Answer(302, headers={"Location": "/elsewhere"})])
    before = newest(api)
    hook = add(api, there.url())
    happen(api)
    told = [e["sequence"] for e in events_after(api, before)]
    wait_for(lambda: len(there.got) >= len(told) + 3, what="all deliveries")
    assert there.sequences() == [told[0]] * 3 + told
    assert len({g.headers["webhook-id"] for g in there.got[:4]}) == 1
    assert {g.path for g in there.got} == {"/hook"}  # the redirect was not followed
    first = wait_for(lambda: [d for d in log_of(api, hook) if d.get("event_sequence") == told[0]][::-1], what="the log")
    wait_for(lambda: len(log_of(api, hook)) == len(told) + 3, what="the whole log")
    first = [d for d in log_of(api, hook) if d["event_sequence"] == told[0]][::-1]
    assert [(d["attempt"], d["outcome"], d["answer"]["status"]) for d in first] == [
        (1, "FAILED", 500), (2, "FAILED", 503), (3, "FAILED", 302), (4, "DELIVERED", 200)]
    assert first[0]["answer"]["body"] == "broken" and "next_attempt_date" in first[0] and "next_attempt_date" not in first[3]
    one = api.get(first[0]["_metadata"]["links"]["_self"]).json()
    assert one == first[0]
    assert "failing_since" not in look(api, hook)


def test_an_event_is_given_up_after_ten_attempts_and_the_next_has_its_turn(new_demo, receiver):
    api = Api(new_demo(*OPTIONS, "-o", WHOLE))
    there = receiver(Answer(500))
    before = newest(api)
    hook = add(api, there.url(), types=["order.completed"])
    happen(api)
    happen(api)
    first, second = [e["sequence"] for e in events_after(api, before) if e["type"] == "order.completed"]
    given_up = settled(api, hook, "GIVEN_UP", 90)
    assert (given_up["event_sequence"], given_up["attempt"]) == (first, 10)
    there.answer = Answer(200)
    wait_for(lambda: second in there.sequences(), what="the next event")
    assert there.sequences().count(first) == 10
    settled(api, hook, "DELIVERED")
    assert look(api, hook)["enabled"] is True


def test_an_endpoint_that_fails_for_five_days_is_disabled_which_is_an_event_and_goes_on_when_enabled(new_demo, receiver):
    server = new_demo(*OPTIONS, "-o", WHOLE)
    api = Api(server)
    there, witness = receiver(Answer(500)), receiver()
    before = newest(api)
    hook = add(api, there.url(), types=["order.completed"])
    add(api, witness.url(), types=["webhook.*"])
    for _ in range(3):
        happen(api)
    wanted = [e["sequence"] for e in events_after(api, before) if e["type"] == "order.completed"]
    wait_for(lambda: look(api, hook)["status"] == "FAILED", 90, "the end of its patience")
    state = look(api, hook)
    assert state["enabled"] is False and state["next_sequence"] in wanted[1:]
    settled(api, hook, "DISABLED")
    wait_for(lambda: witness.got, what="webhook.disabled")
    told = witness.got[0].json
    assert told["type"] == "webhook.disabled" and told["data"]["id"] == hook["id"] and told["data"]["status"] == "FAILED"
    assert told["changes"]["status"] == {"before": "ENABLED", "after": "FAILED"}
    assert "secret" not in told["data"]
    logged(server, rf"event=webhook.disabled webhook={hook['id']}")
    n = len(there.got)
    there.answer = Answer(200)
    left = [s for s in wanted if s >= state["next_sequence"]]
    assert api.call("PATCH", f"/v2/webhooks/{hook['id']}", json={"enabled": True}).json()["status"] == "ENABLED"
    wait_for(lambda: there.sequences()[n:] == left, what="what was kept for it")


def test_gone_disables_at_once(api, receiver):
    there = receiver(Answer(410))
    hook = add(api, there.url())
    happen(api)
    wait_for(lambda: look(api, hook)["status"] == "GONE", what="GONE")
    assert len(there.got) == 1
    assert settled(api, hook, "DISABLED")["answer"]["status"] == 410
    # It is left alone; a test reaches it all the same, and does not change what it is.
    asked = api.post(f"/v2/webhooks/{hook['id']}/test")
    assert asked.status_code == 202
    wait_for(lambda: api.get(asked.headers["Location"]).json()["outcome"] == "FAILED", what="the test's answer")
    assert there.types() == [there.types()[0], "webhook.test"]
    assert look(api, hook)["status"] == "GONE"


def test_retry_after_is_obeyed(api, receiver):
    there = receiver()
    there.script.append(Answer(429, headers={"Retry-After": "2"}))
    add(api, there.url(), types=["order.completed"])
    happen(api)
    wait_for(lambda: len(there.got) == 2, what="the second attempt")
    assert there.got[1].at - there.got[0].at >= 1.9  # the schedule alone: two milliseconds


def test_slow_and_dead_receivers_hold_up_nobody_else(api, receiver):
    release = threading.Event()
    slow, quick = receiver(Answer(hold=release)), receiver()
    with_nobody = Receiver()
    with_nobody.close()
    try:
        for i in range(6):
            add(api, slow.url(f"/{i}"))
            add(api, with_nobody.url(f"/{i}"))
        add(api, quick.url())
        before = newest(api)
        begun = time.monotonic()
        for _ in range(5):
            happen(api)
        told = [e["sequence"] for e in events_after(api, before)]
        wait_for(lambda: quick.sequences() == told, what="the quick receiver's events")
        assert time.monotonic() - begun < 10  # a slow one's time-out is 15 s
        assert slow.most_at_once == 6  # one for each endpoint, not one for each event
    finally:
        release.set()


def test_no_answer_counts_as_a_failure_and_says_so(api):
    with_nobody = Receiver()
    with_nobody.close()
    hook = add(api, with_nobody.url())
    happen(api)
    line = settled(api, hook, "FAILED")
    assert "answer" not in line and "connection" in line["error"]


def test_secrets_overlap_while_they_are_rotated(api, receiver):
    there = receiver()
    first = add(api, there.url(), types=["order.completed"], secret="whsec_" + base64.b64encode(b"a" * 24).decode())
    assert first["secret"] == "whsec_" + base64.b64encode(b"a" * 24).decode()
    second = api.post(f"/v2/webhooks/{first['id']}/rotate-secret", {"overlap_seconds": 3600}).json()
    assert second["secret"] != first["secret"] and "secret" not in look(api, first)
    happen(api)
    wait_for(lambda: len(there.got) == 1, what="an event")
    assert len(there.got[0].headers["webhook-signature"].split()) == 2
    assert verdicts(there.got, first["secret"]) == verdicts(there.got, second["secret"]) == [None]
    third = api.post(f"/v2/webhooks/{first['id']}/rotate-secret", {"overlap_seconds": 0}).json()
    happen(api)
    wait_for(lambda: len(there.got) == 2, what="another event")
    assert len(there.got[1].headers["webhook-signature"].split()) == 1
    assert verdicts(there.got[1:], third["secret"]) == [None]
    assert None not in verdicts(there.got[1:], second["secret"])


def test_replay_and_redeliver(api, receiver):
    there = receiver()
    before = newest(api)
    hook = add(api, there.url())
    for _ in range(3):
        happen(api)
    told = [e["sequence"] for e in events_after(api, before)]
    wait_for(lambda: there.sequences() == told, what="all deliveries")
    wait_for(lambda: len(log_of(api, hook)) == len(told), what="the log")
    line = next(d for d in log_of(api, hook) if d["event_sequence"] == told[1])
    asked = api.post(line["_metadata"]["links"]["_redeliver"])
    assert asked.status_code == 202 and asked.json()["kind"] == "REDELIVERY"
    wait_for(lambda: api.get(asked.headers["Location"]).json()["outcome"] == "DELIVERED", what="the redelivery")
    assert there.sequences() == told + [told[1]]
    assert there.got[-1].headers["webhook-id"] == there.got[1].headers["webhook-id"]

    answer = api.post(f"/v2/webhooks/{hook['id']}/replay", {"from_sequence": told[2]})
    assert answer.status_code == 200 and answer.json()["next_sequence"] == told[2]
    wait_for(lambda: there.sequences()[len(told) + 1:] == told[2:], what="the replay")
    assert api.post(f"/v2/webhooks/{hook['id']}/replay", {"from_sequence": told[-1] + 2}).status_code == 400
    assert api.post(f"/v2/webhooks/{hook['id']}/replay", {"from_sequence": 0}).status_code == 400
    assert api.post(f"/v2/webhooks/{hook['id']}/replay", {}).status_code == 400


def test_a_test_event(api, receiver):
    there = receiver(Answer(200, b"\xff\x00thanks"))
    hook = add(api, there.url(), enabled=False)
    asked = api.post(f"/v2/webhooks/{hook['id']}/test")
    assert asked.status_code == 202 and asked.json()["outcome"] in ("PENDING", "DELIVERED")
    line = wait_for(lambda: (d := api.get(asked.headers["Location"]).json())["outcome"] == "DELIVERED" and d, what="the test")
    assert line["answer"] == {"status": 200, "body": "??thanks"}
    assert there.got[0].json["type"] == "webhook.test" and there.got[0].json["data"]["id"] == hook["id"]
    assert verdicts(there.got, hook["secret"]) == [None]
    assert api.post(f"/v2/webhooks/{hook['id']}/deliveries/{line['id']}/redeliver").status_code == 409
    happen(api)  # it is disabled
    assert len(log_of(api, hook)) == 1


def test_bad_bodies_and_other_partners(hooked, api):
    url = "https://hooks.example.com/"
    for body, message in [({}, "url: is required"), ({"url": "ftp://x"}, "url: must be an absolute URL"), ({"url": ""}, "url: "),
                          ({"url": "https://u:p@hooks.example.com/"}, "url: must not carry credentials"),
                          ({"url": url, "types": []}, "types: "), ({"url": url, "types": "order.*"}, "types: "),
                          ({"url": url, "types": ["order.*", "orders"]}, "types[1]: "), ({"url": url, "types": [7]}, "types[0]: "),
                          ({"url": url, "secret": "short"}, "secret: "), ({"url": url, "secret": "whsec_" + "A" * 20}, "secret: "),
                          ({"url": url, "enabled": "yes"}, "enabled: ")]:
        answer = api.post("/v2/webhooks", body)
        assert answer.status_code == 400 and answer.json()["messages"][0].startswith(message), answer.text
    hook = add(api, url)
    for body in ({"url": ""}, {"types": ["nothing"]}, {"secret": "whsec_x"}):
        assert api.call("PATCH", "/v2/webhooks/" + hook["id"], json=body).status_code == 400
    for body in ({"overlap_seconds": -1}, {"overlap_seconds": 1e9}, {"secret": "x"}):
        assert api.post(f"/v2/webhooks/{hook['id']}/rotate-secret", body).status_code == 400
    stranger = Api(hooked, hooked.token(hooked.env["SANDBOX_CLIENT_ID"], hooked.env["SANDBOX_CLIENT_SECRET"]))
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret"), ("GET", "/deliveries")]:
        assert stranger.call(method, f"/v2/webhooks/{hook['id']}{path}", json={} if method == "PATCH" else None).status_code == 403
    assert stranger.get("/v2/webhooks").json()["data"] == []
    assert api.get("/v2/webhooks/nonsense").status_code == 404
    assert api.get(f"/v2/webhooks/{hook['id']}/deliveries/{hook['id']}").status_code == 404
    for _ in range(19):
        add(api, url, enabled=False)
    answer = api.post("/v2/webhooks", {"url": url})
    assert answer.status_code == 409 and "20" in answer.text


def test_private_targets_are_refused_unless_configured(new_demo):
    server = new_demo("-o", "rate_per_minute=0", "-o", QUICK)
    api = Api(server)
    for url in ("http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data"):
        answer = api.post("/v2/webhooks", {"url": url})
        assert answer.status_code == 400 and "private" in answer.text, url
    # Ways to write loopback that only whoever resolves them sees through.
    there = Receiver()
    try:
        for host in ("2130706433", "0x7f.1", "127.1"):
            hook = add(api, f"http://{host}:{there.port}/")
            happen(api)
            assert "private" in settled(api, hook, "FAILED")["error"]
        assert there.got == []
    finally:
        there.close()


def test_secrets_and_credentials_are_not_logged(hooked, api, receiver):
    there = receiver()
    hook = add(api, there.url("/hook?token=topsecret"))
    rotated = api.post(f"/v2/webhooks/{hook['id']}/rotate-secret")
    happen(api)
    wait_for(lambda: there.got, what="an event")
    logged(hooked, rf"event=webhook.delivery webhook={hook['id']}")
    log = hooked.log_text()
    for secret in (hook["secret"], rotated.json()["secret"], hook["secret"][6:], "topsecret", there.got[0].headers["webhook-signature"]):
        assert secret not in log


def test_metrics_and_log_lines(hooked, api, receiver):
    there = receiver()
    hook = add(api, there.url())
    happen(api)
    settled(api, hook, "DELIVERED")
    metrics = api.get(hooked.env["TOPUP_SERVER"] + "/metrics").text
    assert re.search(r'topupd_webhook_attempts_total\{kind="EVENT",outcome="DELIVERED"\} [1-9]', metrics)
    assert re.search(r'topupd_webhooks\{state="ENABLED"\} [1-9]', metrics)
    assert "topupd_webhook_lag_seconds_bucket" in metrics
    logged(hooked, rf"event=webhook.delivery webhook={hook['id']} partner=1 kind=EVENT type=\S+ sequence=\d+ attempt=1 outcome=DELIVERED status=200")


def test_the_command_line(hooked, api, receiver, tmp_path):
    there = receiver()
    topup = Topup(hooked, tmp_path / "home")
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + base64.b64encode(b"s" * 32).decode() + "\n")
    added = topup.run("webhook", "add", there.url(), "--types", "order.completed, sim.*", "--secret-file", secret)
    assert secret.read_text().strip() in added.stdout and "shown this once" in added.stderr
    hook = topup.json("webhook", "list")["data"][0]
    assert hook["types"] == ["order.completed", "sim.*"] and "secret" not in hook
    shown = topup.run("webhook", "show", hook["id"]).stdout
    assert there.url() in shown and "ENABLED" in shown
    tested = topup.run("webhook", "test", hook["id"])
    assert "DELIVERED" in tested.stdout and there.types() == ["webhook.test"]
    assert verdicts(there.got, secret.read_text().strip()) == [None]
    there.answer = Answer(500, b"no, thanks")
    assert "no, thanks" in topup.run("webhook", "test", hook["id"], ends=REFUSED).stdout
    there.answer = Answer()
    rotated = topup.json("webhook", "rotate-secret", hook["id"], "--overlap", "1h")
    assert rotated["secret"].startswith("whsec_")
    happen(api)
    sequence = wait_for(lambda: next((g.json["sequence"] for g in there.got if g.json["type"] == "order.completed"), None), what="the order")
    line = wait_for(lambda: next((d for d in log_of(api, hook) if d["kind"] == "EVENT"), None), what="the log")
    table = topup.run("webhook", "deliveries", hook["id"]).stdout
    assert line["id"] in table and "order.completed" in table and "GIVEN_UP" not in table
    assert topup.json("webhook", "redeliver", hook["id"], line["id"])["kind"] == "REDELIVERY"
    n = len(there.got)
    assert topup.json("webhook", "replay", hook["id"], "--from", sequence)["next_sequence"] >= sequence
    wait_for(lambda: len(there.got) > n and there.got[-1].json["sequence"] == sequence, what="the replay")
    topup.run("webhook", "set", hook["id"], "--disable", "--url", there.url("/other"))
    assert topup.json("webhook", "show", hook["id"])["status"] == "DISABLED"
    topup.run("webhook", "set", hook["id"], "--enable", "--types", "*")
    assert topup.json("webhook", "show", hook["id"])["types"] == ["*"]
    for args in (("set", hook["id"]), ("set", hook["id"], "--enable", "--disable"), ("replay", hook["id"]), ("replay", hook["id"], "--from", "x"),
                 ("rotate-secret", hook["id"], "--overlap", "soon"), ("rotate-secret", hook["id"], "--overlap", "31d"), ("add",)):
        topup.run("webhook", *args, ends=USAGE)
    assert "url: must be an absolute URL" in topup.run("webhook", "add", "ftp://x", ends=REFUSED).stderr
    topup.run("webhook", "remove", hook["id"])
    topup.run("webhook", "show", hook["id"], ends=REFUSED)


# ---- notifications of one SIM ----

def test_notifications_of_one_sim(hooked, receiver):
    there = receiver()
    api = Api(hooked, hooked.token(hooked.env["SANDBOX_CLIENT_ID"], hooked.env["SANDBOX_CLIENT_SECRET"]))
    product = api.get("/v2/products?sim_type=ESIM").json()["data"][0]
    order = api.order(body=order_body("ACTIVATION", "ESIM", product["id"], None))
    iccid, subscription = order["output"]["iccid"], order["output"]["subscription_id"]
    base = f"/v2/sims/{iccid}/preferences/notifications/"
    for kind in ("USAGE_THRESHOLD", "SUBSCRITPION_END", "DOWNLOAD_PROGRESS"):
        assert api.put(base + kind, {"webhook_url": there.url("/" + kind, credentials="user:p%40ss@")}).status_code == 200
    there.script.extend([Answer(500)])
    assert api.post(f"/v2/sandbox/sims/{iccid}/download-progress",
                    {"step": "DOWNLOADED"}).status_code == 200
    wait_for(lambda: len(there.got) == 2, what="the download's progress, twice")
    total = api.get(f"/v2/subscriptions/{subscription}").json()["initial_balance"]
    for share in (0.5, 0.3, 0.2):  # nobody is told of half
        assert api.post(f"/v2/sandbox/sims/{iccid}/usage", {"bytes_down": int(total * share)}).status_code == 200
    rest = api.get(f"/v2/subscriptions/{subscription}").json()["current_balance"]
    if rest:
        api.post(f"/v2/sandbox/sims/{iccid}/usage", {"bytes_down": rest})
    wait_for(lambda: {"USAGE_THRESHOLD", "SUBSCRIPTION_END"} <= set(there.types()), what="usage's notifications")
    expected = "Basic " + base64.b64encode(b"user:p@ss").decode()
    assert all(g.headers["Authorization"] == expected for g in there.got)
    progress, threshold, end = (next(g.json for g in there.got if g.json["type"] == t)
                                for t in ("DOWNLOAD_PROGRESS", "USAGE_THRESHOLD", "SUBSCRIPTION_END"))
    assert list(progress) == ["id", "type", "iccid", "eid", "download_progress_step", "notification_point_description", "notification_status"]
    assert list(threshold) == ["id", "type", "iccid", "subscription_id", "threshold", "expiration_date", "current_balance"]
    assert list(end) == ["id", "type", "iccid", "subscription_id", "expiration_date", "current_balance"]
    assert (progress["download_progress_step"], progress["notification_status"]) == (3, "Executed-Success")
    assert threshold["threshold"] == 80 and threshold["iccid"] == iccid and threshold["subscription_id"] == subscription
    assert end["current_balance"] == 0
    assert there.got[0].json == there.got[1].json  # the same at every attempt
    logged(hooked, rf"event=notification.delivery iccid={iccid} partner=\d+ type=USAGE_THRESHOLD")
    assert "p@ss" not in hooked.log_text() and "p%40ss" not in hooked.log_text() and expected not in hooked.log_text()


# ---- crashes ----

def in_order(sequences, first):
    """Each event came, and for the first time after all before it."""
    expected = first
    for s in sequences:
        assert s <= expected, f"{s} came before {expected}"
        expected = max(expected, s + 1)
    return expected - first


def test_kill_9_loses_and_reorders_nothing(new_demo, receiver):
    there, flaky = receiver(), receiver()
    server = new_demo(*OPTIONS, "-o", QUICK)
    api = Api(server)
    before = newest(api)
    add(api, there.url())
    add(api, flaky.url())
    for round_ in range(4):
        api = Api(server)
        wanted = len(there.got) + 1 + 2 * round_
        flaky.script.extend([Answer(500), Answer(503)])
        for _ in range(3):
            assert api.post("/v2/orders", order_body()).status_code == 202
        wait_for(lambda: len(there.got) >= wanted, what="deliveries to be on their way")
        server.kill()
        server.start()
    api = Api(server)
    wait_for(lambda: (n := newest(api)) == newest(api) and n in there.sequences() and n in flaky.sequences(), what="the last event")
    last = newest(api)
    assert in_order(there.sequences(), before + 1) == last - before
    assert in_order(flaky.sequences(), before + 1) == last - before
    ids = {}
    for g in there.got:
        assert ids.setdefault(g.json["sequence"], g.headers["webhook-id"]) == g.headers["webhook-id"]


def test_a_stop_waits_for_what_is_on_its_way_and_nothing_comes_twice(new_demo, receiver):
    release = threading.Event()
    there = receiver(Answer(hold=release))
    server = new_demo(*OPTIONS)
    api = Api(server)
    before = newest(api)
    add(api, there.url())
    happen(api)
    told = [e["sequence"] for e in events_after(api, before)]
    wait_for(lambda: len(there.got) == 1, what="the first delivery")
    threading.Timer(0.3, release.set).start()
    assert server.stop() == 0
    server.start()
    wait_for(lambda: len(there.got) >= len(told), what="the rest")
    assert there.sequences() == told
