# SPDX-License-Identifier: Apache-2.0
"""Several nodes on one store: what one of them does the others know, numbers are one node's, and roles split the work."""
import concurrent.futures
import json
import os
import subprocess
import threading
import time

import requests

from conftest import BUILD, ESIM_PRODUCT, PRODUCT, REALM_PATH, order_body, wait_for
from receiver import Receiver
from nodes import BASE_URL, cluster, postgres  # noqa: F401 (fixtures)


def path_of(link):
    assert link.startswith(BASE_URL)
    return link[len(BASE_URL):]


# ---- roles and numbers ----


def test_roles_split_the_work(cluster):
    api_node = cluster.node(role="api")
    api = api_node.api()
    slow = cluster.folder / "script"
    slow.write_text("")
    order = api.post("/v2/orders", order_body(sim_type="ESIM", product=ESIM_PRODUCT, operation="ACTIVATION", iccid=None))
    assert order.status_code == 202, order.text
    assert api_node.role == "api"

    engine_node = cluster.node(role="engine")
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/v2/orders", 404), ("/admin/v1/status", 404), ("/", 404)):
        assert requests.get(engine_node.url + path, timeout=30).status_code == status, path
    api.ended(order.json()["id"])

    status = api_node.operator().get("/admin/v1/status").json()
    assert status["node"] == api_node.number
    assert [(n["node"], n["role"]) for n in status["nodes"]] == [(1, "api"), (2, "engine")] or \
        {n["role"] for n in status["nodes"]} == {"api", "engine"}
    assert len({n["node"] for n in status["nodes"]}) == len(status["nodes"])


