# SPDX-License-Identifier: Apache-2.0
"""
The whole cluster on one machine: three nodes, each in a network namespace of its own with an address and the real ports, joined by a bridge;
HAProxy and the clients stand outside of the nodes. A node can be killed, frozen, and cut off as a machine can.

All of it lives in one user, network, mount and process namespace that `enter` makes, so it needs no root and no free ports, and nothing can be left
running: when the first process in there ends, however it ends, the kernel ends all the others. Files are in one folder.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import threading
import time
import urllib.request

import files

INSIDE = "TOPUPD_CLUSTER_INSIDE"  # set for the program that runs inside: the user it came from
GATEWAY = "10.77.0.1"
ADDRESSES = ("10.77.0.11", "10.77.0.12", "10.77.0.13")
BASE_URL = f"https://{GATEWAY}:8443"
NODES = files.NODES
PROGRAMS = {"etcd": "etcd-server", "etcdctl": "etcd-client", "patroni": "patroni", "haproxy": "haproxy", "ip": "iproute2", "unshare": "util-linux",
            "openssl": "openssl", "/usr/lib/postgresql/15/bin/postgres": "postgresql-15", "/usr/lib/postgresql/15/bin/psql": "postgresql-client-15"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Trouble(Exception):
    """The cluster cannot do what was asked; the message is for a person."""


def enter(argv):
    """The command line that runs argv in a world of its own, as its first process. The user in there is root over that world alone."""
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=PATH)})
    if missing:
        raise Trouble("These Debian packages are missing: " + " ".join(missing) + ". tools/install-packages tools/packages-cluster.txt installs them.")
    world = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    tried = subprocess.run([*world, "true"], capture_output=True, text=True)
    if tried.returncode:
        raise Trouble("This machine does not allow namespaces to be made (user, network, mount, process): " + tried.stderr.strip())
    os.environ[INSIDE] = str(os.getuid() or 65534)
    return [*world, *argv]


def live():
    """Called first inside: the first process goes on as the one that takes leave of orphans (PostgreSQL outlives a Patroni that was killed), its child
    returns. Signals are passed on, and the end of the child is the end of all."""
    child = os.fork()
    if child == 0:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def run(*words, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        own = words[4:] if words[:3] == ("ip", "netns", "exec") else words
        raise Trouble(f"{pathlib.Path(own[0]).name}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Trouble(f"{what} did not come true within {seconds} s")
        time.sleep(0.1)


class Lab:
    """Runs in the world that `enter` made. Methods may be called from several threads."""

    def __init__(self, folder, topupd, say=lambda text: None, options=()):
        self.folder, self.topupd, self.say = pathlib.Path(folder).resolve(), pathlib.Path(topupd).resolve(), say
        self.options = list(options)  # of topupd, NAME=VALUE
        self.processes = {}  # (node, service): Popen; node 0 is outside of the nodes
        self.lock = threading.RLock()
        self.cut_off = set()
        self.user = os.environ[INSIDE]
        self.layouts = {}
        for node in NODES:
            home = self.home(node)
            self.layouts[node] = files.Layout(
                cluster="lab", addresses=ADDRESSES, base_url=BASE_URL, etc=str(home / "etc"), etcd_data=str(home / "etcd"),
                postgresql_data=str(home / "postgresql"), patroni_pgpass=str(home / "patroni.pgpass"), topupd_pgpass=str(home / "etc/pgpass"),
                sockets=str(home), haproxy_socket=str(self.folder / "haproxy.sock"), haproxy_log="stdout format raw",
                haproxy_user="# as who starts it", listen=f"{GATEWAY}:8443",
                watchdog="off", shared_buffers="64MB", max_wal="512MB", wal_keep="64MB", max_connections=100, haproxy_connections=1000)
        self.ca = self.folder / "ca"

    def home(self, node):
        return self.folder / f"node{node}"

    # ---- the network ----

    def network_up(self):
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        pathlib.Path("/run/netns").mkdir()
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "switch", "type", "bridge")
        run("ip", "address", "add", GATEWAY + "/24", "dev", "switch")
        run("ip", "link", "set", "switch", "up")
        for node in NODES:
            space = f"node{node}"
            run("ip", "netns", "add", space)
            run("ip", "link", "add", f"port{node}", "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", f"port{node}", "master", "switch", "up")
            run("ip", "-n", space, "address", "add", ADDRESSES[node - 1] + "/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            run("ip", "-n", space, "link", "set", "lo", "up")

    def cut(self, node):
        """Pulls the plug: what the node sends goes nowhere, and nothing reaches it. Its own addresses still answer to itself."""
        run("ip", "link", "set", f"port{node}", "nomaster")
        self.cut_off.add(node)

    def join(self, node):
        run("ip", "link", "set", f"port{node}", "master", "switch")
        self.cut_off.discard(node)

    # ---- processes ----

    def start(self, node, service, argv, **env):
        with self.lock:
            old = self.processes.get((node, service))
            if old and old.poll() is None:
                raise Trouble(f"{service} of node {node} is running")
            home = self.home(node) if node else self.folder
            space = ["ip", "netns", "exec", f"node{node}"] if node else []
            user = ["unshare", "--user", f"--map-user={self.user}", f"--map-group={self.user}"]
            with open(home / f"{service}.log", "ab") as log:
                self.processes[node, service] = subprocess.Popen(
                    [*space, *user, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home, start_new_session=True,
                    env={**self.surroundings(home), **env})

    def surroundings(self, home=None):
        """The environment of a program: nothing of the caller's, whose home the user in here may not even read."""
        return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(home or self.folder)}

    def start_service(self, node, service):
        etc = self.home(node) / "etc" if node else self.home(1) / "etc"
        if service == "etcd":
            self.start(node, service, ["etcd", "--config-file", etc / "etcd.yml"], GOMAXPROCS="1")
        elif service == "patroni":
            self.start(node, service, ["/usr/bin/patroni", etc / "patroni.yml"])
        elif service == "topupd":
            options = [word for option in self.options for word in ("-o", option)]
            self.start(node, service, [self.topupd, "serve", "-c", etc / "topupd.conf", *options])
        elif service == "haproxy":
            self.start(0, service, ["haproxy", "-db", "-f", etc / "haproxy.cfg"])
        else:
            raise Trouble(f"there is no service {service}")

    def pids(self, node, *names):
        """The processes of a node by their kernel's name, or all of them: whoever lives in its network."""
        space = os.stat(f"/run/netns/node{node}").st_ino
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.stat(entry / "ns/net").st_ino == space:
                    if not names or (entry / "comm").read_text().strip() in names:
                        found.append(int(entry.name))
        return found

    COMMANDS = {"etcd": ("etcd",), "patroni": ("patroni", "postgres"), "topupd": ("topupd",)}

    def signal(self, node, service, number):
        """To all processes of a service; "patroni" is PostgreSQL and who runs it, "all" the whole machine."""
        pids = self.pids(node, *self.COMMANDS[service]) if service != "all" else self.pids(node)
        if not pids:
            raise Trouble(f"{service} of node {node} is not running")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def kill(self, node, service):
        pids = self.signal(node, service, signal.SIGKILL)
        wait_for(lambda: not set(pids) & set(self.pids(node)), 20, f"the end of {service} of node {node}")

    def stop(self, node, service, seconds=60):
        """As systemd stops it: SIGTERM, and wait."""
        with self.lock:
            process = self.processes[node, service]
        process.terminate()
        wait_for(lambda: process.poll() is not None, seconds, f"the end of {service} of node {node}")
        return process.returncode

    # ---- asking ----

    def context(self, node=1):
        context = ssl.create_default_context(cafile=self.ca / "ca.pem")
        etc = self.home(node) / "etc"
        context.load_cert_chain(etc / "node.pem", etc / "node.key")
        return context

    def fetch(self, url, seconds=3):
        with urllib.request.urlopen(url, timeout=seconds, context=self.context()) as answer:
            return answer.read()

    def members(self):
        """Patroni's own view, from the first node that answers: {node: {"role", "state", ...}}."""
        for address in ADDRESSES:
            try:
                told = json.loads(self.fetch(f"https://{address}:8008/cluster"))
            except (OSError, ValueError):
                continue
            return {int(m["name"].removeprefix("node")): m for m in told["members"]}
        return {}

    def primary(self):
        """The node that Patroni calls the leader and that runs as one, or None."""
        for node, member in self.members().items():
            if member["role"] == "leader" and member["state"] == "running" and node not in self.cut_off:
                with contextlib.suppress(OSError):
                    self.fetch(f"https://{ADDRESSES[node - 1]}:8008/primary")  # 503 of one that is not
                    return node
        return None

    def sync_standby(self):
        return next((n for n, m in self.members().items() if m["role"] == "sync_standby" and m["state"] in ("running", "streaming")), None)

    def whole(self):
        """All three there: one primary, which two standbys follow, one of them synchronous. Asked of the primary itself, too: what Patroni tells of a node
        that has just come back may be what it said before it went."""
        members = self.members()
        states = sorted(m["role"] for m in members.values() if m["state"] in ("running", "streaming"))
        if states != ["leader", "replica", "sync_standby"] or len({m.get("timeline") for m in members.values()}) != 1:
            return False
        try:
            following = self.psql("SELECT sync_state, pg_current_wal_lsn() - replay_lsn < 1 << 20 FROM pg_stat_replication WHERE state = 'streaming'",
                                  database="postgres", seconds=10)
        except (Trouble, subprocess.TimeoutExpired):
            return False
        return sorted(following) == [["async", "t"], ["sync", "t"]]

    def ready(self, node):
        try:
            self.fetch(f"https://{ADDRESSES[node - 1]}:8443/readyz")
            return True
        except OSError:
            return False

    def inside(self):
        """The words before a command that is to run on a node that can be reached."""
        node = next(n for n in NODES if n not in self.cut_off)
        return ["ip", "netns", "exec", f"node{node}"]

    def psql(self, *words, database="topupd", seconds=120):
        """Rows of a query (or of a file: "-f", path), asked of the primary as postgres; each a list of texts."""
        layout = self.layouts[1]
        location = files.store_location(layout).replace("topupd@", "postgres@").replace("/topupd?", f"/{database}?")
        location = location.replace(f"passfile={layout.topupd_pgpass}&", "")
        text = run(*self.inside(), "/usr/lib/postgresql/15/bin/psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-d", location,
                   *(words if len(words) > 1 else ("-c", *words)), timeout=seconds,
                   env={**self.surroundings(), "PGPASSWORD": self.secrets()["SUPERUSER_PASSWORD"]})
        return [line.split("\x1f") for line in text.splitlines()]

    def secrets(self):
        return json.loads((self.folder / "secrets.json").read_text())

    def topupd_says(self, *words):
        """The answer of a topupd command, given on node 1."""
        return run("ip", "netns", "exec", "node1", self.topupd, *words, "-c", self.home(1) / "etc/topupd.conf", env=self.surroundings())

    def log(self, node, service):
        return ((self.home(node) if node else self.folder) / f"{service}.log").read_text(errors="replace")

    def switchover(self, node):
        """A planned change of the primary away from this node."""
        run(*self.inside(), "patronictl", "-c", self.home(1) / "etc/patroni.yml", "switchover", "--master", f"node{node}", "--force", "lab",
            env=self.surroundings(), timeout=60)

    # ---- the whole ----

    def make_files(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        files.authority(self.ca, "lab")
        secret = files.passwords()
        files.write(self.folder / "secrets.json", json.dumps(secret))
        for node in NODES:
            etc = self.home(node) / "etc"
            files.node_files(self.layouts[node], node, etc, secret)
            files.certificate(self.ca, etc, f"node{node}", [f"IP:{ADDRESSES[node - 1]}", f"IP:{GATEWAY}"])

    def database_up(self):
        for node in NODES:
            self.start_service(node, "etcd")
        for node in NODES:
            self.start_service(node, "patroni")
        wait_for(self.primary, 90, "PostgreSQL's primary")
        self.say(f"PostgreSQL's primary is node {self.primary()}")
        wait_for(self.whole, 90, "three PostgreSQL nodes, one of them a synchronous standby")
        self.say("two standbys follow")
        self.psql("-f", self.home(1) / "etc/database.sql", database="postgres")
        behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NULL OR replay_lsn < '{}'"
        written = self.psql("SELECT pg_current_wal_lsn()", database="postgres")[0][0]  # libpq asks standbys, too, and they must know the database by then
        wait_for(lambda: self.psql(behind.format(written), database="postgres") == [["0"]], 30, "the database on all nodes")

    def topupd_up(self):
        self.topupd_says("migrate")
        for node in NODES:
            self.start_service(node, "topupd")
        for node in NODES:
            wait_for(lambda node=node: self.ready(node), 60, f"topupd of node {node} to be ready")
        self.say("three topupd nodes are ready")

    def haproxy_up(self):
        self.start_service(0, "haproxy")
        wait_for(self.served, 30, "HAProxy's first answer")
        self.say(f"served at {BASE_URL}")

    def served(self):
        try:
            return bool(self.fetch(BASE_URL + "/healthz"))
        except OSError:
            return False

    def down(self):
        """Ends whatever runs in this world, but for the caller and the first process, who takes leave of orphans."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()
        wait_for(lambda: {int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()} <= {1, os.getpid()}, 20, "the end of all processes")

    def up(self):
        self.make_files()
        self.network_up()
        self.database_up()
        self.topupd_up()
        self.haproxy_up()
