# SPDX-License-Identifier: Apache-2.0
"""Nodes that die, hang and come back, and a database that goes away: what was acknowledged is there once and ends once."""
import collections
import itertools
import signal
import threading
import time
import uuid

import requests

from conftest import iccid_of, order_body, wait_for
from nodes import cluster, postgres  # noqa: F401 (fixtures)

LEASE = ("-o", "lease_seconds=4", "-o", "call_timeout_seconds=2", "-o", "drain_seconds=2")


SIMS = 400  # the rules allow fifteen subscriptions on one
COMPLETED, FAILED = 3, 4  # types of events


def stock(cluster, node):
    """Activated SIMs of the partner."""
    operator = node.operator()
    made = operator.post("/admin/v1/sim-imports", {"source": "failover"}).json()["id"]
    rows = "iccid,sim_type,partner,activated\n" + "".join(f"{iccid_of(5000 + i)},PSIM,{cluster.env['CLIENT_ID']},yes\n" for i in range(SIMS))
    for path, body in ((f"{made}/rows", rows), (f"{made}/judge", None)):
        answer = operator.call("POST", f"/admin/v1/sim-imports/{path}", data=body, headers={"Content-Type": "text/csv"} if body else {})
        assert answer.status_code == 200, answer.text
    assert operator.post(f"/admin/v1/sim-imports/{made}/apply", {}).status_code == 200


class Load:
    """Clients that place orders at any of the nodes, each with a key, and ask again with it, here and there, until there is an answer."""

    def __init__(self, cluster, nodes, clients=4):
        self.cluster, self.nodes, self.tokens = cluster, nodes, {}
        self.accepted = {}  # key: id
        self.refused = []
        self.retried = collections.Counter()
        self.away = {}  # url: until when it is not asked, as a load balancer has it
        self.stop = threading.Event()
        self.turn = itertools.count()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def place(self, session, key, iccid, node):
        if node.url not in self.tokens:
            self.tokens[node.url] = node.token()
        return session.post(node.url + "/v2/orders", json=order_body(iccid=iccid), timeout=3,
                            headers={"Idempotency-Key": key, "Authorization": "Bearer " + self.tokens[node.url]})

    def one(self, session, at):
        key, begun = str(uuid.uuid4()), time.monotonic()
        for tries in itertools.count():
            here = [node for node in self.nodes if self.away.get(node.url, 0) < time.monotonic()] or self.nodes
            node = here[(at + tries) % len(here)]
            assert time.monotonic() - begun < 90, "an order got no answer at any node"
            try:
                answer = self.place(session, key, iccid_of(5000 + at % SIMS), node)
            except (requests.RequestException, AssertionError) as why:
                self.retried[type(why).__name__] += 1
                self.away[node.url] = time.monotonic() + 2
            else:
                if answer.status_code == 202:
                    self.accepted[key] = answer.json()["id"]
                    return
                self.retried[answer.status_code] += 1
                if answer.status_code == 503:
                    assert int(answer.headers["Retry-After"]) >= 1
                if answer.status_code not in (503, 409, 401):
                    self.refused.append((answer.status_code, answer.text))
                    return
            self.stop.wait(0.05)

    def run(self):
        session = requests.Session()
        session.trust_env = False
        try:
            while not self.stop.is_set():
                self.one(session, next(self.turn))
        except Exception as why:  # told by end()
            self.refused.append((None, repr(why)))

    def wait_for(self, n):
        """Until n more orders have been accepted."""
        want = len(self.accepted) + n
        wait_for(lambda: len(self.accepted) >= want or self.refused, 60, f"{n} more orders")

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive()
        assert not self.refused, self.refused[:3]
        return list(self.accepted.values())


