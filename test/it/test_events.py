# SPDX-License-Identifier: Apache-2.0
"""A partner's events by page, by long poll and as a stream: nothing missed, nothing twice, in order; and what it costs to wait."""
import concurrent.futures
import contextlib
import json
import pathlib
import re
import resource
import selectors
import signal
import socket
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests

import contract
from conftest import BUILD, ESIM_PRODUCT, Api, order_body, sandbox_api, wait_for


class Stream:
    """Server-sent events from a raw socket, so that a test can be a bad client. Parsed as the standard says, as far as the server goes."""

    def __init__(self, api, path="/v2/events", last_event_id=None, small=False):
        address = urlsplit(api.server.url)
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(60)
        self.socket.connect((address.hostname, address.port))
        headers = [f"GET {address.path}{path} HTTP/1.1", f"Host: {address.netloc}", "Accept: text/event-stream",
                   f"Authorization: {api.session.headers['Authorization']}"]
        if last_event_id is not None:
            headers.append(f"Last-Event-ID: {last_event_id}")
        self.socket.sendall("\r\n".join([*headers, "", ""]).encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.last_id, self.comments, self.ended = None, 0, False
        self.events = self.parsed()

    def lines(self):
        rest = b""
        while True:
            size = int(self.file.readline() or b"-1", 16)
            if size <= 0:
                self.ended = size == 0
                return
            rest += self.file.read(size)
            self.file.read(2)
            *whole, rest = rest.split(b"\n")
            yield from (line.decode() for line in whole)

    def parsed(self):
        event = {}
        for line in self.lines():
            if not line:
                if "data" in event:
                    assert event["id"] == str(event["data"]["sequence"]) and event["event"] == event["data"]["type"]
                    yield event["data"]
                event = {}
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "":
                self.comments += 1
            elif name == "data":
                event["data"] = json.loads(value)
            else:
                event[name] = value
            if name == "id":
                self.last_id = value

    def take(self, n):
        events = []
        for event in self.events:
            events.append(event)
            if len(events) == n:
                break
        return events

    def close(self):
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def streaming(*args, **kwargs):
    stream = Stream(*args, **kwargs)
    try:
        yield stream
    finally:
        stream.close()


def all_events(api, path="/v2/events?limit=1000"):
    events = []
    while True:
        page = api.get(path).json()
        if not page["data"]:
            return events
        events += page["data"]
        path = page["_metadata"]["links"]["_next"]


def place(api):
    """An order, its end, and the end of what it made, since a SIM takes fifteen at a time: four events. Returns the order's id."""
    order = api.post("/v2/orders", order_body())
    assert order.status_code == 202, order.text
    ended = api.get(f"/v2/orders/{order.json()['id']}?wait=30").json()
    assert ended["status"] == "COMPLETED"
    assert api.post(f"/v2/subscriptions/{ended['output']['subscription_id']}/expire").status_code == 200
    return ended["id"]


def place_many(server, threads, each):
    """The same from several threads at once."""
    token = server.token()

    def one(_):
        api = Api(server, token)
        return [place(api) for _ in range(each)]

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return [order_id for part in pool.map(one, range(threads)) for order_id in part]


def newest(api):
    return api.get("/v2/events?limit=1&after=latest").json()["_metadata"]["newest"]


# ---- the log ----

def test_sequences_have_no_gaps_whoever_writes_at_once(demo, api):
    ids = place_many(demo, 8, 20)
    events = all_events(api)
    assert len(events) == 4 * len(ids)
    assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))
    assert len({e["id"] for e in events}) == len(events)
    for order_id in ids:
        own = [e["type"] for e in events if e["type"].startswith("order.") and e["data"]["id"] == order_id]
        assert own == ["order.accepted", "order.completed"]
    assert all_events(api) == events, "what was told once is told the same way for ever"
    some = all_events(api, "/v2/events?limit=7&type=order.completed,subscription.*")
    assert some == [e for e in events if e["type"] == "order.completed" or e["type"].startswith("subscription.")]
    completed = [e for e in events if e["type"] == "order.completed"]
    assert api.get(f"/v2/orders/{completed[0]['data']['id']}").json() == completed[0]["data"]


