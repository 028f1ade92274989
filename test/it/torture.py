#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Kills the running server at random moments, again and again, and checks that nothing that was acknowledged is lost and nothing happens twice.

  test/it/torture.py [--rounds N] [--seed N] [--from ROUND]      (make torture ROUNDS=... SEED=... FROM=...)

A round: the server is started, clients place orders (each with a key, repeated until it is answered), report usage, read orders and the log, and
a webhook is delivered to; at a random moment the server is killed, sometimes while it is starting, sometimes while it recovers from the last time.
Now and then all is left to come to its end. Then each answer that was ever given is held against the API and against the database, which is read
with the same sentences as in the simulation (test/sim/never.sql), and every event must have been delivered, in order. After EPOCH rounds the data
begins afresh, so that a round costs the same however many there are; to go on from a round means to begin with its epoch. A failure prints how to
do that, and leaves its data.
"""
import argparse
import contextlib
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from conftest import BUILD, ESIM_PRODUCT, ROOT, Api, Demo, iccid_of, order_body, wait_for  # noqa: E402
from receiver import Receiver  # noqa: E402

EPOCH = 10
PROFILES = 4000
ENDS_SECONDS = 120
NETWORKS = ["builtin", "fake"]
# A network that dawdles, doubles and loses answers, so that orders are caught in every state. What recovers meets the mild rules first: a
# task that is hit again after each restart would wait for hours, as it should.
SCRIPT = """
* START * 40: late 200ms
* START * 4: lose
* START * 10: twice 50ms
* START * 2: unavailable
* START * 2: lost-undone
* START * *: late 20ms
"""
MILD = "* START * *: late 5ms\n"
# A task that was under way in several kills, and then met a network that is away, waits for longer than anybody here (core/task.c), as it
# should: its order has not ended. After the first time it has three calls behind it.
PUT_OFF = "SELECT order_id FROM task WHERE state = 1 AND outcome = 3 AND attempts > 3 AND due_at > ?"


def sentences():
    """The views, and (name, query) of what may never be found."""
    parts = re.split(r"^-- never: ", (ROOT / "test/sim/never.sql").read_text(), flags=re.M)
    return parts[0], [part.split("\n", 1) for part in parts[1:]]


class Client(threading.Thread):
    """Repeats what it was not answered, under its key; makes up new requests otherwise. Ends when the server does not answer any more."""

    def __init__(self, torture, number):
        super().__init__()
        self.torture = torture
        self.rng = random.Random(f"{torture.seed}-{torture.round}-{number}")
        self.token = None
        self.failure = None

    def run(self):
        server = self.torture.server
        session = requests.Session()
        session.trust_env = False
        try:
            while not self.torture.stopping.is_set():
                self.turn(session, server)
        except requests.RequestException:
            pass  # it was killed, which is what we are here for
        except Exception as e:  # noqa: BLE001 - told by the main thread
            self.failure = e

    def send(self, session, method, server, path, token, body, **headers):
        return session.request(method, server + path, json=body, timeout=20, headers={"Authorization": "Bearer " + token, **headers})


class Orders(Client):
    def turn(self, session, server):
        t = self.torture
        with t.lock:
            doubt = t.doubts.pop() if t.doubts else None
        number, body = doubt or (t.next_number(), self.make())
        try:
            answer = self.send(session, "POST", server.url, "/v2/orders", t.token, body,
                               **{"Idempotency-Key": f"k-{number}", "X-Correlation-ID": f"t-{number}-"})
        except requests.RequestException:
            with t.lock:
                t.doubts.append((number, body))
            raise
        with t.lock:
            if answer.status_code == 202:
                t.orders[answer.json()["id"]] = number
                t.requests[number] = answer.json()["id"]
            elif answer.status_code in (400, 406, 409):
                t.refused.add(number)
            elif answer.status_code == 503:
                t.doubts.append((number, body))
            else:
                raise AssertionError(f"an order was answered {answer.status_code}: {answer.text}")

    def make(self):
        t = self.torture
        if t.sims and self.rng.random() < 0.5:
            return order_body("TOPUP", "ESIM", ESIM_PRODUCT, self.rng.choice(t.sims))
        return order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None)


class Usage(Client):
    def turn(self, session, server):
        t = self.torture
        with t.lock:
            batch = t.unbooked.pop() if t.unbooked else None
        batch = batch or [{"record_id": str(uuid.UUID(int=self.rng.getrandbits(128))), "iccid": self.rng.choice(t.sims or [iccid_of(7)]),
                           "bytes_up": self.rng.randrange(1 << 16), "bytes_down": self.rng.randrange(1 << 22),
                           "start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "end": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
                          for _ in range(self.rng.randrange(1, 400))]
        try:
            answer = self.send(session, "POST", server.env["TOPUP_SERVER"], "/admin/v1/usage", server.env["TOPUP_ADMIN_TOKEN"],
                               {"source": "cdr", "records": batch})
        except requests.RequestException:
            with t.lock:
                t.unbooked.append(batch)
            raise
        with t.lock:
            if answer.status_code != 200:
                assert answer.status_code == 503, f"usage was answered {answer.status_code}: {answer.text}"
                t.unbooked.append(batch)
                return
            for sent, told in zip(batch, answer.json()["data"]):
                assert told["verdict"] in ("BOOKED", "PARTLY_BOOKED", "UNRATED"), told
                t.records[sent["record_id"]] = (sent["bytes_up"] + sent["bytes_down"], told["unrated_bytes"])


class Reader(Client):
    """Ended orders stay as they are, to a reader too, over all restarts."""

    def turn(self, session, server):
        t = self.torture
        with t.lock:
            order_id = self.rng.choice(list(t.orders)) if t.orders else None
        if not order_id:
            time.sleep(0.001)
            return
        answer = self.send(session, "GET", server.url, "/v2/orders/" + order_id, t.token, None)
        if answer.status_code == 503:
            return
        assert answer.status_code == 200, f"an acknowledged order was answered {answer.status_code}: {answer.text}"
        t.see(order_id, answer.json()["status"])


class Events(Client):
    """Reads the log from where it was, over all restarts: no number is left out, none comes twice, none changes."""

    def turn(self, session, server):
        t = self.torture
        answer = self.send(session, "GET", server.url, f"/v2/events?after={t.read_to}&limit=500&wait=1", t.token, None)
        if answer.status_code == 503:
            return
        assert answer.status_code == 200, f"the log was answered {answer.status_code}: {answer.text}"
        for event in answer.json()["data"]:
            t.read_to += 1
            assert event["sequence"] == t.read_to, f"event {event['sequence']} was read where {t.read_to} was to come"
            t.read[t.read_to] = (event["id"], event["type"])


class Torture:
    def __init__(self, folder, seed, first=0, networks=None, say=lambda text: None):
        self.folder, self.seed, self.say, self.networks = pathlib.Path(folder), seed, say, networks or NETWORKS
        self.lock = threading.Lock()
        self.round = first - first % EPOCH
        self.server = self.receiver = None
        self.views, self.never = sentences()

    # ---- what the clients share ----

    def next_number(self):
        with self.lock:
            self.number += 1
            return self.number

    def see(self, order_id, state):
        with self.lock:
            before = self.states.get(order_id)
            assert before not in ("COMPLETED", "FAILED") or state == before, f"order {order_id} was {before} and is {state}"
            self.states[order_id] = state

    # ---- rounds ----

    def begin_epoch(self):
        self.number, self.doubts, self.unbooked, self.sims = 0, [], [], []
        self.orders, self.requests, self.refused, self.records, self.states = {}, {}, set(), {}, {}
        self.read, self.read_to = {}, 0
        if self.receiver:
            self.receiver.close()
        self.receiver = Receiver()
        self.data = self.folder / f"data-{self.round}"
        network = self.networks[self.round // EPOCH % len(self.networks)]
        self.script = self.folder / "script"
        self.options = ["-o", "rate_per_minute=0", "-o", f"network={network}", "-o", f"network_script={self.script}", "-o", "lease_seconds=3",
                        "-o", "call_timeout_seconds=1", "-o", "log_level=warn",
                        "-o", "webhook_private_targets=1", "-o", "webhook_retry_scale_ppm=10", "-o", "access_token_seconds=86400"]
        self.start()
        self.import_profiles()
        api = Api(self.server)
        self.hooked_after = api.get("/v2/events?after=latest").json()["_metadata"]["newest"]
        assert api.post("/v2/webhooks", {"url": self.receiver.url()}).status_code == 201

    def start(self, script=SCRIPT):
        self.script.write_text(script)
        if self.server:
            self.server.start()
        else:
            self.server = Demo(self.data, self.options)
            self.server.expect_errors = True  # of what was under way when it was killed
        self.token = self.server.token()

    def import_profiles(self):
        operator = Api(self.server, self.server.env["TOPUP_ADMIN_TOKEN"])
        at = self.server.env["TOPUP_SERVER"] + "/admin/v1/sim-imports"
        number = operator.post(at, {"source": "torture"}).json()["id"]
        rows = "iccid,sim_type,matching_id,smdp\n" + "".join(f"{iccid_of(n)},ESIM,T-{n},smdp.example.com\n" for n in range(1000, 1000 + PROFILES))
        for path, data in (("rows", rows), ("judge", None), ("apply", None)):
            answer = operator.call("POST", f"{at}/{number}/{path}", data=data, headers={"Content-Type": "text/csv"} if data else {})
            assert answer.status_code < 300, answer.text

    def run_round(self):
        rng = random.Random(f"{self.seed}-{self.round}")
        if self.server is None:
            self.begin_epoch()
        elif self.server.process.returncode is not None:
            if rng.random() < 0.3:  # killed while it starts, once or twice
                for _ in range(rng.randrange(1, 3)):
                    self.kill_at_start(rng.random() * 0.15)
            self.start()
        self.stopping = threading.Event()
        clients = [Orders(self, 0), Orders(self, 1), Orders(self, 2), Usage(self, 3), Reader(self, 4), Events(self, 5)]
        with self.lock:
            at_least = len(self.orders) + rng.randrange(1, 120)
        for client in clients:
            client.start()
        wait_for(lambda: len(self.orders) >= at_least or any(not c.is_alive() for c in clients), 60, f"{at_least} acknowledged orders")
        time.sleep(rng.random() * 0.05)  # the moment within the work: any will do, it is not waited for
        self.server.kill()
        self.stopping.set()
        for client in clients:
            client.join()
            if client.failure:
                raise client.failure
        self.judge(ended=False)
        last = (self.round + 1) % EPOCH == 0
        if last or rng.random() < 0.4:
            self.start(MILD)
            self.come_to_an_end()
            if last or rng.random() < 0.5:
                assert self.server.stop(30) == 0, "it did not stop cleanly"
                self.judge(ended=True)
            else:
                self.server.kill()
        if last:
            self.server = None
        self.round += 1

    def kill_at_start(self, seconds):
        with open(self.data / "log", "ab") as log:
            process = subprocess.Popen([BUILD / "topupd", "demo", "--listen", "127.0.0.1:0", "--data", self.data, *self.options],
                                       stdout=subprocess.DEVNULL, stderr=log)
        time.sleep(seconds)  # no condition: any moment of the start will do
        process.kill()
        process.wait()

    # ---- judgement ----

    def database(self):
        """A copy: whoever opens the files themselves would recover them before the server can."""
        look = self.folder / "look"
        shutil.rmtree(look, ignore_errors=True)
        look.mkdir()
        for name in ("topupd.db", "topupd.db-wal"):
            if (self.data / name).exists():
                shutil.copyfile(self.data / name, look / name)
        db = sqlite3.connect(look / "topupd.db")
        db.executescript(self.views)
        return db

    def open_orders(self):
        """Of the running server."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'topupd.db'}?mode=ro", uri=True)) as db:
            waited_for = (time.time() + ENDS_SECONDS / 4) * 1000
            return db.execute(f"SELECT count(*) FROM orders WHERE state < 2 AND id NOT IN ({PUT_OFF})", (waited_for,)).fetchone()[0]

    @staticmethod
    def put_off(db):
        return {str(uuid.UUID(bytes=row[0])) for row in db.execute(PUT_OFF, (time.time() * 1000,))}

    def come_to_an_end(self):
        """What is in doubt is asked again; what is accepted ends; then the API is asked for all of it."""
        api = Api(self.server)
        api.session.headers["Authorization"] = "Bearer " + self.token
        for number, body in self.doubts:
            answer = api.call("POST", "/v2/orders", json=body, headers={"Idempotency-Key": f"k-{number}", "X-Correlation-ID": f"t-{number}-"})
            assert answer.status_code in (202, 409, 406), answer.text
            if answer.status_code == 202:
                self.orders[answer.json()["id"]] = number
                self.requests[number] = answer.json()["id"]
            else:
                self.refused.add(number)
        self.doubts = []
        wait_for(lambda: self.open_orders() == 0, ENDS_SECONDS, "the end of all orders")
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'topupd.db'}?mode=ro", uri=True)) as db:
            put_off = self.put_off(db)
        for order_id in list(self.orders):
            if self.states.get(order_id) in ("COMPLETED", "FAILED") and len(self.orders) > 200 and hash(order_id) % 8:
                continue  # of those known to have ended a few are asked again
            order = api.get(f"/v2/orders/{order_id}").json()
            assert order["status"] in ("COMPLETED", "FAILED") or order_id in put_off, order
            self.see(order_id, order["status"])
            if order["status"] == "COMPLETED":
                listed = api.get(f"/v2/subscriptions?iccid={order['output']['iccid']}&page_size=100").json()["data"]
                assert order["output"]["subscription_id"] in [s["id"] for s in listed]
                if order["output"]["iccid"] not in self.sims:
                    self.sims.append(order["output"]["iccid"])
        self.sims = self.sims[-300:]
        self.hear_all(api)

    def hear_all(self, api):
        """Every event has come to the receiver, and for the first time in order; an early one may come again after a kill."""
        last = api.get("/v2/events?after=latest").json()["_metadata"]["newest"]
        wait_for(lambda: last in self.receiver.sequences(), ENDS_SECONDS, f"the delivery of event {last}")
        expected, ids = self.hooked_after + 1, {}
        for got in list(self.receiver.got):
            sequence = got.json["sequence"]
            assert sequence <= expected, f"event {sequence} was delivered before {expected}"
            assert ids.setdefault(sequence, got.json["id"]) == got.json["id"], f"event {sequence} was delivered as another"
            assert self.read.get(sequence, (got.json["id"],))[0] == got.json["id"], f"event {sequence} was delivered otherwise than read"
            expected += sequence == expected
        assert expected > last

    def judge(self, ended):
        """The database by itself, and beside what was answered. The server is not running."""
        db = self.database()
        for what, sql in self.never:
            row = db.execute(sql).fetchone()
            assert row is None, f"{what}: {row[0]}"
        there, put_off = {}, self.put_off(db)
        for order_id, correlation, state in db.execute("SELECT hex(id), correlation_id, state FROM orders"):
            number = int(correlation.split("-")[1])
            assert number not in there, f"request {number} made two orders: {there[number]} and {order_id}"
            there[number] = str(uuid.UUID(order_id))
            assert number not in self.refused, f"request {number} was refused, and order {order_id} is there"
            assert not ended or state >= 2 or there[number] in put_off, f"order {order_id} has not ended"
        for number, order_id in self.requests.items():
            assert there.get(number) == order_id, f"request {number} was acknowledged as {order_id} and is there as {there.get(number)}"
        records = {r: (total, unrated) for r, total, unrated in
                   db.execute("SELECT record_id, bytes_up + bytes_down, unrated_bytes FROM usage_record WHERE source = 'cdr'")}
        for record_id, told in self.records.items():
            assert records.get(record_id) == told, f"record {record_id} was answered {told} and is there as {records.get(record_id)}"
        if ended:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("PRAGMA foreign_key_check").fetchone() is None
        db.close()
        self.say(f"round {self.round}: {len(self.orders)} orders, {len(self.records)} records, {len(self.doubts)} in doubt")

    def close(self):
        if self.receiver:
            self.receiver.close()
        if self.server and self.server.process.returncode is None:
            self.server.process.kill()
            self.server.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--from", type=int, default=0, dest="first")
    a = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="topupd-torture-")
    torture = Torture(folder, a.seed, a.first, say=print)
    print(f"torture: seed {a.seed}, data in {folder}", flush=True)
    end = a.first + a.rounds
    try:
        while torture.round < end:
            torture.run_round()
    except BaseException:
        print(f"torture: stopped in round {torture.round}; to go on: make torture SEED={a.seed} FROM={torture.round} "
              f"ROUNDS={end - torture.round}", flush=True)
        raise
    finally:
        torture.close()
    print(f"torture: {a.rounds} rounds, all well")


if __name__ == "__main__":
    main()
