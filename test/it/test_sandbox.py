# SPDX-License-Identifier: Apache-2.0
"""The sandbox: apart from what is live, failing and dawdling as its table says, a clock that is turned, and beginning afresh."""
import concurrent.futures
import contextlib
import datetime
import os
import random
import re
import socket
import sqlite3
import time

import pytest
import requests

from conftest import ESIM_PRODUCT, POSTGRES, PRODUCT, ROOT, Api, Demo, iccid_of, new_sandbox, order_body, sandbox_api, wait_for

DAYS_30 = "sandbox-30-days-000000000000000000000000000="


def date(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def all_sims(api, query=""):
    sims, page = [], 1
    while True:
        answer = api.get(f"/v2/sandbox/sims?page_size=100&page={page}{query}").json()
        sims += answer["data"]
        if page >= answer["_metadata"]["page_count"]:
            return sims
        page += 1


def log_of(server, client_id):
    """The partner's events as the store has them: sequence, type, instant, order."""
    return server.rows("SELECT e.sequence, e.type, e.created, e.order_id FROM event e JOIN partner p ON p.id = e.partner_id"
                       f" WHERE p.client_id = '{client_id}' ORDER BY e.sequence")


# ---- who ----

def test_the_demo_has_a_sandbox_beside_the_live_partner(demo):
    sandbox, live = sandbox_api(demo), Api(demo)
    assert demo.env["SANDBOX_CLIENT_ID"] != demo.env["CLIENT_ID"]
    names = {p["name"] for p in live.get("/v2/products?page_size=100").json()["data"]}
    own = {p["name"]: p for p in sandbox.get("/v2/products?page_size=100").json()["data"]}
    assert names < set(own), "the catalogue is the live one's, and more"
    assert sum(name.startswith("Sandbox: ") for name in own) == 8
    sims = all_sims(sandbox)
    assert {(s["sim_type"], s["activated"]) for s in sims} == {("PSIM", True), ("PSIM", False), ("ESIM", False)}
    assert sandbox.order(iccid=next(s["iccid"] for s in sims if s["activated"]))["status"] == "COMPLETED"


def test_a_live_partner_is_kept_out(api):
    for method, path, body in [("GET", "/v2/sandbox/clock", None), ("POST", "/v2/sandbox/clock", {"advance": "P1D"}),
                               ("GET", "/v2/sandbox/sims", None), ("POST", "/v2/sandbox/sims", {"sim_type": "PSIM"}),
                               ("POST", "/v2/sandbox/sims/8944472600000510740/usage", {"bytes_down": 1}),
                               ("POST", "/v2/sandbox/sims/8944472600000510740/download-progress", {"step": "INSTALLED"}),
                               ("DELETE", "/v2/sandbox/data", None)]:
        answer = api.call(method, path, json=body)
        assert answer.status_code == 403 and answer.json()["type"] == "ACCESS_DENIED", path


# ---- apart from what is live ----

def test_nothing_of_it_touches_what_is_live(new_demo, tmp_path):
    script = tmp_path / "script"
    script.write_text("* * * *: refuse\n")  # the live network: it would refuse everything
    server = new_demo("-o", "network=fake", "-o", f"network_script={script}", "-o", "rate_per_minute=0")
    live, sandbox = Api(server), sandbox_api(server)

    def stock():
        return server.rows("SELECT count(*) FROM sim WHERE partner_id IS NULL AND service = 0")[0][0]

    before = stock()
    psim = next(s["iccid"] for s in all_sims(sandbox, "&sim_type=PSIM") if s["activated"])
    assert sandbox.order(iccid=psim)["status"] == "COMPLETED"
    profiles = sum(not s["activated"] for s in all_sims(sandbox, "&sim_type=ESIM"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda _: sandbox_api(server).order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None)),
                              range(profiles + 1)))
    states = sorted(o["status"] for o in ended)
    assert states == ["COMPLETED"] * profiles + ["FAILED"], "one more than it has: the operator's stock is not for it"
    assert stock() == before
    assert live.order()["status"] == "FAILED", "the live network refuses"

    # each other's SIMs and orders
    assert live.get(f"/v2/sims/{psim}").status_code == 403
    assert live.get(f"/v2/orders/{ended[0]['id']}").status_code == 403
    assert sandbox.post("/v2/sandbox/sims/8944472600000510740/usage", {"bytes_down": 1}).status_code == 403
    # its clock is its own
    sandbox.post("/v2/sandbox/clock", {"advance": "P1Y"})
    assert abs(date(live.post("/v2/orders", order_body()).json()["created_date"]).timestamp() - time.time()) < 60