def test_a_cursor_is_told_when_it_is_wrong(api):
    last = newest(api)
    for query, status in ((f"after={last + 1}", 400), ("after=-1", 400), ("type=nothing", 400), ("limit=1001", 400), (f"after={last}", 200)):
        assert api.get(f"/v2/events?{query}").status_code == status, query


# ---- streams ----

def test_a_stream_is_resumed_where_it_broke_off(demo, api):
    place_many(demo, 2, 5)
    with streaming(api) as stream:
        assert stream.status == 200 and stream.headers["content-type"] == "text/event-stream"
        seen = stream.take(7)
        # it dies in the middle of whatever the server is sending
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    place_many(demo, 2, 5)
    end = newest(api)
    while len(seen) < end:
        with streaming(api, last_event_id=seen[-1]["sequence"]) as stream:
            seen += stream.take(min(11, end - len(seen)))
    assert seen == all_events(api)


def test_two_readers_see_the_same_as_it_happens(demo, api):
    begin = newest(api)
    told = {0: [], 1: []}
    ready = threading.Barrier(3)

    def read(i, path, n):
        with streaming(Api(demo), path) as stream:
            ready.wait()
            told[i] = stream.take(n)

    threads = [threading.Thread(target=read, args=(0, f"/v2/events?after={begin}", 30)),
               threading.Thread(target=read, args=(1, f"/v2/events?after={begin}&type=order.*", 20))]
    for thread in threads:
        thread.start()
    ready.wait()
    assert api.order(iccid=None, operation="ACTIVATION", sim_type="ESIM", product=ESIM_PRODUCT)["status"] == "COMPLETED"
    place_many(demo, 1, 10)
    for thread in threads:
        thread.join(60)
    all_of_them = all_events(api, f"/v2/events?after={begin}")
    assert told[0] == all_of_them[:30]
    assert told[1] == [e for e in all_of_them if e["type"].startswith("order.")][:20]


def test_a_slow_reader_holds_up_nobody(demo, api):
    place_many(demo, 8, 40)
    with streaming(api, small=True) as slow:
        before = memory(demo)
        others = [Stream(api) for _ in range(10)]
        end = newest(api)
        begun = time.monotonic()
        for other in others:
            assert [e["sequence"] for e in other.take(end)] == list(range(1, end + 1))
            other.close()
        assert api.get("/v2/products").elapsed.total_seconds() < 5
        assert time.monotonic() - begun < 60
        costs_at_most(demo, 64, before)
        assert [e["sequence"] for e in slow.take(end)] == list(range(1, end + 1)), "and it misses nothing"


def nobody_waits(server, api):
    """Streams whose clients have left end when there is something to say; or at their next heartbeat."""
    place(api)
    wait_for(lambda: metric(server, "topupd_waiting") == 0, 20, "the end of all that wait")


def test_what_a_client_that_left_held_is_given_back(demo, api):
    nobody_waits(demo, api)
    streams = [Stream(api, "/v2/events?after=latest") for _ in range(20)]
    wait_for(lambda: metric(demo, "topupd_waiting") == 20, 10, "20 streams that wait")
    for stream in streams:
        stream.close()
    nobody_waits(demo, api)


# ---- waiting ----

def metric(server, name):
    text = requests.get(server.env["TOPUP_SERVER"] + "/metrics", timeout=30).text
    return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))


def status_of(server, name):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1))


def memory(server):
    return status_of(server, "VmRSS") << 10


def costs_at_most(server, limit, before):
    """Holds what the server has taken since to a limit in MiB; under a sanitizer memory says nothing."""
    if "san.so" not in pathlib.Path(f"/proc/{server.process.pid}/maps").read_text():
        assert memory(server) - before <= limit << 20, f"{(memory(server) - before) >> 20} MiB"


