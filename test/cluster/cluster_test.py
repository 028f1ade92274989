#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
The test of truth: load on a whole cluster while its parts are killed, frozen and cut off, one after the other; then everything that was acknowledged is
asked for.

  test/cluster/cluster_test.py [--seed N] [--network NAME] [--rate N] [--only FAULT,...] [--document]      (make cluster-test SEED=... ONLY=...)

The cluster is that of deploy/cluster, on this machine. The seed decides the order of the faults, which nodes they hit, what clients ask for, and whether
a network element stands behind the server or the built-in network. A run writes its report to cluster-report.md in the build folder; --document puts it
into docs/cluster.md, too. What fails leaves its folder, with all logs.
"""
import argparse
import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "deploy/cluster"), str(ROOT / "test/cluster")]
import checker  # noqa: E402
import lab  # noqa: E402
import load  # noqa: E402
import snapshot  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
DOCUMENT = ROOT / "docs/cluster.md"
MARKS = ("<!-- report: begin -->", "<!-- report: end -->")
PARTNERS = ["north", "south"]
CLIENTS = 12  # of each partner
PROFILES, PSIMS = 9000, 400  # of each partner
BOUND_SECONDS = 60  # from a client's first attempt to its answer, and from acceptance to the end
REFUSED_SECONDS = 45  # no order acknowledged for longer than this, whatever happens to one node
STEADY_SECONDS = 3  # between two faults
DOWN_SECONDS = 12  # how long what others stand in for stays away: longer than a lease
WHOLE_SECONDS = 120
# A network element that takes its time, so that orders are caught between acceptance, call and answer. The built-in network has no outside: there an order is
# fulfilled in one transaction.
NETWORKS = ["builtin", "fake"]
SCRIPT = "* START * *: late 150ms\n"


class Test:
    def __init__(self, cluster, world, rng, say):
        self.cluster, self.world, self.rng, self.say = cluster, world, rng, say
        self.done = []  # (what, begin, end)

    # ---- waiting ----

    def settle(self):
        """Until everything is there again and orders are answered."""
        lab.wait_for(self.cluster.whole, WHOLE_SECONDS, "the return of all three PostgreSQL nodes")
        for node in lab.NODES:
            lab.wait_for(lambda node=node: self.cluster.ready(node), WHOLE_SECONDS, f"the return of topupd on node {node}")
        self.flowing()

    def flowing(self):
        now = self.world.now()
        lab.wait_for(lambda: sum(what == "202" for _, what in self.world.answers_between(now)) >= 20, WHOLE_SECONDS, "orders that are acknowledged")

    def another_primary(self, than):
        return lab.wait_for(lambda: next((p for p in [self.cluster.primary()] if p and p != than), None), WHOLE_SECONDS, "another primary")

    def elapse(self, seconds):
        """Time in which only the load goes on: the fault is to last."""
        self.world.stopping.wait(seconds)
        self.alive()

    def alive(self):
        for client in self.world.clients:
            if client.failure:
                raise client.failure

    def any_node(self):
        return self.rng.choice(lab.NODES)

    # ---- faults: each a sentence for the report, and what is done ----

    def kill_primary(self):
        """kill -9 of the primary's PostgreSQL and Patroni"""
        node = self.cluster.primary()
        self.cluster.kill(node, "patroni")
        self.another_primary(node)
        self.flowing()
        self.cluster.start_service(node, "patroni")

    def kill_postgresql(self):
        """kill -9 of the primary's PostgreSQL, Patroni lives"""
        node = self.cluster.primary()
        for pid in self.cluster.pids(node, "postgres"):
            with contextlib.suppress(ProcessLookupError):  # the others end when the first of them has been killed
                os.kill(pid, signal.SIGKILL)
        self.flowing()

    def freeze_primary(self):
        """SIGSTOP of the primary's PostgreSQL and Patroni, SIGCONT when another one is primary"""
        node = self.cluster.primary()
        self.cluster.signal(node, "patroni", signal.SIGSTOP)
        self.another_primary(node)
        self.flowing()
        self.cluster.signal(node, "patroni", signal.SIGCONT)

    def cut_primary(self):
        """the primary's machine is cut off the network, with its topupd and etcd, and comes back"""
        node = self.cluster.primary()
        self.cluster.cut(node)
        self.another_primary(node)
        self.flowing()
        self.cluster.join(node)

    def cut_standby(self):
        """the synchronous standby's machine is cut off the network, and comes back"""
        node = lab.wait_for(self.cluster.sync_standby, 30, "a synchronous standby")
        self.cluster.cut(node)
        self.elapse(DOWN_SECONDS)
        self.flowing()
        self.cluster.join(node)

    def freeze_standby(self):
        """SIGSTOP of the synchronous standby's PostgreSQL and Patroni, SIGCONT"""
        node = lab.wait_for(self.cluster.sync_standby, 30, "a synchronous standby")
        self.cluster.signal(node, "patroni", signal.SIGSTOP)
        self.elapse(DOWN_SECONDS)
        self.flowing()
        self.cluster.signal(node, "patroni", signal.SIGCONT)

    def kill_topupd(self):
        """kill -9 of a topupd"""
        node = self.any_node()
        self.cluster.kill(node, "topupd")
        self.elapse(DOWN_SECONDS)
        self.cluster.start_service(node, "topupd")

    def freeze_topupd(self):
        """SIGSTOP of a topupd, SIGCONT after its leases have ended"""
        node = self.any_node()
        self.cluster.signal(node, "topupd", signal.SIGSTOP)
        self.elapse(DOWN_SECONDS)
        self.cluster.signal(node, "topupd", signal.SIGCONT)

    def kill_machine(self):
        """kill -9 of everything on a machine that is not the primary's"""
        node = self.rng.choice([n for n in lab.NODES if n != self.cluster.primary()])
        self.cluster.kill(node, "all")
        self.elapse(DOWN_SECONDS)
        for service in ("etcd", "patroni", "topupd"):
            self.cluster.start_service(node, service)

    def freeze_etcd(self):
        """SIGSTOP of one etcd, then kill -9 of it"""
        node = self.any_node()
        self.cluster.signal(node, "etcd", signal.SIGSTOP)
        self.elapse(DOWN_SECONDS / 2)
        self.cluster.kill(node, "etcd")
        self.elapse(DOWN_SECONDS / 2)
        self.cluster.start_service(node, "etcd")

    def upgrade_topupd(self):
        """all topupd are restarted, one by one, as in an upgrade"""
        for node in lab.NODES:
            code = self.cluster.stop(node, "topupd")
            assert code == 0, f"topupd of node {node} ended with {code}"
            self.cluster.start_service(node, "topupd")
            lab.wait_for(lambda node=node: self.cluster.ready(node), 60, f"topupd of node {node}")
            self.elapse(2)  # HAProxy looks once a second

    def switch_primary(self):
        """a planned change of the primary"""
        node = self.cluster.primary()
        self.cluster.switchover(node)
        self.another_primary(node)

    FAULTS = [kill_primary, kill_postgresql, freeze_primary, cut_primary, cut_standby, freeze_standby, kill_topupd, freeze_topupd, kill_machine, freeze_etcd,
              upgrade_topupd, switch_primary]

    def run(self, faults):
        for fault in faults:
            self.settle()
            self.elapse(STEADY_SECONDS)
            begin = self.world.now()
            fault(self)
            self.settle()
            self.done.append((fault.__doc__, begin, self.world.now()))
            refused, counts, _ = self.measured(begin, self.world.now())
            self.say(f"{fault.__doc__}: no order acknowledged for {refused:.1f} s; answers: {told(counts)}")

    def measured(self, begin, end):
        """The longest time without an acknowledged order, the answers that clients got, and the longest that one of them waited."""
        answers = self.world.answers_between(begin, end)
        moments = [begin] + [when for when, what in answers if what == "202"] + [end]
        waits = [r.answered - r.first for r in list(self.world.requests.values()) if r.answered is not None and begin <= r.answered < end]
        return max(b - a for a, b in zip(moments, moments[1:])), collections.Counter(what for _, what in answers), max(waits, default=0)


