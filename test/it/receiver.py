# SPDX-License-Identifier: Apache-2.0
"""A webhook receiver: remembers what it got and answers as it is told; and the library that partners verify deliveries with."""
import collections
import filecmp
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PLACE = HERE.parents[1] / "build" / "webhooks-test"

Got = collections.namedtuple("Got", "at path headers body json")


class Answer:
    def __init__(self, status=200, body=b"", headers=(), hold=None):
        self.status, self.body, self.headers, self.hold = status, body, dict(headers), hold


class Receiver:
    """`answer` is what every request gets; `script`, if any is left, goes before it. An answer with `hold` (an Event) is given when that is set."""

    def __init__(self, answer=None):
        self.got = []
        self.answer = answer or Answer()
        self.script = collections.deque()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.handle(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):  # the server under test is killed now and then
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def url(self, path="/hook", credentials=""):
        return f"http://{credentials}127.0.0.1:{self.port}{path}"

    def handle(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self.lock:
            self.got.append(Got(time.monotonic(), request.path, dict(request.headers), body.decode(), json.loads(body or b"null")))
            answer = self.script.popleft() if self.script else self.answer
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if answer.hold:
                answer.hold.wait(60)
            request.send_response(answer.status)
            for name, value in answer.headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(answer.body)))
            request.end_headers()
            request.wfile.write(answer.body)
        except OSError:
            pass
        finally:
            with self.lock:
                self.at_once -= 1

    def sequences(self, path=None):
        with self.lock:
            return [g.json["sequence"] for g in self.got if path in (None, g.path)]

    def types(self):
        with self.lock:
            return [g.json["type"] for g in self.got]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def verdicts(got, secret):
    """What npm's `standardwebhooks` says of each: None is good."""
    lock = HERE / "webhooks" / "package-lock.json"
    installed = PLACE / "installed"
    if not installed.exists() or not filecmp.cmp(lock, installed, shallow=False):
        PLACE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "webhooks" / name, PLACE)
        subprocess.run(["npm", "ci", "--prefix", PLACE, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], check=True,
                       capture_output=True)
        shutil.copy(lock, installed)
    said = subprocess.run(["node", HERE / "webhooks" / "verify.js"], check=True, capture_output=True, text=True,
                          env={**os.environ, "NODE_PATH": str(PLACE / "node_modules")},
                          input=json.dumps([{"secret": secret, "headers": {k.lower(): v for k, v in g.headers.items()}, "body": g.body} for g in got]))
    return json.loads(said.stdout)