def test_an_order_is_answered_as_soon_as_it_ends(new_demo, tmp_path):
    script = tmp_path / "script"
    script.write_text("* START * *: late 700ms\n")
    api = Api(new_demo("-o", "network=fake", "-o", f"network_script={script}", "-o", "rate_per_minute=0"))
    took = []
    for i in range(5):
        order = api.post("/v2/orders", order_body()).json()
        begun = time.monotonic()
        answer = api.get(f"/v2/orders/{order['id']}", headers={"Prefer": "wait=30"}) if i % 2 else api.get(f"/v2/orders/{order['id']}?wait=30")
        took.append(time.monotonic() - begun)
        assert answer.json()["status"] == "COMPLETED"
        assert answer.headers.get("Preference-Applied") == ("wait=30" if i % 2 else None)
    assert min(took) < 0.8, "within 100 ms of its end"
    order = api.post("/v2/orders", order_body()).json()
    begun = time.monotonic()
    for i in range(4):  # the time is over before the order
        if api.get(f"/v2/orders/{order['id']}?wait=0").json()["status"] == "FULFILLING":
            break
        time.sleep(0.01)
    timeline = api.get(f"/v2/orders/{order['id']}/timeline").json()["data"]
    assert timeline[0]["text"] == "The order was accepted."
    api.get(f"/v2/orders/{order['id']}?wait=30")
    timeline = api.get(f"/v2/orders/{order['id']}/timeline").json()["data"]
    assert [m["outcome"] for m in timeline] == ["ACCEPTED", "DONE", "COMPLETED"] and timeline[1]["peer"] == "fake"


def test_a_poll_waits_its_time_and_no_longer(api):
    begun = time.monotonic()
    answer = api.get("/v2/events?after=latest&wait=1")
    assert answer.json()["data"] == [] and 1 <= time.monotonic() - begun < 20  # a poll may ask for 60


@contextlib.contextmanager
def many_files(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n), max(hard, n)))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_five_thousand_polls_are_answered_when_the_event_comes(demo, api):
    polls = 5000
    address = urlsplit(demo.url)
    nobody_waits(demo, api)
    path = f"{address.path}/v2/events?after={newest(api)}&type=order.completed&wait=60"
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {api.session.headers['Authorization']}\r\n\r\n".encode()
    threads = status_of(demo, "Threads")
    held = []
    with many_files(polls + 500):
        try:
            for _ in range(polls):
                held.append(socket.create_connection((address.hostname, address.port), timeout=60))
                held[-1].sendall(request)
            wait_for(lambda: metric(demo, "topupd_waiting") >= polls, 60, "all of them waiting")
            assert status_of(demo, "Threads") == threads, "who waits costs memory, not threads"
            place(api)  # others are served meanwhile
            begun = time.monotonic()
            selector = selectors.DefaultSelector()
            answers = {s: b"" for s in held}
            for s in held:
                s.setblocking(False)
                selector.register(s, selectors.EVENT_READ)
            open_ones = polls
            while open_ones and time.monotonic() - begun < 30:
                for key, _ in selector.select(5):
                    answers[key.fileobj] += key.fileobj.recv(65536)
                    if b"\"_next\"" in answers[key.fileobj]:
                        selector.unregister(key.fileobj)
                        open_ones -= 1
            assert open_ones == 0
            for answer in answers.values():
                assert answer.startswith(b"HTTP/1.1 200") and b"order.completed" in answer
        finally:
            for s in held:
                s.close()


def test_a_thousand_idle_streams_cost_little_memory(new_demo):
    server = new_demo("-o", "rate_per_minute=0", "-o", "drain_seconds=60")
    api = Api(server)
    place_many(server, 1, 10)
    with many_files(2000):
        before = memory(server)
        streams = [Stream(api, "/v2/events") for _ in range(1000)]
        try:
            for stream in streams:
                stream.take(30)
            wait_for(lambda: metric(server, "topupd_waiting") == 1000, 30, "all of them idle")
            costs_at_most(server, 64, before)
            place(api)
            for stream in streams:
                assert stream.take(1)
            costs_at_most(server, 64, before)
            # a stop ends them in order, and at once
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 15
            for stream in streams:
                assert len(list(stream.events)) <= 13 and stream.ended, "what was cut off is told after a reconnect"
        finally:
            for stream in streams:
                stream.close()