def test_a_number_is_one_nodes(cluster):
    first, second = cluster.node(), cluster.node()
    assert first.number != second.number
    refused = subprocess.run([BUILD / "topupd", "serve", "--store", cluster.location, "--listen", "127.0.0.1:0", "-o", f"node={second.number}"],
                             capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and f"node: {second.number} is the number of a node" in refused.stderr

    # Given back at a stop; a dead process's is free at once on its machine.
    assert second.stop() == 0
    third = cluster.node("-o", f"node={second.number}")
    assert third.number == second.number
    third.kill()
    fourth = cluster.node("-o", f"node={second.number}")
    assert fourth.number == second.number
    # Its row shows who it is now.
    row = cluster.ask(f"SELECT name FROM node WHERE number = {fourth.number}")
    assert row[0][0].endswith(f" {fourth.process.pid}")


def test_many_start_at_once(cluster):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        nodes = list(pool.map(lambda _: cluster.node(), range(4)))
    assert len({node.number for node in nodes}) == 4


# ---- what one node changes the others know ----


def test_a_token_of_one_node_is_good_on_all(cluster):
    first, second = cluster.node(), cluster.node()
    assert second.api(first.token()).get("/v2/orders").status_code == 200
    assert first.api(second.token()).get("/v2/orders").status_code == 200
    # Signed with a key that the other has just made: at once.
    for _ in range(3):
        assert first.operator().post("/admin/v1/keys/rotate").status_code == 201
        token = first.token()
        assert second.api(token).get("/v2/orders").status_code == 200
        # and it may be refreshed there
        pair = requests.post(first.url + REALM_PATH + "/protocol/openid-connect/token", timeout=30,
                             data={"grant_type": "client_credentials", "client_id": cluster.env["CLIENT_ID"], "client_secret": cluster.env["CLIENT_SECRET"]}).json()
        again = requests.post(second.url + REALM_PATH + "/protocol/openid-connect/token", timeout=30,
                              data={"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], "client_id": cluster.env["CLIENT_ID"],
                                    "client_secret": cluster.env["CLIENT_SECRET"]})
        assert again.status_code == 200, again.text
    # and is in the key set that every node shows
    keys = [{key["kid"] for key in requests.get(node.url + REALM_PATH + "/protocol/openid-connect/certs", timeout=30).json()["keys"]}
            for node in (first, second)]
    assert keys[0] == keys[1] and len(keys[0]) >= 4


def test_a_partner_that_is_changed_is_changed_everywhere(cluster):
    first, second = cluster.node(), cluster.node()
    operator, client = first.operator(), cluster.env["CLIENT_ID"]
    on_second = second.api()
    assert on_second.get("/v2/products").status_code == 200
    assert operator.post(f"/admin/v1/partners/{client}/disable").status_code == 200
    wait_for(lambda: on_second.get("/v2/products").status_code == 401, 3, "the partner's end on the other node")
    assert operator.post(f"/admin/v1/partners/{client}/enable").status_code == 200
    wait_for(lambda: on_second.get("/v2/products").status_code == 200, 3, "the partner's return")

    # Its secret, an operator's view of it, its catalogue, its caps.
    secret = operator.post(f"/admin/v1/partners/{client}/rotate-secret", {"overlap_seconds": 0}).json()["client_secret"]
    second.token(secret=secret)
    cluster.env["CLIENT_SECRET"] = secret
    assert operator.call("PATCH", f"/admin/v1/partners/{client}/products/{PRODUCT}", json={"on_sale": False}).status_code == 200
    refused = on_second.post("/v2/orders", order_body())
    assert refused.status_code == 400, refused.text
    assert operator.call("PATCH", f"/admin/v1/partners/{client}/products/{PRODUCT}", json={"on_sale": True}).status_code == 200
    assert on_second.order()["status"] == "COMPLETED"


# ---- one key, many nodes ----


def test_fifty_at_once_on_two_nodes_place_one_order(cluster):
    nodes = [cluster.node(), cluster.node()]
    tokens = [node.token() for node in nodes]

    def place(i):
        return nodes[i % 2].api(tokens[i % 2]).post("/v2/orders", order_body(), headers={"Idempotency-Key": "one-key"})

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(place, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 1
    assert cluster.ask("SELECT count(*) FROM orders") == [["1"]]


# ---- who waits hears of what others do ----


def test_who_waits_on_one_node_hears_of_the_other(cluster):
    first, second = cluster.node(), cluster.node()
    api, waiting = first.api(), second.api()
    last = api.get("/v2/events?after=0").json()

    def poll():
        begun = time.monotonic()
        answer = waiting.get("/v2/events?after=0&wait=30")
        return answer, time.monotonic() - begun

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waits = pool.submit(poll)
        wait_for(lambda: metric(second, "topupd_waiting") == 1, what="the long poll to wait")
        placed = time.monotonic()
        order = api.order()
        answer, _ = waits.result(60)
        assert time.monotonic() - placed < 10
    assert answer.json()["data"], last
    assert any(event["data"].get("id") == order["id"] for event in answer.json()["data"])


def test_a_stream_on_one_node_tells_what_the_other_does(cluster):
    first, second = cluster.node(), cluster.node()
    api = first.api()
    seen = []
    stream = requests.get(second.url + "/v2/events", headers={"Authorization": "Bearer " + second.token(), "Accept": "text/event-stream"}, stream=True, timeout=60)
    assert stream.status_code == 200

    def read():
        try:
            for line in stream.iter_lines():
                if line.startswith(b"data:"):
                    seen.append(json.loads(line[5:]))
        except (requests.RequestException, AttributeError):  # the latter: closed while it reads
            pass

    reader = threading.Thread(target=read)
    reader.start()
    ids = {api.order()["id"] for _ in range(3)}
    wait_for(lambda: {e["data"].get("id") for e in seen} >= ids, 20, "the events of the other node's orders")
    assert [e["sequence"] for e in seen] == list(range(seen[0]["sequence"], seen[0]["sequence"] + len(seen)))
    stream.close()
    second.stop()
    reader.join(30)


def metric(node, name):
    for line in requests.get(node.url + "/metrics", timeout=30).text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return None


def test_an_order_that_is_waited_for_may_end_elsewhere(cluster):
    """The long poll on one order, where the other node fulfils it."""
    first = cluster.node(role="api")
    script = cluster.folder / "script"
    script.write_text("* START * *: late 1s\n")
    engine = cluster.node("-o", "network=fake", "-o", f"network_script={script}", role="engine")
    assert engine.role == "engine"
    api = first.api()
    order = api.post("/v2/orders", order_body())
    assert order.status_code == 202, order.text
    begun = time.monotonic()
    ended = api.get(f"/v2/orders/{order.json()['id']}?wait=30")
    assert ended.json()["status"] in ("COMPLETED", "FAILED") and time.monotonic() - begun < 20


# ---- the archive ----


def test_orders_are_archived_through_any_node(cluster, tmp_path):
    first, second = cluster.node(), cluster.node()
    api, folder = first.api(), tmp_path / "archive"
    ids = []
    for _ in range(5):
        ended = api.order()
        assert api.post(f"/v2/subscriptions/{ended['output']['subscription_id']}/expire").status_code == 200
        ids.append(ended["id"])
    running = api.order()["id"]

    def create():
        env = {**os.environ, "HOME": str(tmp_path), "TOPUP_SERVER": second.url, "TOPUP_ADMIN_TOKEN": cluster.env["TOPUP_ADMIN_TOKEN"]}
        done = subprocess.run([BUILD / "topup", "archive", "create", folder, "--older-than", "0", "--per-file", "2", "--json"], env=env,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["dropped"]

    dropped = 0

    def all_dropped():
        nonlocal dropped
        dropped += create()
        return dropped == 5

    wait_for(all_dropped, 20, "orders to be over and gone")
    for order in ids:
        gone = api.get(f"/v2/orders/{order}")
        assert gone.status_code == 404 and "were archived" in gone.json()["messages"][0]
    assert api.get(f"/v2/orders/{running}").status_code == 200
    assert cluster.ask("SELECT count(*) FROM subscription") == [["1"]]
    found = subprocess.run([BUILD / "topup", "archive", "find", ids[2], folder, "--json"], capture_output=True, text=True, timeout=60)
    assert json.loads(found.stdout)["order"]["id"] == ids[2]


# ---- limits ----


def test_a_rate_limit_is_of_all_nodes_together(cluster):
    limit = 300
    nodes = [cluster.node("-o", f"rate_per_minute={limit}") for _ in range(3)]
    tokens = [node.token() for node in nodes]
    apis = [node.api(token) for node, token in zip(nodes, tokens)]

    # None of this is to straddle two minutes.
    used, reset = 1, int(apis[0].get("/v2/sims").headers["x-rate-limit-reset"]) / 1000
    if reset - time.time() < 40:
        used = 0
        wait_for(lambda: time.time() > reset, 60, "the next minute")
    spread = [0] * 8 + [1, 2]  # uneven

    def call(i):
        return apis[spread[i % 10]].get("/v2/sims")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(2 * limit)))
    accepted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(accepted) + len(refused) == 2 * limit
    assert limit * 0.9 <= len(accepted) + used <= limit, len(accepted)
    assert len({answer.headers["x-rate-limit-reset"] for answer in answers}) == 1
    for answer in refused:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60 and answer.headers["x-rate-limit-remaining"] == "0"


# ---- what a node keeps in memory of what others may change ----


def test_webhooks_are_made_here_and_served_there(cluster):
    receiver = Receiver()
    api_node = cluster.node("-o", "webhook_private_targets=1", role="api")
    cluster.node("-o", "webhook_private_targets=1", role="engine")
    api = api_node.api()
    try:
        hook = api.post("/v2/webhooks", {"url": receiver.url(), "types": ["order.completed"]})
        assert hook.status_code == 201, hook.text
        path = "/v2/webhooks/" + hook.json()["id"]
        first = api.order()["id"]
        wait_for(lambda: [got for got in receiver.got if got.json["data"]["id"] == first], 20, "the first delivery")
        # Changed there, seen here: where to, and whether at all.
        assert api.call("PATCH", path, json={"url": receiver.url("/other")}).status_code == 200
        second = api.order()["id"]
        wait_for(lambda: [got for got in receiver.got if got.path == "/other" and got.json["data"]["id"] == second], 20, "the second, elsewhere")
        assert api.delete(path).status_code == 204
        count = len(receiver.got)
        third = api.order()["id"]
        fourth = api.post("/v2/webhooks", {"url": receiver.url("/third"), "types": ["order.completed"]}).json()["id"]
        assert fourth
        last = api.order()["id"]
        wait_for(lambda: [got for got in receiver.got if got.path == "/third" and got.json["data"]["id"] == last], 20, "a new one's delivery")
        assert not [got for got in receiver.got[count:] if got.json["data"]["id"] == third]
    finally:
        receiver.close()


def test_a_webhook_goes_on_when_the_node_that_serves_it_dies(cluster):
    receiver = Receiver()
    options = ("-o", "webhook_private_targets=1")
    api_node = cluster.node(*options, role="api")
    engine = cluster.node(*options, role="engine")
    api = api_node.api()
    try:
        assert api.post("/v2/webhooks", {"url": receiver.url(), "types": ["order.completed"]}).status_code == 201
        seen = [api.order()["id"]]
        wait_for(lambda: len(receiver.got) >= 1, 20, "the first delivery")
        engine.kill()
        seen += [api.post("/v2/orders", order_body()).json()["id"] for _ in range(3)]  # accepted; they wait for an engine
        # Its number is taken over, and with it what it had: nobody waits for a lease of a dead one.
        heir = cluster.node(*options, role="engine")
        assert heir.number == engine.number
        seen.append(api.order()["id"])
        wait_for(lambda: {got.json["data"]["id"] for got in receiver.got} >= set(seen), 30, "what came after")
        sequences = [got.json["sequence"] for got in receiver.got]
        assert sorted(set(sequences)) == [s for i, s in enumerate(sequences) if s not in sequences[:i]]  # in order, but for repeats
    finally:
        receiver.close()


def test_a_sandboxs_clock_is_moved_on_one_node_at_a_time(cluster):
    first, second = cluster.node(), cluster.node()
    partner = (cluster.env["SANDBOX_CLIENT_ID"], cluster.env["SANDBOX_CLIENT_SECRET"])
    here, there = first.api(first.token(*partner)), second.api(second.token(*partner))
    psim = next(s["iccid"] for s in here.get("/v2/sandbox/sims?page_size=100").json()["data"] if s["sim_type"] == "PSIM" and s["activated"])
    running = []  # not one that waits for its first byte
    for product in here.get("/v2/products?page_size=100").json()["data"]:
        order = here.order(product=product["id"], iccid=psim) if "PSIM" in product["sim_type"] and not running else {"status": None}
        if order["status"] == "COMPLETED":
            shown = here.get("/v2/subscriptions/" + order["output"]["subscription_id"]).json()
            running += [shown["id"]] if shown["status"] == "ACTIVE" else []
    moved = there.post("/v2/sandbox/clock", {"advance": "P400D"})
    assert moved.status_code == 200, moved.text
    ahead = moved.json()["ahead_seconds"]
    assert abs(here.get("/v2/sandbox/clock").json()["ahead_seconds"] - ahead) <= 1
    subscription = here.get("/v2/subscriptions/" + running[0]).json()
    assert subscription["status"] == "EXPIRED"
    # As if the other node were at it, and then as if it had died.
    (number,) = cluster.ask("SELECT id FROM partner WHERE client_id = '" + partner[0] + "'")[0]
    held = cluster.ask(f"SELECT value FROM meta WHERE name = 'sandbox {number}'")
    assert held == [["0"]]
    until = int((time.time() + 3) * 1000)
    cluster.ask(f"UPDATE meta SET value = {until} * 1024 + 900 WHERE name = 'sandbox {number}'")
    assert here.post("/v2/sandbox/clock", {"advance": "P1D"}).status_code == 409
    assert here.delete("/v2/sandbox/data").status_code == 409
    wait_for(lambda: here.post("/v2/sandbox/clock", {"advance": "P1D"}).status_code == 200, 20, "the dead node's hold to end")
    assert there.delete("/v2/sandbox/data").status_code in (200, 204)


def test_a_node_whose_number_went_to_another_ends(cluster):
    node = cluster.node()
    node.lost = True
    cluster.ask(f"UPDATE node SET instance = instance / 2 + 1 WHERE number = {node.number}")
    assert node.process.wait(60) == 1
    assert node.said("node.lost")