def all_ended(cluster, ids, seconds=60):
    """Each order that was acknowledged is there and has ended, once; the log has no gap."""
    wait_for(lambda: cluster.ask("SELECT count(*) FROM orders WHERE state < 2") == [["0"]], seconds, "the end of all orders")
    there = {row[0] for row in cluster.ask("SELECT encode(id, 'hex') FROM orders WHERE state = 2")}
    missing = [order for order in ids if order.replace("-", "") not in there]
    assert not missing, f"{len(missing)} of {len(ids)} acknowledged orders have not completed"
    assert len(set(ids)) == len(ids), "one order for two keys"
    assert cluster.ask("SELECT count(*) FROM orders") == cluster.ask("SELECT count(*) FROM idempotency WHERE state = 1")
    assert cluster.ask("SELECT count(*) FROM orders") == cluster.ask("SELECT count(*) FROM subscription")
    assert not cluster.ask(f"SELECT order_id FROM event WHERE type IN ({COMPLETED}, {FAILED}) GROUP BY order_id HAVING count(*) <> 1")
    assert not cluster.ask("SELECT partner_id FROM event GROUP BY partner_id HAVING max(sequence) <> count(*)")
    assert not cluster.ask("SELECT id FROM task WHERE state IN (0, 1, 2, 3)")


def slow_network(cluster):
    """Calls that are on their way for a while: so whoever dies has some."""
    script = cluster.folder / "script"
    script.write_text("* START * *: late 100ms\n")
    return ("-o", "network=fake", "-o", f"network_script={script}", *LEASE)


def test_one_of_two_is_killed_under_load(cluster):
    options = slow_network(cluster)
    nodes = [cluster.node(*options), cluster.node(*options)]
    stock(cluster, nodes[0])
    load = Load(cluster, nodes)
    load.wait_for(60)
    nodes[0].kill()
    load.wait_for(60)
    nodes[0].start()
    nodes[0].ready()
    load.wait_for(60)
    nodes[1].kill()
    load.wait_for(40)
    ids = load.end()
    all_ended(cluster, ids)
    assert load.retried  # somebody was hit


def test_one_that_hangs_beyond_its_leases_comes_back_late(cluster):
    options = slow_network(cluster)
    nodes = [cluster.node(*options), cluster.node(*options)]
    stock(cluster, nodes[0])
    load = Load(cluster, nodes)
    load.wait_for(60)
    nodes[0].signal(signal.SIGSTOP)
    load.wait_for(60)
    # What it held is another's by now.
    wait_for(lambda: cluster.ask(f"SELECT count(*) FROM task WHERE state = 2 AND lease_owner = {nodes[0].number}") == [["0"]], 60,
             "the end of its leases")
    nodes[0].signal(signal.SIGCONT)
    load.wait_for(60)
    ids = load.end()
    all_ended(cluster, ids)
    assert nodes[0].ready_status() == 200  # it goes on by itself


def test_all_are_restarted_one_by_one(cluster):
    """As in an upgrade. Whoever is told to stop finishes what it has accepted, and clients find another."""
    options = slow_network(cluster)
    nodes = [cluster.node(*options) for _ in range(3)]
    stock(cluster, nodes[0])
    load = Load(cluster, nodes)
    for node in nodes:
        load.wait_for(20)
        assert node.stop() == 0
        load.wait_for(20)
        node.start()
        node.ready()
    load.wait_for(20)
    ids = load.end()
    all_ended(cluster, ids)


def test_the_database_goes_away_and_comes_back(cluster):
    nodes = [cluster.node(*LEASE), cluster.node(*LEASE)]
    stock(cluster, nodes[0])
    load = Load(cluster, nodes)
    for how in (signal.SIGINT, signal.SIGQUIT):
        load.wait_for(100)
        cluster.postgres.stop(how)
        wait_for(lambda: [node.ready_status() for node in nodes] == [503, 503], 60, "503 from /readyz")
        answer = requests.get(nodes[0].url + "/v2/products", headers={"Authorization": "Bearer " + load.tokens[nodes[0].url]}, timeout=60)
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1, answer.text
        assert requests.get(nodes[0].url + "/healthz", timeout=30).status_code == 200
        cluster.postgres.start()
        wait_for(lambda: [node.ready_status() for node in nodes] == [200, 200], 60, "nodes that go on by themselves")
    load.wait_for(100)
    ids = load.end()
    all_ended(cluster, ids)
    assert all(node.process.poll() is None for node in nodes)


def test_connections_are_cut_in_the_middle(cluster):
    """Also at a commit, when nobody knows whether it took place: the key tells."""
    nodes = [cluster.node(*LEASE), cluster.node(*LEASE)]
    stock(cluster, nodes[0])
    load = Load(cluster, nodes)
    for _ in range(15):
        load.wait_for(15)
        cluster.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
    ids = load.end()
    all_ended(cluster, ids)
