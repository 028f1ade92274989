# SPDX-License-Identifier: Apache-2.0
"""
Several nodes on one PostgreSQL. The database server is the tests' own, on a socket in a temporary folder, and can be stopped and started;
each test has a database in it. Nodes know each other by nothing but the store; clients see one address (BASE_URL) that no node serves, as
behind a load balancer.
"""
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest
import requests

import contract
import logfmt
from conftest import BUILD, REALM_PATH, START_SECONDS, Api, read_env, wait_for

BASE_URL = "http://connect.test"
BIN = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), default=None)
SETTINGS = {"listen_addresses": "", "max_connections": "100", "shared_buffers": "32MB", "timezone": "UTC", "fsync": "off",
            "full_page_writes": "off", "log_min_messages": "fatal"}


class Postgres:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="topupd-nodes-"))
        self.user = None
        if os.geteuid() == 0:  # it does not run as root
            entry = pwd.getpwnam("postgres")
            self.user = (entry.pw_uid, entry.pw_gid)
            os.chown(self.folder, *self.user)
        self.run("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.process = None
        self.databases = 0
        self.start()

    def become(self):
        if self.user:
            os.setgroups([])
            os.setgid(self.user[1])
            os.setuid(self.user[0])

    def run(self, program, *words):
        done = subprocess.run([BIN / program, *words], capture_output=True, text=True, preexec_fn=self.become, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([BIN / "postgres", "-D", self.folder / "data", "-k", self.folder, *options], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.folder, preexec_fn=self.become, start_new_session=True)
        wait_for(lambda: subprocess.run([BIN / "pg_isready", "-q", "-h", self.folder], check=False).returncode == 0, START_SECONDS, "PostgreSQL")

    def stop(self, how=signal.SIGQUIT):
        """SIGQUIT: as if the machine had lost its power, but for what the system had still to write."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def database(self):
        self.databases += 1
        name = f"nodes{self.databases}"
        self.run("createdb", "-h", self.folder, "-U", "postgres", name)
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def ask(self, location, sql):
        name = location.split("@/")[1].split("?")[0]
        text = self.run("psql", "-h", self.folder, "-U", "postgres", "-d", name, "-qAtc", sql)
        return [line.split("|") for line in text.splitlines()]

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Node:
    """One `topupd serve`. `url` is where it listens."""

    def __init__(self, cluster, number, options=()):
        self.cluster, self.options = cluster, list(options)
        self.log = cluster.folder / f"log{number}"
        self.verify = None
        self.lost = False
        self.start()

    def start(self, *more):
        self.log.touch()
        self.log_begins = self.log.stat().st_size
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BUILD / "topupd", "serve", "--store", self.cluster.location, "--listen", "127.0.0.1:0",
                                             "-o", f"base_url={BASE_URL}", *self.options, *more], stdout=log, stderr=log, start_new_session=True)

    def ready(self):
        def look():
            if self.process.poll() is not None:
                pytest.fail("topupd ended at start:\n" + self.log.read_text(errors="replace")[-4000:])
            return [line for line in self.lines() if line["event"] == "server.ready"]

        line = wait_for(look, START_SECONDS, "server.ready")[0]
        self.url = "http://" + line["listen"]
        self.number = int(line["node"])
        self.role = line["role"]
        return self

    def lines(self):
        with open(self.log, "rb") as log:
            log.seek(self.log_begins)
            text = log.read().decode()
        said = [line for line in text.split("\n")[:-1] if line.startswith("ts=")]
        return [logfmt.parsed_line(line) for line in said]

    def said(self, event):
        return [line for line in self.lines() if line["event"] == event]

    def token(self, client_id=None, secret=None):
        env = self.cluster.env
        answer = requests.post(self.url + REALM_PATH + "/protocol/openid-connect/token",
                               data={"grant_type": "client_credentials", "client_id": client_id or env["CLIENT_ID"],
                                     "client_secret": secret or env["CLIENT_SECRET"]}, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def api(self, token=None):
        return Api(self, token or self.token())

    def operator(self):
        return Api(self, self.cluster.env["TOPUP_ADMIN_TOKEN"])

    def ready_status(self):
        try:
            return requests.get(self.url + "/readyz", timeout=30).status_code
        except requests.ConnectionError:
            return None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode


class Cluster:
    """A store with demo data, and the nodes on it."""

    def __init__(self, postgres, folder):
        self.postgres, self.folder = postgres, folder
        self.folder.mkdir(exist_ok=True)
        self.location = postgres.database()
        self.nodes = []
        self.numbers = itertools.count(1)
        demo = folder / "demo"
        seed = subprocess.Popen([BUILD / "topupd", "demo", "--store", self.location, "--data", demo, "--listen", "127.0.0.1:0"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            wait_for(lambda: (demo / "demo.env").exists() or seed.poll() is not None, START_SECONDS, "demo.env")
            assert seed.poll() is None, seed.stderr.read()
        finally:
            seed.terminate()
            seed.communicate(timeout=60)
        self.env = read_env(demo / "demo.env")
        contract.secrets.update(value for name, value in self.env.items() if name.endswith(("_SECRET", "_TOKEN")))

    def node(self, *options, role=None):
        node = Node(self, next(self.numbers), [*(["--role", role] if role else []), "-o", "rate_per_minute=0", *options])
        self.nodes.append(node)
        return node.ready()

    def ask(self, sql):
        return self.postgres.ask(self.location, sql)

    def close(self):
        """Ends all. What was logged must be as every log (errors that a test asked for are its own affair: node.lost)."""
        codes = [node.stop() for node in self.nodes]
        for node in self.nodes:
            logfmt.check([line for line in node.lines() if not (node.lost and line["level"] == "error")], contract.secrets)
        return codes


@pytest.fixture(scope="module")
def postgres():
    if BIN is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def cluster(postgres, tmp_path):
    made = Cluster(postgres, tmp_path / "cluster")
    yield made
    made.close()
