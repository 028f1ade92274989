# SPDX-License-Identifier: Apache-2.0
"""
Fixtures of the integration tests: a real daemon on a free port of 127.0.0.1, its demo data in a temporary folder, ended by pid.

STORE=pg in the environment keeps each daemon's store in a schema of its own on the PostgreSQL that tools/with-postgres has started; tests that
are about the embedded store are left out then (the mark `embedded`).
"""
import contextlib
import csv
import hashlib
import os
import pathlib
import re
import sqlite3
import subprocess
import time

import pytest
import requests

import contract
import logfmt

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
START_SECONDS = 60  # generous: sanitizers on a busy machine
REALM_PATH = "/auth/realms/tru-staff"

PRODUCT = "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak="
ESIM_PRODUCT = "wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM="
PSIM = "8944472600000510740"


POSTGRES = os.environ["TEST_POSTGRES"] if os.environ.get("STORE") == "pg" else None


def pytest_configure(config):
    config.addinivalue_line("markers", "embedded: about the embedded store: its files, its backup, its processes")


def pytest_collection_modifyitems(config, items):
    """What looks back at all the other tests comes last."""
    if POSTGRES:
        left_out = [item for item in items if item.get_closest_marker("embedded")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.name == "test_every_operation_was_seen_to_succeed")


