# SPDX-License-Identifier: Apache-2.0
"""The server under measurement, and those that work on it: the load driver, readers of streams, a receiver of webhooks."""
import contextlib
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("BUILD_REL", ROOT / "build-rel")).resolve()
PRODUCT = "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak="
OPTIONS = ["-o", "rate_per_minute=0", "-o", "access_token_seconds=86400", "-o", "webhook_private_targets=1"]
TOKEN_PATH = "/auth/realms/tru-staff/protocol/openid-connect/token"
TOOLS = ["load", "readers", "receiver", "iccids", "fill", "ceiling_http", "ceiling_store", "timers_bench", "liballocations.so"]
POSTGRES = os.environ.get("TEST_POSTGRES")  # where tools/with-postgres has one running
CONNECTIONS = 250  # not 256: two threads of libmicrohttpd alone, the ceiling, stand still when 128 clients of one ask in the same moment
PLACE = "\x01"  # where the load driver puts a value
START_SECONDS = 300


def say(text):
    print(f"-- {text}", file=sys.stderr, flush=True)


def build():
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["/usr/bin/meson", "setup", BUILD, ROOT, "--buildtype=release"], check=True, stdout=subprocess.DEVNULL)
    tools = [*TOOLS, "ceiling_pg"] if POSTGRES else TOOLS
    subprocess.run(["ninja", "-C", BUILD, "topupd", "topup", *(f"bench/{tool}" for tool in tools)], check=True, stdout=subprocess.DEVNULL)


def run(*command, **options):
    """A tool of ours; what it prints is JSON."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(str(c) for c in command)}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


class Server:
    """`topupd demo` on a folder; `store`, where given, is the location of a store elsewhere."""

    def __init__(self, data, store=None, env=None):
        self.data, self.store, self.extra_env = data, store, env or {}
        self.listen = "127.0.0.1:0"
        self.process = None
        self.start()

    def start(self):
        env_file = self.data / "demo.env"
        old = env_file.stat().st_mtime_ns if env_file.exists() else None
        self.log = open(self.data.parent / "log", "ab")
        location = ["-o", f"store={self.store}"] if self.store else []
        begun = time.monotonic()
        self.process = subprocess.Popen([BUILD / "topupd", "demo", "--listen", self.listen, "--data", self.data, *location, *OPTIONS],
                                        stdout=self.log, stderr=self.log, env={**os.environ, **self.extra_env})
        while not env_file.exists() or env_file.stat().st_mtime_ns == old:
            if self.process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                self.process.kill()
                sys.exit("bench: the server did not start; the end of its log:\n" + (self.data.parent / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - begun
        self.env = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
        self.address = self.listen = urllib.parse.urlsplit(self.env["TOPUP_SERVER"]).netloc  # kept: tokens name their issuer's address

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def again(self, env=None):
        self.stop()
        self.extra_env = env or {}
        self.start()

    def call(self, method, path, body=None, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.env["TOPUP_SERVER"] + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def admin(self, method, path, body=None):
        return json.loads(self.call(method, path, body, self.env["TOPUP_ADMIN_TOKEN"]) or b"null")

    def metric(self, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.call("GET", "/metrics").decode().splitlines() if line.startswith(name))

    def token(self, client_id=None, secret=None):
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client_id or self.env["CLIENT_ID"],
                                       "client_secret": secret or self.env["CLIENT_SECRET"]}).encode()
        with urllib.request.urlopen(self.env["TOPUP_SERVER"] + TOKEN_PATH, form, timeout=60) as answer:
            return json.loads(answer.read())["access_token"]

    def newest_event(self, token):
        return json.loads(self.call("GET", "/v2/events?after=latest", token=token))["_metadata"]["newest"]

    def unfinished(self):
        return self.metric("topupd_orders{")

    def finished(self):
        return self.metric("topupd_orders_finished_total")

    def settle(self):
        """Waits until everything accepted is finished."""
        while self.unfinished() > 0:
            time.sleep(0.01)

    def memory_mb(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, file, address=None, /, **options):
        """The load driver; options are its own (bench/load.c)."""
        options.setdefault("connections", CONNECTIONS)
        return run(BUILD / "bench" / "load", address or self.address, file, *(w for k, v in options.items() for w in (f"--{k}", v)))

    def read_streams(self, requests, connections, last):
        return run(BUILD / "bench" / "readers", self.address, requests, "--connections", connections, "--last", last)


class Backlog(threading.Thread):
    """Counts, once a second, the orders that were accepted and are not finished."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.seen, self.over = server, [], threading.Event()
        self.begun = time.monotonic()
        self.start()

    def run(self):
        while not self.over.wait(1):
            self.seen.append((round(time.monotonic() - self.begun, 1), int(self.server.unfinished())))

    def stop(self):
        self.over.set()
        self.join()
        return self.seen


@contextlib.contextmanager
def talking(*command):
    """A tool that goes on until its standard input ends."""
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


# ---- requests ----

def request(method, path, body="", headers=()):
    data = body.encode()
    head = [f"{method} {path} HTTP/1.1", "Host: bench", *headers]
    if data:
        head.append(f"Content-Length: {len(data)}")
    return ("\r\n".join(head) + "\r\n\r\n").encode() + data


def write_requests(path, requests):
    with open(path, "wb") as f:
        for r in requests:
            f.write(struct.pack("=I", len(r)) + r)
    return path


def bearer(token):
    return f"Authorization: Bearer {token}"


def order_request(token):
    body = json.dumps({"operation_type": "TOPUP", "sim_type": "PSIM", "country": "GB",
                       "product": {"id": PRODUCT, "sold_price": 20, "sold_currency": "EUR", "activation_date": "2020-01-01T00:00:00Z"},
                       "subscriber": {"sim": {"iccid": "ICCID"}}}).replace("ICCID", PLACE * 19)
    return request("POST", "/v2/orders", body, ("Content-Type: application/json", "X-Correlation-ID: unique-id-from-requester-123", bearer(token)))


def stream_request(token, after):
    return request("GET", f"/v2/events?after={after}", "", ("Accept: text/event-stream", bearer(token)))