def test_a_stop_answers_those_who_wait(new_demo):
    server = new_demo("-o", "rate_per_minute=0", "-o", "drain_seconds=60")
    api = Api(server)
    api.order()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        polls = [pool.submit(Api(server).get, "/v2/events?after=latest&wait=60") for _ in range(10)]
        wait_for(lambda: metric(server, "topupd_waiting") == 10, 10, "ten polls")
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert all(poll.result().json()["data"] == [] for poll in polls)
        assert server.process.wait(20) == 0
        assert time.monotonic() - begun < 15
    assert server.stop() == 0


# ---- what is too old ----

def test_who_fell_off_the_end_is_told(new_demo):
    server = new_demo("-o", "rate_per_minute=0")
    operator = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    api = sandbox_api(server)
    psim = next(s["iccid"] for s in api.get("/v2/sandbox/sims?page_size=100").json()["data"] if s["sim_type"] == "PSIM" and s["activated"])
    api.order(iccid=psim)
    old = newest(api)
    assert old >= 3
    changed = operator.call("PATCH", server.env["TOPUP_SERVER"] + "/admin/v1/partners/" + server.env["SANDBOX_CLIENT_ID"],
                            json={"event_days": 2})
    assert changed.status_code == 200, changed.text
    assert api.post("/v2/sandbox/clock", {"advance": "P3D"}).status_code == 200
    api.order(iccid=psim)
    last = newest(api)
    server.stop()
    server.start()  # a round begins with the start
    api = sandbox_api(server)
    wait_for(lambda: api.get("/v2/events?after=1").status_code == 410, 10, "410")
    gone = api.get("/v2/events?after=1")
    assert gone.json()["type"] == "GONE" and f"the oldest that is kept is {old + 1}" in gone.json()["messages"][0]
    with streaming(api, last_event_id=1) as stream:
        assert stream.status == 410
    kept = all_events(api)
    assert [e["sequence"] for e in kept] == list(range(old + 1, last + 1))
    assert api.get(f"/v2/events?after={old}").status_code == 200
    live = Api(server)
    live.order()
    assert live.get("/v2/events").json()["_metadata"]["oldest"] == 1


# ---- the client ----

def test_the_client_follows(demo, api):
    env = {"PATH": "/usr/bin:/bin", "HOME": str(demo.data), **demo.env}
    begin = newest(api)
    listed = subprocess.run([BUILD / "topup", "events", "--after", str(begin - 3), "--json"], env=env, capture_output=True, text=True,
                            timeout=60, check=True)
    assert [json.loads(line)["sequence"] for line in listed.stdout.splitlines()] == [begin - 2, begin - 1, begin]
    table = subprocess.run([BUILD / "topup", "events", "--type", "order.completed", "--limit", "2"], env=env, capture_output=True, text=True,
                           timeout=60, check=True).stdout.splitlines()
    assert len(table) == 3 and table[0].split() == ["SEQUENCE", "TIME", "EVENT", "OF", "CHANGE"] and "ACCEPTED > COMPLETED" in table[1]
    follower = subprocess.Popen([BUILD / "topup", "events", "--follow", "--json", "--type", "order.*"], env=env, stdout=subprocess.PIPE,
                                text=True)
    try:
        wait_for(lambda: metric(demo, "topupd_waiting") >= 1, 10, "the follower")
        order = {"id": place(api)}
        told = [json.loads(follower.stdout.readline()) for _ in range(2)]
        assert [e["type"] for e in told] == ["order.accepted", "order.completed"] and told[1]["data"]["id"] == order["id"]
    finally:
        follower.terminate()
        follower.wait(10)
    shown = subprocess.run([BUILD / "topup", "order", "show", order["id"], "--as", "partner"], env=env, capture_output=True, text=True,
                           timeout=60, check=True).stdout
    assert "The network added the allowance." in shown