def read_env(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def wait_for(condition, seconds=30, what="the condition"):
    """Polls until condition() is true and returns its value; fails the test when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true within {seconds} s")
        time.sleep(0.01)


def postgres_location(data):
    """The store of a data folder: a schema that is made when it is not there."""
    schema = "it_" + hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]
    subprocess.run(["psql", "-qX", POSTGRES, "-c", "SET client_min_messages = error", "-c", f"CREATE SCHEMA IF NOT EXISTS {schema}"], check=True)
    return f"{POSTGRES}&options=-csearch_path%3D{schema}"


class Demo:
    """One running `topupd demo`. What it logs is held against the rules of a log (logfmt.py) when it ends."""

    def __init__(self, data, options=(), verify=None):
        self.data = pathlib.Path(data)
        self.options = list(options)
        self.verify = verify  # a certificate that its TLS is held against
        self.process = None
        self.start()

    def start(self):
        env_file = self.data / "demo.env"
        old = env_file.stat().st_mtime_ns if env_file.exists() else None
        self.data.mkdir(exist_ok=True)
        (self.data / "log").touch()
        self.log_begins = (self.data / "log").stat().st_size
        store = ["--store", postgres_location(self.data)] if POSTGRES else []
        with open(self.data / "page", "wb") as page, open(self.data / "log", "ab") as log:
            self.process = subprocess.Popen([BUILD / "topupd", "demo", "--listen", "127.0.0.1:0", "--data", self.data, *store, *self.options],
                                            stdout=page, stderr=log, start_new_session=True)

        def ready():
            if self.process.poll() is not None:
                pytest.fail("topupd ended at start:\n" + self.log_text()[-4000:])
            return env_file.exists() and env_file.stat().st_mtime_ns != old

        wait_for(ready, START_SECONDS, "demo.env")
        self.env = read_env(env_file)
        self.url = self.env["BASE_URL"]
        contract.secrets.update(value for name, value in self.env.items() if name.endswith(("_SECRET", "_TOKEN")))

    def rows(self, sql):
        """What a query of the store answers, as a list of tuples: the tables are the same in both."""
        if not POSTGRES:
            with contextlib.closing(sqlite3.connect(f"file:{self.data}/topupd.db?mode=ro", uri=True)) as store:
                return store.execute(sql).fetchall()
        done = subprocess.run(["psql", "-qX", postgres_location(self.data), "-c", f"COPY ({sql}) TO STDOUT (FORMAT csv, NULL 'none')"],
                              check=True, capture_output=True, text=True)

        def value(text):
            if text == "none":
                return None
            return bytes.fromhex(text[2:]) if text.startswith("\\x") else int(text) if re.fullmatch(r"-?\d+", text) else text

        return [tuple(map(value, row)) for row in csv.reader(done.stdout.splitlines())]

    def log_text(self):
        return (self.data / "log").read_text(errors="replace")

    def log_lines(self):
        """What this process has logged, as a list of dictionaries."""
        with open(self.data / "log", "rb") as log:
            log.seek(self.log_begins)
            return logfmt.parsed(log.read().decode(), whole=self.process.returncode is not None and self.process.returncode >= 0)

    def ready(self):
        """What the process said when it began to serve; the log is written by a thread of its own."""
        return wait_for(lambda: [line for line in self.log_lines() if line["event"] == "server.ready"], 10, "server.ready")[0]

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()
        logfmt.check(self.log_lines(), contract.secrets)

    def stop(self, seconds=20):
        """Ends it gracefully and returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        logfmt.check(self.log_lines(), contract.secrets)
        return self.process.returncode

    def token(self, client_id=None, secret=None):
        answer = requests.post(
            self.env["TOPUP_SERVER"] + REALM_PATH + "/protocol/openid-connect/token",
            data={"grant_type": "client_credentials", "client_id": client_id or self.env["CLIENT_ID"],
                  "client_secret": secret or self.env["CLIENT_SECRET"]}, timeout=30, verify=self.verify)
        assert contract.check(answer).status_code == 200, answer.text
        return answer.json()["access_token"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo shared by the tests of one file, with the rate limit out of the way."""
    server = Demo(tmp_path_factory.mktemp("demo"), ["-o", "rate_per_minute=0"])
    yield server
    assert server.stop() == 0, "topupd did not stop cleanly:\n" + server.log_text()[-4000:]


@pytest.fixture
def new_demo(tmp_path):
    """Makes demos with options of their own; all are ended after the test."""
    made = []

    def make(*options, data=None, verify=None):
        server = Demo(data or tmp_path / f"demo{len(made)}", options, verify)
        made.append(server)
        return server

    yield make
    for server in made:
        if server.process.poll() is None:
            server.stop()


class Api:
    """A partner's client: requests with a token, on one connection."""

    def __init__(self, server, token=None):
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy, no certificates but the server's own
        self.session.verify = server.verify
        self.session.hooks["response"].append(contract.check)
        self.session.headers["Authorization"] = "Bearer " + (token or server.token())

    def call(self, method, path, **kwargs):
        url = path if path.startswith("http") else self.server.url + path
        return self.session.request(method, url, timeout=60, **kwargs)

    def get(self, path, **kwargs):
        return self.call("GET", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        return self.call("POST", path, json=body, **kwargs)

    def put(self, path, body=None, **kwargs):
        return self.call("PUT", path, json=body, **kwargs)

    def delete(self, path, **kwargs):
        return self.call("DELETE", path, **kwargs)

    def order(self, **kwargs):
        """Places an order and returns it once it has ended."""
        answer = self.post("/v2/orders", kwargs.pop("body", None) or order_body(**kwargs))
        assert answer.status_code == 202, answer.text
        return self.ended(answer.json()["id"])

    def ended(self, order_id, seconds=30):
        def look():
            order = self.get(f"/v2/orders/{order_id}").json()
            return order if order["status"] in ("COMPLETED", "FAILED") else None

        return wait_for(look, seconds, f"the end of order {order_id}")


def order_body(operation="TOPUP", sim_type="PSIM", product=PRODUCT, iccid=PSIM, **product_fields):
    """The documentation's body, with what a test wants to be different."""
    body = {"operation_type": operation, "sim_type": sim_type, "country": "GB",
            "product": {"id": product, **product_fields}, "subscriber": {}}
    if iccid:
        body["subscriber"]["sim"] = {"iccid": iccid}
    if operation == "ACTIVATION":
        body["subscriber"]["email"] = "subscriber@example.com"
    return body


def iccid_of(number):
    """An ICCID that no demo has, with its check digit."""
    digits = str(894400000000000000 + number)
    odd, even = digits[-1::-2], digits[-2::-2]
    total = sum(sum(divmod(2 * int(d), 10)) for d in odd) + sum(map(int, even))
    return digits + str(-total % 10)


@pytest.fixture
def api(demo):
    return Api(demo)


def sandbox_api(server, client_id=None, secret=None):
    """A client of the demo's sandbox partner, or of another one."""
    return Api(server, server.token(client_id or server.env["SANDBOX_CLIENT_ID"], secret or server.env["SANDBOX_CLIENT_SECRET"]))


def new_sandbox(server, client_id):
    """A client of a fresh sandbox partner."""
    operator = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    made = operator.post("/admin/v1/partners", {"client_id": client_id, "name": client_id, "mode": "sandbox"})
    assert made.status_code == 201, made.text
    api = sandbox_api(server, client_id, made.json()["client_secret"])
    api.secret = made.json()["client_secret"]
    return api


@pytest.fixture
def operator(demo):
    return Api(demo, demo.env["TOPUP_ADMIN_TOKEN"])