def told(counts):
    return ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))


# ---- the run ----

def start_load(world, rate):
    world.clients = [load.Orders(world, f"orders-{p}-{i}", p, rate / CLIENTS / len(PARTNERS)) for p in PARTNERS for i in range(CLIENTS)]
    world.clients += [load.Usage(world, "usage")] + [load.Follower(world, f"follower-{p}", p) for p in PARTNERS]
    for client in world.clients:
        client.start()


def come_to_an_end(cluster, world):
    world.stopping.set()
    end = time.monotonic() + 2 * BOUND_SECONDS
    for client in world.clients:
        client.join(max(0, end - time.monotonic()))
        if client.failure:
            raise client.failure
        if client.is_alive():
            raise lab.Trouble(f"{client.name} has no answer {2 * BOUND_SECONDS} s after the last fault")
    lab.wait_for(lambda: cluster.psql("SELECT count(*) FROM orders WHERE state < 2") == [["0"]], BOUND_SECONDS, "the end of all orders")


def report(a, test, story, db, found, seconds, commit):
    world = test.world
    lasted = [row["finished"] - row["created"] for row in checker.order_rows(db) if row["finished"] is not None]
    waits = [r.answered - r.first for r in story.requests.values()]
    counts = collections.Counter(what for _, what in world.answers_between(0))
    behind = {"builtin": "the built-in network", "fake": "a network element that takes 150 ms for a call"}[a.network]
    lines = [f"Seed {a.seed}, {time.strftime('%Y-%m-%d')}, version {commit}, {os.cpu_count()} cores for the whole cluster and its clients; {seconds:.0f} s of load,"
             f" {behind} behind it.", "",
             f"{len(story.requests):,} orders were asked for by {CLIENTS * len(PARTNERS)} clients of {len(PARTNERS)} partners, {counts['202']:,} acknowledged;"
             f" {sum(r.attempts > 1 for r in story.requests.values()):,} had to be asked for again. {len(story.usage):,} usage records were booked,"
             f" {sum(map(len, story.logs.values())):,} events read. Median wait for an answer {statistics.median(waits) * 1000:.0f} ms, the longest {max(waits):.1f} s"
             f" (allowed: {BOUND_SECONDS} s). From acceptance to the end an order took {statistics.median(lasted) * 1000:.0f} ms, the longest {max(lasted):.1f} s"
             f" (allowed: {BOUND_SECONDS} s).", "",
             "| what happened | no order acknowledged for | a client waited at most | answers |", "|---|---|---|---|"]
    for what, begin, end in test.done:
        refused, answers, longest = test.measured(begin, end)
        lines.append(f"| {what} | {refused:.1f} s | {longest:.1f} s | {told(answers)} |")
    lines += ["", "| what must be true | |", "|---|---|"]
    lines += [f"| {rule} | {'holds' if not broken else '**broken**: ' + '; '.join(broken)} |" for rule, broken in found.items()]
    return "\n".join(lines) + "\n"


