# SPDX-License-Identifier: Apache-2.0
"""
Clients as they should be: each order has a key of its own, and is asked for with it until there is an answer that says yes or no. What has no answer, or
503, is asked again. Beside them one reports usage and one follows each partner's log.
"""
import base64
import collections
import hashlib
import http.client
import json
import random
import threading
import time
import urllib.parse

import checker

TIMEOUT_SECONDS = 8
PAUSE_SECONDS = 0.25  # before something is asked again: shorter than Retry-After, to see when writes go again
TOPUPS_PER_SIM = 8
PSIM_ORDERS = 0.05
TWICE = 0.02  # of the acknowledged orders are asked for once more, as by who did not see the answer
PLANS = [("Cluster small", 30, 50), ("Cluster large", 90, 500)]  # name, days, MB


def iccid_of(number):
    digits = str(894400000000000000 + number)
    odd, even = digits[-1::-2], digits[-2::-2]
    total = sum(sum(divmod(2 * int(d), 10)) for d in odd) + sum(map(int, even))
    return digits + str(-total % 10)


def product_id(name):
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()


class NoAnswer(Exception):
    """Whether the request was served is not known."""


class Http:
    """One connection, made again when it breaks."""

    def __init__(self, url, context=None):
        self.url, self.context, self.connection = urllib.parse.urlsplit(url), context, None

    def call(self, method, path, body=None, headers=()):
        if self.connection is None:
            secure = self.url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self.connection = kind(self.url.hostname, self.url.port, timeout=TIMEOUT_SECONDS, **({"context": self.context} if secure else {}))
        try:
            self.connection.request(method, path, body, dict(headers))
            answer = self.connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as e:
            self.close()
            raise NoAnswer("timeout" if isinstance(e, TimeoutError) else "connection") from e
        if answer.will_close:
            self.close()
        return answer.status, data

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class World:
    """What all clients share: where the server is, what there is to buy, what was asked and answered."""

    def __init__(self, url, context, seed, admin_token, realm_path="/auth/realms/tru-staff"):
        self.url, self.context, self.seed, self.admin_token, self.realm_path = url, context, seed, admin_token, realm_path
        self.lock = threading.Lock()
        self.stopping = threading.Event()  # no new requests; what is under way is brought to its end
        self.started = time.monotonic()
        self.partners = {}  # client id: secret
        self.products = {}  # product id: its bytes
        self.requests, self.usage = {}, {}
        self.followed = collections.defaultdict(list)
        self.sims = collections.defaultdict(list)  # partner: [ICCID, type, top-ups left] of those in service
        self.psims = collections.defaultdict(list)  # partner: those never activated
        self.answers = []  # (when, what): each answer to an order, or how it failed to come

    def now(self):
        return time.monotonic() - self.started

    def note(self, what):
        with self.lock:
            self.answers.append((self.now(), what))

    def answers_between(self, begin, end=float("inf")):
        with self.lock:
            return [(when, what) for when, what in self.answers if begin <= when < end]


class Client(threading.Thread):
    def __init__(self, world, name, partner=None):
        super().__init__(name=name, daemon=True)
        self.world, self.partner = world, partner
        self.http = Http(world.url, world.context)
        self.rng = random.Random(f"{world.seed}-{name}")
        self.token = None
        self.failure = None

    def run(self):
        try:
            self.live()
        except Exception as e:  # noqa: BLE001 - told by the main thread
            self.failure = e
        finally:
            self.http.close()

    def ask(self, method, path, body=None, **headers):
        """Until there is an answer that is no trouble of the server's: (status, answer). JSON is sent, unless the body is a text."""
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        while True:
            if self.partner and not self.token:
                self.token = self.new_token()
            words = {"Authorization": "Bearer " + (self.token or self.world.admin_token), "Content-Type": "application/json", **headers}
            try:
                status, answer = self.http.call(method, path, data, words)
            except NoAnswer as e:
                self.on_trouble(str(e))
            else:
                if status == 401 and self.partner:
                    self.token = None
                    continue
                if status not in (500, 502, 503, 504):
                    return status, json.loads(answer)
                self.on_trouble(str(status))
            time.sleep(PAUSE_SECONDS * (0.5 + self.rng.random()))

    def on_trouble(self, what):
        """An answer that did not come, or did not say yes or no."""

    def new_token(self):
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": self.partner, "client_secret": self.world.partners[self.partner]})
        while True:
            try:
                status, answer = self.http.call("POST", self.world.realm_path + "/protocol/openid-connect/token", form,
                                                {"Content-Type": "application/x-www-form-urlencoded"})
                if status == 200:
                    return json.loads(answer)["access_token"]
                assert status >= 500, f"a token was answered {status}: {answer[:200]}"
            except NoAnswer:
                pass
            time.sleep(PAUSE_SECONDS)