def test_two_sandboxes_know_nothing_of_each_other(demo):
    one, two = new_sandbox(demo, "apart-one"), new_sandbox(demo, "apart-two")
    assert {s["iccid"] for s in all_sims(one)}.isdisjoint(s["iccid"] for s in all_sims(two))
    one.post("/v2/sandbox/clock", {"advance": "P10D"})
    assert two.get("/v2/sandbox/clock").json()["ahead_seconds"] == 0
    theirs = all_sims(two)[0]["iccid"]
    assert one.post(f"/v2/sandbox/sims/{theirs}/usage", {"bytes_down": 1}).status_code == 403
    assert one.post("/v2/orders", order_body(product=DAYS_30, iccid=theirs)).status_code == 403
    assert one.delete("/v2/sandbox/data").status_code == 204
    assert len(all_sims(two)) == 65


# ---- the table ----

# row of docs/sandbox.md -> how an order ends, after at least and at most so many seconds
OUTCOMES = {"refused": ("FAILED", 0, 3), "slow": ("COMPLETED", 4.5, 9), "unsure_done": ("COMPLETED", 1.5, 6),
            "unsure_not_done": ("COMPLETED", 1.5, 6)}


def table():
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (?:`([^`]+)`|-) \|", (ROOT / "docs/sandbox.md").read_text(), re.M)
    return {word: (product, None if iccid == "" else iccid) for word, product, iccid in rows}


def test_each_row_of_the_table(demo):
    rows = table()
    assert set(rows) == set(OUTCOMES) | {"no_profile"}
    made = new_sandbox(demo, "table")
    tokens = made.session.headers["Authorization"].split()[1]

    def client():
        return Api(demo, tokens)

    def rehearse(case):
        word, kind, fields = case
        api, began = client(), time.monotonic()
        accepted = api.post("/v2/orders", order_body(**fields))
        assert accepted.status_code == 202, accepted.text
        order_id, states = accepted.json()["id"], set()

        def ended():
            order = api.get(f"/v2/orders/{order_id}").json()
            states.add(order["status"])
            return order if order["status"] in ("COMPLETED", "FAILED") else None

        order = wait_for(ended, 30)
        status, least, most = OUTCOMES[word]
        took = time.monotonic() - began
        assert order["status"] == status and least <= took <= most, (word, kind, order, took)
        assert "FULFILLING" in states or least == 0, (word, kind, states)
        if status == "FAILED":
            assert "refused" in order["messages"][0]
        return True

    cases = []
    for word, (product, iccid) in rows.items():
        if word == "no_profile":
            continue
        fresh = made.post("/v2/sandbox/sims", {"sim_type": "PSIM", "activated": True}).json()["data"][0]["iccid"]
        cases.append((word, "product, top-up", {"product": product, "iccid": fresh}))
        cases.append((word, "product, eSIM", {"operation": "ACTIVATION", "sim_type": "ESIM", "product": product, "iccid": None}))
        for sim_type in ("PSIM", "ESIM"):
            sim = made.post("/v2/sandbox/sims", {"sim_type": sim_type, "activated": True, "behaviour": word}).json()["data"][0]
            assert sim["behaviour"] == word and re.fullmatch(iccid.replace("N", "[0-9]").replace(" ", "").replace("C", "[0-9]"), sim["iccid"])
            cases.append((word, f"SIM, {sim_type}", {"product": DAYS_30, "sim_type": sim_type, "iccid": sim["iccid"]}))
        plastic = made.post("/v2/sandbox/sims", {"sim_type": "PSIM", "behaviour": word}).json()["data"][0]["iccid"]
        cases.append((word, "SIM, activation", {"operation": "ACTIVATION", "product": DAYS_30, "iccid": plastic}))
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        assert all(pool.map(rehearse, cases))

    product, _ = rows["no_profile"]
    order = made.order(body=order_body("ACTIVATION", "ESIM", product, None))
    assert order["status"] == "FAILED" and order["messages"] == ["no eSIM profile in stock"]
    fresh = made.post("/v2/sandbox/sims", {"sim_type": "PSIM", "activated": True}).json()["data"][0]["iccid"]
    assert made.order(product=product, iccid=fresh)["status"] == "COMPLETED"


def test_the_start_has_a_sim_for_each_behaviour(demo):
    sims = all_sims(new_sandbox(demo, "start"))
    assert {s["behaviour"] for s in sims if s["activated"]} == {"as_usual"} | set(OUTCOMES)
    assert all(s["behaviour"] == "as_usual" for s in sims if not s["activated"])


# ---- the clock ----

def place_many(server, token, iccids, each, **fields):
    """`each` orders on each SIM, several SIMs at a time."""
    def place(iccid):
        api = Api(server, token)
        ids = []
        for i in range(each):
            answer = api.post("/v2/orders", order_body(product=DAYS_30, iccid=iccid, **{k: v(i) for k, v in fields.items()}))
            assert answer.status_code == 202, answer.text
            ids.append(answer.json()["id"])
        return ids

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [i for ids in pool.map(place, iccids) for i in ids]


def many_plans(server, name, sims, each):
    """A sandbox with plans that begin on the 1st and end on the 31st day of one month after the other."""
    api = new_sandbox(server, name)
    token = api.session.headers["Authorization"].split()[1]
    iccids = []
    while len(iccids) < sims:
        made = api.post("/v2/sandbox/sims", {"sim_type": "PSIM", "activated": True, "count": min(100, sims - len(iccids))})
        iccids += [s["iccid"] for s in made.json()["data"]]
    now = date(api.get("/v2/sandbox/clock").json()["now"])
    orders = place_many(server, token, iccids, each,
                        activation_date=lambda i: (now + datetime.timedelta(days=10 + 20 * i)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return api, orders


def check_lives(server, name, orders, whole=True):
    """Each plan began and ended at most once, in order, at its own instant; the log has no gap."""
    events = log_of(server, name)
    assert [e[0] for e in events] == list(range(1, len(events) + 1))
    timed = [e for e in events if e[1] in (11, 14)]
    assert [e[2] for e in timed] == sorted(e[2] for e in timed), "in order of the instants"
    began = [e[3] for e in timed if e[1] == 11]
    ended = [e[3] for e in timed if e[1] == 14]
    assert len(set(began)) == len(began) and len(set(ended)) == len(ended), "once"
    if whole:
        assert len(began) == len(ended) == len(orders)
    return len(timed)


def test_a_clock_over_400_days_with_many_plans(demo):
    api, orders = many_plans(demo, "many", 60, 15)
    began = time.monotonic()
    moved = api.post("/v2/sandbox/clock", {"advance": "P400D"})
    assert moved.status_code == 200, moved.text
    assert time.monotonic() - began < 30
    assert 0 <= 400 * 86400 - moved.json()["ahead_seconds"] < 30, "the real time went on meanwhile"
    check_lives(demo, "many", orders)
    left = api.get("/v2/subscriptions?status=EXPIRED").json()["_metadata"]["page_count"]
    assert left == len(orders) / 10


def test_a_call_that_comes_while_the_clock_moves(demo):
    api, orders = many_plans(demo, "busy", 40, 15)
    token = api.session.headers["Authorization"].split()[1]

    def move(_):
        return Api(demo, token).post("/v2/sandbox/clock", {"advance": "P100D"}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(move, range(8)))
    assert set(codes) <= {200, 409} and 200 in codes
    ahead = api.get("/v2/sandbox/clock").json()["ahead_seconds"] / 86400
    assert round(ahead) == 100 * codes.count(200)
    check_lives(demo, "busy", orders, whole=False)


def test_the_clock_waits_for_a_slow_order(demo):
    api = new_sandbox(demo, "waits")
    sim = next(s["iccid"] for s in all_sims(api) if s["behaviour"] == "slow")
    accepted = api.post("/v2/orders", order_body(product=DAYS_30, iccid=sim)).json()
    began = time.monotonic()
    assert api.post("/v2/sandbox/clock", {"advance": "P31D"}).status_code == 200
    assert time.monotonic() - began > 3
    order = api.get(f"/v2/orders/{accepted['id']}").json()
    assert order["status"] == "COMPLETED"
    plan = api.get(order["_metadata"]["links"]["_subscription"]).json()
    assert plan["status"] == "EXPIRED" and date(plan["activation_date"]) - date(order["created_date"]) < datetime.timedelta(seconds=30)


def test_a_clock_that_is_left_alone_goes_on(demo):
    api = new_sandbox(demo, "alone")
    api.post("/v2/sandbox/clock", {"advance": "P50D"})
    sim = next(s["iccid"] for s in all_sims(api) if s["activated"])
    soon = date(api.get("/v2/sandbox/clock").json()["now"]) + datetime.timedelta(seconds=3)
    order = api.order(iccid=sim, product=DAYS_30, activation_date=soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
    link = order["_metadata"]["links"]["_subscription"]
    seen = api.get(link).json()["status"]
    assert seen == "PENDING" or date(api.get("/v2/sandbox/clock").json()["now"]) >= soon
    wait_for(lambda: api.get(link).json()["status"] == "ACTIVE", what="the activation")


def test_a_restart_in_the_middle_of_an_advance(tmp_path):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    server = Demo(tmp_path / "demo", ["-o", "rate_per_minute=0"])
    try:
        for round_number in range(4):
            name = f"restart-{round_number}"
            api, orders = many_plans(server, name, 60, 15)
            keep = Api(server, server.env["TOPUP_ADMIN_TOKEN"]).call("PATCH", f"/admin/v1/partners/{name}", json={"event_days": 3650})
            assert keep.status_code == 200, keep.text  # a server drops old events soon after its start, and 400 days make them old
            before = api.get("/v2/sandbox/clock").json()["now"]
            target = (date(before) + datetime.timedelta(days=400)).strftime("%Y-%m-%dT%H:%M:%SZ")
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                moving = pool.submit(api.post, "/v2/sandbox/clock", {"now": target})
                time.sleep(rng.random() * 0.1)  # where in the chain of jobs it dies is chance
                server.kill()
                try:
                    moving.result()
                except requests.ConnectionError:  # it went with the server
                    pass
            server.start()
            api = sandbox_api(server, name, api.secret)
            now = api.get("/v2/sandbox/clock").json()["now"]
            assert date(before) <= date(now) <= date(target) + datetime.timedelta(seconds=60)
            check_lives(server, name, orders, whole=False)
            assert all(e[2] / 1000 <= date(now).timestamp() + 1 for e in log_of(server, name)), "nothing happened after what the clock shows"
            again = api.post("/v2/sandbox/clock", {"now": target})
            if again.status_code != 200:  # the clock went on: it is past the target by itself
                assert again.status_code == 409 and date(api.get("/v2/sandbox/clock").json()["now"]) > date(target), again.text
            check_lives(server, name, orders)
    finally:
        server.stop()


# ---- afresh ----

def test_beginning_afresh(demo):
    api = new_sandbox(demo, "afresh")
    start = all_sims(api)
    psim = next(s["iccid"] for s in start if s["activated"])
    esim = api.order(body=order_body("ACTIVATION", "ESIM", DAYS_30, None))["output"]["iccid"]
    order = api.order(product=DAYS_30, iccid=psim, activation_date="2020-01-01T00:00:00Z")
    api.post(f"/v2/sandbox/sims/{psim}/usage", {"bytes_down": 1000, "record_id": "once"})
    api.post(f"/v2/sandbox/sims/{esim}/download-progress", {"step": "INSTALLED"})
    api.put(f"/v2/sims/{psim}/preferences/notifications/USAGE_THRESHOLD", {"webhook_url": "https://hooks.example.com/x"})
    made = api.post("/v2/sandbox/sims", {"sim_type": "ESIM", "count": 5}).json()["data"]
    api.post("/v2/sandbox/clock", {"advance": "P60D"})
    last = log_of(demo, "afresh")[-1][0]
    assert last > 5

    assert api.delete("/v2/sandbox/data").status_code == 204
    assert api.get("/v2/orders").json()["data"] == [] == api.get("/v2/subscriptions").json()["data"]
    assert api.get(f"/v2/orders/{order['id']}").status_code == 404
    assert api.get(f"/v2/sims/{made[0]['iccid']}").status_code == 404
    assert api.get("/v2/sandbox/clock").json()["ahead_seconds"] == 0
    again = all_sims(api)

    def alike(sims):
        return [{k: v for k, v in s.items() if k != "last_modified"} for s in sims]

    assert alike(again) == alike(start)
    assert api.get(f"/v2/sims/{psim}/preferences").json()["notifications"] == []
    assert log_of(demo, "afresh") == []
    gone = api.get("/v2/events?after=1")
    assert gone.status_code == 410 and str(last + 1) in gone.json()["messages"][0], "a reader is told that it missed something"
    assert api.get(f"/v2/events?after={last}").json()["data"] == []

    # and all of it can be done again; numbers of events go on
    assert api.order(product=DAYS_30, iccid=psim)["status"] == "COMPLETED"
    used = api.post(f"/v2/sandbox/sims/{psim}/usage", {"bytes_down": 1000, "record_id": "once"}).json()
    assert used["verdict"] == "BOOKED" and not used["repeated"]
    assert api.get("/v2/events").json()["data"][0]["sequence"] == last + 1


OF_PARTNER = "partner_id = :partner"
OF_SIM = "iccid IN (SELECT iccid FROM sim WHERE partner_id = :partner)"

# Every table of the store: which rows are a partner's, and what beginning afresh does with them. Who adds a table decides here.
#   gone: none is left; kept: all are, as they were; as_new: as many as at the start; NOBODYS: no partner's
NOBODYS = None
TABLES = {
    "meta": NOBODYS,
    "node": NOBODYS,
    "operator_token": NOBODYS,
    "signing_key": NOBODYS,
    "import": NOBODYS,
    "import_row": NOBODYS,  # the operator's; a row names whose a SIM is to be
    "rate": (OF_PARTNER, "uncounted"),  # calls of this minute
    "partner": ("id = :partner", "rewound"),  # its clock
    "partner_secret": (OF_PARTNER, "kept"),
    "partner_sequence": (OF_PARTNER, "kept"),  # numbers of events go on
    "product": (OF_PARTNER, "kept"),
    "webhook": (OF_PARTNER, "rewound"),
    "webhook_secret": (OF_PARTNER, "kept"),
    "sim": (OF_PARTNER, "as_new"),
    "cap": (OF_PARTNER, "gone"),
    "sim_notification": (OF_SIM, "gone"),
    "orders": (OF_PARTNER, "gone"),
    "task": (OF_PARTNER, "gone"),
    "subscription": (OF_PARTNER, "gone"),
    "usage_record": (OF_PARTNER, "gone"),
    "usage_booking": ("usage_id IN (SELECT id FROM usage_record WHERE partner_id = :partner)", "gone"),
    "event": (OF_PARTNER, "gone"),
    "webhook_delivery": (OF_PARTNER, "gone"),
    "notification": (OF_PARTNER, "gone"),
    "idempotency": (OF_PARTNER, "gone"),
}


def rows_of_all_tables(server, client_id):
    with contextlib.closing(sqlite3.connect(f"file:{server.data}/topupd.db?mode=ro", uri=True)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")}
        assert tables == set(TABLES), "a table without a decision (above): what does beginning afresh do with it?"
        for name in tables:
            columns = {column[1] for column in store.execute(f"PRAGMA table_info({name})")}
            assert TABLES[name] or not columns & {"partner_id", "iccid", "order_id"} or name == "import_row", f"{name} has rows of partners"
        ours = {"partner": store.execute("SELECT id FROM partner WHERE client_id = ?", (client_id,)).fetchone()[0]}
        return {name: store.execute(f"SELECT * FROM {name} WHERE {rule[0]} ORDER BY 1, 2", ours).fetchall()
                for name, rule in TABLES.items() if rule}


@pytest.mark.embedded  # the catalogue is SQLite's
def test_beginning_afresh_leaves_nothing_in_any_table(new_demo):
    server = new_demo("-o", "rate_per_minute=0", "-o", "webhook_private_targets=1")
    operator = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    api = new_sandbox(server, "whole")
    assert operator.call("PATCH", "/admin/v1/partners/whole", json={"cap_day": 1000}).status_code == 200
    start = rows_of_all_tables(server, "whole")
    dead = socket.create_server(("127.0.0.1", 0))  # it takes connections, and answers nobody
    url = f"http://127.0.0.1:{dead.getsockname()[1]}/"
    refused = socket.create_server(("127.0.0.1", 0))
    nobody = f"http://127.0.0.1:{refused.getsockname()[1]}/"
    refused.close()
    given = iccid_of(77_000)
    at = server.env["TOPUP_SERVER"] + "/admin/v1/sim-imports"
    number = operator.post(at).json()["id"]
    rows = f"iccid,sim_type,partner\n{given},PSIM,whole\n"
    assert operator.call("POST", f"{at}/{number}/rows", data=rows, headers={"Content-Type": "text/csv"}).status_code == 200
    assert operator.post(f"{at}/{number}/judge").status_code == operator.post(f"{at}/{number}/apply").status_code == 200

    hook = api.post("/v2/webhooks", {"url": nobody}).json()["id"]
    psim = next(s["iccid"] for s in all_sims(api) if s["activated"])
    assert api.order(operation="ACTIVATION", product=DAYS_30, iccid=given)["status"] == "COMPLETED"
    for iccid in (psim, given):
        for kind, to in (("USAGE_THRESHOLD", url), ("SUBSCRIPTION_END", nobody)):
            assert api.put(f"/v2/sims/{iccid}/preferences/notifications/{kind}", {"webhook_url": to}).status_code < 300
    kept = api.post("/v2/orders", order_body(product=DAYS_30, iccid=psim), headers={"Idempotency-Key": "k-1"}).json()["id"]
    assert api.ended(kept)["status"] == "COMPLETED"
    for n, size in enumerate(("5000000000", "500000000", "70000000000")):  # over the threshold; to the end; what nothing can carry
        assert api.post(f"/v2/sandbox/sims/{psim}/usage", {"bytes_down": int(size), "record_id": f"r-{n}"}).status_code == 200
    api.post("/v2/sandbox/clock", {"advance": "P1D"})
    wait_for(lambda: api.get(f"/v2/webhooks/{hook}/deliveries").json()["data"], what="an attempt that failed")
    assert api.post(f"/v2/webhooks/{hook}/test").status_code < 300
    before = rows_of_all_tables(server, "whole")
    empty = [name for name, (_, fate) in ((n, r) for n, r in TABLES.items() if r) if fate != "uncounted" and not before[name]]
    assert set(empty) <= {"task"}, f"the test puts nothing into {empty}"  # an order that ended has none; see below for those in work

    assert api.delete("/v2/sandbox/data").status_code == 204
    after = rows_of_all_tables(server, "whole")
    for name, rule in TABLES.items():
        if rule and rule[1] == "gone":
            assert after[name] == [], name
        elif rule and rule[1] == "kept" and name != "partner_sequence":
            assert after[name] == before[name], name
    assert after["partner_sequence"][0][1] >= before["partner_sequence"][0][1]
    names = ["service", "esim", "activated"]
    with contextlib.closing(sqlite3.connect(f"file:{server.data}/topupd.db?mode=ro", uri=True)) as store:
        of_sim = [column[1] for column in store.execute("PRAGMA table_info(sim)")]
        of_hook = [column[1] for column in store.execute("PRAGMA table_info(webhook)")]
    first = {row[of_sim.index("iccid")]: [row[of_sim.index(c)] for c in names] for row in start["sim"]}
    now = {row[of_sim.index("iccid")]: [row[of_sim.index(c)] for c in names] for row in after["sim"]}
    others = set(now) - set(first)
    assert len(others) == 1 and now[others.pop()] == [0, 0, None], "the operator's SIM is in stock again"
    assert [now[iccid][:2] for iccid in first] == [state[:2] for state in first.values()]
    row = dict(zip(of_hook, after["webhook"][0]))
    assert row["attempts"] == 0 and row["due"] is None and row["failing_since"] is None
    assert row["cursor"] == after["partner_sequence"][0][1] + 1
    dead.close()


def test_beginning_afresh_while_orders_come_in(demo):
    api = new_sandbox(demo, "storm")
    token = api.session.headers["Authorization"].split()[1]
    sims = [s["iccid"] for s in api.post("/v2/sandbox/sims", {"sim_type": "PSIM", "activated": True, "count": 50}).json()["data"]]

    def order(iccid):
        return Api(demo, token).post("/v2/orders", order_body(product=DAYS_30, iccid=iccid)).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        orders = [pool.submit(order, iccid) for iccid in sims * 4]
        resets = [pool.submit(lambda: Api(demo, token).delete("/v2/sandbox/data").status_code) for _ in range(3)]
        assert {f.result() for f in orders} <= {202, 400}, "a SIM that is gone is not known"
        assert {f.result() for f in resets} <= {204, 409}
    wait_for(lambda: all(o["status"] in ("COMPLETED", "FAILED") for o in api.get("/v2/orders?page_size=100").json()["data"]), 30)
    assert api.delete("/v2/sandbox/data").status_code == 204
    assert api.get("/v2/orders").json()["data"] == [] and len(all_sims(api)) == 65
    if not POSTGRES:
        assert demo.rows("PRAGMA foreign_key_check") == []
    assert demo.rows("SELECT count(*) FROM task t JOIN partner p ON p.id = t.partner_id WHERE p.client_id = 'storm'") == [(0,)]


@pytest.mark.parametrize("body", [{"sim_type": "ESIM", "count": 1}, {"sim_type": "PSIM", "count": 100}])
def test_fresh_sims(demo, body):
    api = sandbox_api(demo)
    made = api.post("/v2/sandbox/sims", body).json()["data"]
    assert len({s["iccid"] for s in made}) == body["count"]
    for sim in made:
        digits = [int(c) for c in sim["iccid"]]
        doubled = [d if i % 2 == len(digits) % 2 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits[:-1], 1)]
        total = sum(int(c) if (len(digits) - i) % 2 else sum(divmod(2 * int(c), 10)) for i, c in enumerate(sim["iccid"]))
        assert total % 10 == 0 and len(digits) == 19 and doubled, sim["iccid"]
    listed = {s["iccid"] for s in all_sims(api)}
    assert all(s["iccid"] in listed for s in made)
    if body["sim_type"] == "PSIM":
        order = api.order(body=order_body("ACTIVATION", "PSIM", PRODUCT, made[0]["iccid"]))
        assert order["status"] == "COMPLETED"