def version():
    done = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def document(text):
    page = DOCUMENT.read_text()
    begin, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
    DOCUMENT.write_text(page[:begin] + "\n" + text + page[end:])


def whole_run(a, folder):
    def say(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    began = time.monotonic()
    rng = random.Random(a.seed)
    faults = [f for f in Test.FAULTS if not a.only or f.__name__ in a.only]
    rng.shuffle(faults)
    a.network = a.network or rng.choice(NETWORKS)
    print(f"cluster-test: seed {a.seed}, network {a.network}, everything in {folder}", flush=True)
    (folder / "script").write_text(SCRIPT)
    cluster = lab.Lab(folder, BUILD / "topupd", say, options=["rate_per_minute=0", f"network={a.network}", f"network_script={folder / 'script'}"])
    cluster.up()
    world = load.World(lab.BASE_URL, cluster.context(), a.seed, cluster.topupd_says("operator", "cluster").strip())
    load.furnish(world, PARTNERS, PROFILES, PSIMS)
    start_load(world, a.rate)
    loaded = world.now()
    test = Test(cluster, world, rng, say)
    test.run(faults)
    come_to_an_end(cluster, world)
    seconds = world.now() - loaded
    say("all clients have their answers, all orders have ended")
    logs = {p: load.whole_log(world, p) for p in PARTNERS}
    db = snapshot.take(cluster, folder / "snapshot.db")
    story = checker.Story(world.requests, logs, world.followed, world.usage, world.products, BOUND_SECONDS)
    found = checker.check(story, db)
    slow = [f"{what}: {test.measured(begin, end)[0]:.1f} s" for what, begin, end in test.done if test.measured(begin, end)[0] > REFUSED_SECONDS]
    found[f"writes are refused for {REFUSED_SECONDS} s at most"] = slow
    text = report(a, test, story, db, found, seconds, version())
    (BUILD / "cluster-report.md").write_text(text)
    if a.document:
        document(text)
    print("\n" + text)
    for rule, broken in found.items():
        print(f"{'FAIL' if broken else 'pass'}  {rule}")
        for what in broken:
            print(f"      {what}")
    failed = sum(map(bool, found.values()))
    cluster.down()
    print(f"{len(found) - failed} passed, {failed} failed")
    return failed == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--network", choices=NETWORKS, help="the network behind the server; the seed decides by default")
    parser.add_argument("--rate", type=float, default=80, help="orders a second")
    parser.add_argument("--only", type=lambda text: text.split(","), help="these faults: " + ", ".join(f.__name__ for f in Test.FAULTS))
    parser.add_argument("--document", action="store_true", help="put the report into docs/cluster.md")
    a = parser.parse_args()
    if lab.INSIDE not in os.environ:
        words = lab.enter(["/usr/bin/python3", *sys.argv])
        os.execvp(words[0], words)
    lab.live()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="topupd-cluster-test-"))
    try:
        good = whole_run(a, folder)
    except BaseException as e:
        print(f"cluster-test: seed {a.seed}: {type(e).__name__}: {e}\ncluster-test: logs are in {folder}\n0 passed, 1 failed", flush=True)
        if not isinstance(e, (lab.Trouble, AssertionError, KeyboardInterrupt)):
            raise
        return 1
    if good:
        shutil.rmtree(folder)
    else:
        print(f"cluster-test: seed {a.seed}; logs are in {folder}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