class Orders(Client):
    """Places orders of its partner, `rate` a second when nothing holds it up."""

    def __init__(self, world, name, partner, rate):
        super().__init__(world, name, partner)
        self.rate = rate

    def live(self):
        while not self.world.stopping.is_set():
            began = self.world.now()
            self.order()
            self.world.stopping.wait(max(0, self.rng.expovariate(self.rate) - (self.world.now() - began)))

    def order(self):
        world, body = self.world, self.make()
        with world.lock:
            number = len(world.requests) + 1
            request = world.requests[number] = checker.Request(number, self.partner, body, world.now())
        self.request = request
        words = {"Idempotency-Key": f"key-{world.seed}-{number}", "X-Correlation-ID": checker.correlation(number)}
        status, answer = self.ask("POST", "/v2/orders", body, **words)
        request.attempts += 1
        request.answered = world.now()
        world.note(str(status))
        if status == 202:
            request.ids.add(answer["id"])
            if self.rng.random() < TWICE:
                again, same = self.ask("POST", "/v2/orders", body, **words)
                assert again == 202, f"an acknowledged order was answered {again} when it was asked for again: {same}"
                request.ids.add(same["id"])
        else:
            assert status in (400, 403, 406, 409), f"an order was answered {status}: {answer}"
            request.refused = f"{status} {answer.get('messages')}"

    def on_trouble(self, what):
        if self.request.answered is None:
            self.request.attempts += 1
        self.world.note(what)

    def make(self):
        """A top-up of a SIM in service, or else an activation; a few of them of pSIMs."""
        world = self.world
        body = {"operation_type": "ACTIVATION", "sim_type": "ESIM", "country": "GB", "product": {"id": self.rng.choice(list(world.products))},
                "subscriber": {"email": "subscriber@example.com"}}
        with world.lock:
            sims, psims = world.sims[self.partner], world.psims[self.partner]
            chance = self.rng.random()
            if psims and chance < PSIM_ORDERS:
                body |= {"sim_type": "PSIM", "subscriber": {"email": "subscriber@example.com", "sim": {"iccid": psims.pop()}}}
            elif sims and chance < 0.7:
                at = self.rng.randrange(len(sims))
                iccid, sim_type, left = sims[at]
                sims[at][2] -= 1
                if left == 1:
                    sims[at] = sims[-1]
                    sims.pop()
                body |= {"operation_type": "TOPUP", "sim_type": sim_type, "subscriber": {"sim": {"iccid": iccid}}}
        return body


class Usage(Client):
    """As the operator: a handful of records at a time, the same ones until they are answered."""

    def live(self):
        world, n = self.world, 0
        while not world.stopping.wait(0.2):
            with world.lock:
                known = [sim[0] for sims in world.sims.values() for sim in sims]
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            records = []
            for _ in range(self.rng.randrange(1, 12) if known else 0):
                n += 1
                records.append({"record_id": f"cdr-{world.seed}-{n}", "iccid": self.rng.choice(known), "bytes_up": self.rng.randrange(1 << 16),
                                "bytes_down": self.rng.randrange(1, 1 << 21), "start": now, "end": now})
            if not records:
                continue
            status, answer = self.ask("POST", "/admin/v1/usage", {"source": "cdr", "records": records})
            assert status == 200, f"usage was answered {status}: {answer}"
            with world.lock:
                for sent, told in zip(records, answer["data"]):
                    assert told["verdict"] in ("BOOKED", "PARTLY_BOOKED", "UNRATED"), told
                    world.usage[sent["record_id"]] = (sent["bytes_up"] + sent["bytes_down"], told["unrated_bytes"])


class Follower(Client):
    """Reads a partner's log as it grows; a SIM that is activated there can be topped up."""

    def live(self):
        world, at = self.world, 0
        while not world.stopping.is_set():
            status, answer = self.ask("GET", f"/v2/events?after={at}&limit=500&wait=2")
            assert status == 200, f"the log was answered {status}: {answer}"
            with world.lock:
                for event in answer["data"]:
                    at = event["sequence"]
                    world.followed[self.partner].append({k: event[k] for k in ("sequence", "id", "type")})
                    if event["type"] == "sim.activated":
                        world.sims[self.partner].append([event["data"]["iccid"], event["data"]["sim_type"], TOPUPS_PER_SIM])


def whole_log(world, partner):
    """From the beginning, page by page."""
    reader = Client(world, "reader", partner)
    log, at = [], 0
    while True:
        status, answer = reader.ask("GET", f"/v2/events?after={at}&limit=500")
        assert status == 200, f"the log was answered {status}: {answer}"
        if not answer["data"]:
            reader.http.close()
            return log
        log += answer["data"]
        at = answer["_metadata"]["next_after"]


def furnish(world, partners, profiles, psims):
    """Partners with a catalogue, eSIM profiles and pSIMs in stock, over the operator's API."""
    admin = Client(world, "furnish")
    rows = ["iccid,partner,sim_type,matching_id,smdp"]
    for n, partner in enumerate(partners):
        status, answer = admin.ask("POST", "/admin/v1/partners", {"client_id": partner, "name": partner, "mode": "live"})
        assert status == 201, answer
        world.partners[partner] = answer["client_secret"]
        for name, days, data in PLANS:
            world.products[product_id(name)] = data * checker.MB
            status, answer = admin.ask("PUT", f"/admin/v1/partners/{partner}/products/{product_id(name)}", {
                "name": name, "sim_type": ["ESIM", "PSIM"], "duration": days, "duration_unit": "DAYS", "data": data, "data_unit": "MB", "price": "5",
                "price_currency": "EUR", "footprint_code": "GLOBAL"})
            assert status in (200, 201), answer
        base = (n + 1) * 1_000_000
        rows += [f"{iccid_of(base + i)},{partner},ESIM,C{n}-{i:06d},smdp.example.com" for i in range(profiles)]
        world.psims[partner] = [iccid_of(base + 500_000 + i) for i in range(psims)]
        rows += [f"{iccid},{partner},PSIM,," for iccid in world.psims[partner]]
    status, answer = admin.ask("POST", "/admin/v1/sim-imports", {"source": "cluster"})
    assert status == 201, answer
    at = f"/admin/v1/sim-imports/{answer['id']}"
    status, answer = admin.ask("POST", at + "/rows", "\n".join(rows) + "\n", **{"Content-Type": "text/csv"})
    assert status == 200 and answer["bad"] == 0, answer
    for step in ("judge", "apply"):
        while True:
            status, answer = admin.ask("POST", f"{at}/{step}")
            assert status in (200, 202), answer
            if status == 200:
                break
    admin.http.close()
