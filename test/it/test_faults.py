# SPDX-License-Identifier: Apache-2.0
"""Disks and files that are not as they should be: a clear refusal or an orderly retreat, and nothing acknowledged is lost.

A clock that jumps is the simulation's (test/sim, act_jump: hours back and forth between any two steps).
"""
import contextlib
import errno
import hashlib
import os
import pathlib
import resource
import shutil
import sqlite3
import subprocess
import threading
import uuid

import pytest
import requests

import contract
from conftest import BUILD, Api, Demo, order_body, wait_for

pytestmark = pytest.mark.embedded  # its files and the disk under them

QUICK = ("-o", "rate_per_minute=0")


def refused_at_start(folder, *before):
    """What a server says that does not start on this store."""
    ended = subprocess.run([*before, BUILD / "topupd", "serve", "-o", f"store={folder}", "-o", "listen=127.0.0.1:0"],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, (ended.returncode, ended.stdout, ended.stderr)
    said = [line for line in ended.stderr.splitlines() if line.startswith("topupd: ")]
    assert said, ended.stderr
    return "\n".join(said)


def digest(folder):
    """The store's own files, byte for byte."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("topupd.db", "topupd.db-wal") if (folder / name).exists()}


def opened(folder):
    return contextlib.closing(sqlite3.connect(folder / "topupd.db", isolation_level=None))


def whole(folder):
    with opened(folder) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


class Ordering(threading.Thread):
    """Orders until it is told to stop; keeps what was accepted and under which key, and what else was answered."""

    def __init__(self, server):
        super().__init__()
        self.server, self.token = server, server.token()
        self.accepted, self.refused, self.strange = {}, {}, []
        self.enough = threading.Event()
        self.start()

    def run(self):
        session = requests.Session()
        session.hooks["response"].append(contract.check)
        session.headers["Authorization"] = "Bearer " + self.token
        while not self.enough.is_set():
            key = str(uuid.uuid4())
            answer = session.post(self.server.url + "/v2/orders", json=order_body("ACTIVATION", "ESIM", iccid=None), timeout=60,
                                  headers={"Idempotency-Key": key, "X-Correlation-ID": key})
            if answer.status_code == 202:
                self.accepted[key] = answer
            elif answer.status_code == 503 and "nothing was accepted" in answer.json()["messages"][0]:
                self.refused[key] = answer
            else:
                self.strange.append(answer)

    def stop(self):
        self.enough.set()
        self.join()


def orders_of(api, key):
    return [order["id"] for order in api.get("/v2/orders", params={"correlation_id": key}).json()["data"]]


# ---- no room ----

@pytest.fixture
def little_disk(tmp_path):
    """A disk of 12 MB, or a skip where nobody may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    assert subprocess.run(["umount", folder]).returncode == 0


def fill_up(server, folder, ballast):
    """Takes what is left but a little, and lets go of it again."""
    with open(ballast, "wb") as f:
        while True:
            try:
                os.posix_fallocate(f.fileno(), 0, max(shutil.disk_usage(folder).free - 300_000, 4096))
                break
            except OSError as e:  # the orders of a moment took more than was to be left
                if e.errno != errno.ENOSPC:
                    raise
    return lambda: ballast.unlink()


def limit_files(server, folder, _):
    """No file of the server may grow much more: the same error from below, without a disk of its own."""
    largest = max(file.stat().st_size for file in folder.iterdir())
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (largest + 200_000, before[1]))
    return lambda: resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def no_room(folder, ballast, take):
    server = Demo(folder / "data", QUICK)
    try:
        api = Api(server)
        ordering = [Ordering(server) for _ in range(4)]
        wait_for(lambda: all(len(o.accepted) > 10 for o in ordering), 60, "orders")
        give_back = take(server, server.data, ballast)
        wait_for(lambda: all(o.refused for o in ordering), 120, "refusals")
        assert requests.get(server.env["TOPUP_SERVER"] + "/readyz", timeout=60).status_code in (200, 503)  # a small write may still fit
        assert requests.get(server.env["TOPUP_SERVER"] + "/healthz", timeout=60).status_code == 200
        some = next(iter(ordering[0].accepted.values())).json()["id"]
        assert api.get(f"/v2/orders/{some}").status_code == 200, "reading goes on"
        give_back()
        wait_for(lambda: api.get("/readyz").status_code == 200, 60, "readiness")
        count = len(ordering[0].accepted)
        wait_for(lambda: len(ordering[0].accepted) > count, 60, "orders again, without a restart")
        for o in ordering:
            o.stop()
            assert not o.strange, [a.text for a in o.strange]
        for o in ordering:
            for key, answer in o.accepted.items():
                assert api.ended(answer.json()["id"], 120)["status"] in ("COMPLETED", "FAILED")
            for key in list(o.refused)[:20] + list(o.accepted)[-20:]:
                assert orders_of(api, key) == ([o.accepted[key].json()["id"]] if key in o.accepted else []), "said one thing, did another"
        # a refused call's key was left free: the same call is made now
        key = next(iter(ordering[0].refused))
        again = api.post("/v2/orders", order_body("ACTIVATION", "ESIM", iccid=None), headers={"Idempotency-Key": key})
        assert again.status_code == 202 and "Idempotent-Replayed" not in again.headers
    finally:
        server.process.terminate()
        server.process.wait(30)
    assert server.process.returncode == 0
    whole(server.data)


def test_a_full_disk(little_disk):
    no_room(little_disk, little_disk / "ballast", fill_up)


def test_a_limit_of_file_sizes(tmp_path):
    no_room(tmp_path, tmp_path / "ballast", limit_files)


def test_a_disk_that_is_full_from_the_start(little_disk):
    with open(little_disk / "ballast", "wb") as f:
        os.posix_fallocate(f.fileno(), 0, shutil.disk_usage(little_disk).free - 8192)
    said = refused_at_start(little_disk / "data")
    assert "disk is full" in said or "No space left" in said, said
    (little_disk / "ballast").unlink()
    server = Demo(little_disk / "data", QUICK)  # what was begun is no obstacle
    assert server.stop() == 0


# ---- no right to write ----

def test_a_folder_that_nobody_may_write(new_demo, tmp_path):
    server = new_demo(*QUICK, data=tmp_path / "data")
    server.stop()
    before = digest(server.data)
    # root may write anywhere unless it gives that up
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    empty = tmp_path / "empty"
    empty.mkdir()
    lock = server.data / "topupd.lock"
    for folder, mode in ((server.data, 0o500), (empty, 0o500)):
        folder.chmod(mode)
        locked = lock.rename(tmp_path / "lock") if folder == server.data else None
        try:
            said = refused_at_start(folder, *powerless)
        finally:
            folder.chmod(0o700)
            if locked:
                locked.rename(lock)
        assert str(folder) in said and "Permission denied" in said, said
    (server.data / "topupd.db").chmod(0o400)
    said = refused_at_start(server.data, *powerless)
    assert "topupd.db" in said and "Permission denied" in said, said
    (server.data / "topupd.db").chmod(0o600)
    assert digest(server.data) == before
    assert Api(new_demo(*QUICK, data=tmp_path / "data")).order()["status"] == "COMPLETED"


# ---- not our file ----

def test_a_store_of_a_newer_version(new_demo, tmp_path):
    server = new_demo(*QUICK, data=tmp_path / "data")
    placed = Api(server).order()["id"]
    server.stop()
    with opened(server.data) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {version + 1}")
    before = digest(server.data)
    said = refused_at_start(server.data)
    assert f"version {version + 1}" in said and "start a newer topupd" in said, said
    assert digest(server.data) == before, "it has touched what it does not know"
    with opened(server.data) as db:
        db.execute(f"PRAGMA user_version = {version}")
    assert Api(new_demo(*QUICK, data=tmp_path / "data")).get(f"/v2/orders/{placed}").json()["status"] == "COMPLETED"


@pytest.mark.parametrize("content", [b"x" * 8192, b"SQLite format 3\0" + b"\xff" * 8176, None], ids=["text", "header only", "another's"])
def test_a_file_that_is_not_ours(tmp_path, content):
    folder = tmp_path / "data"
    folder.mkdir()
    if content:
        (folder / "topupd.db").write_bytes(content)
    else:
        with opened(folder) as db:
            db.execute("CREATE TABLE diary (day TEXT, secret TEXT)")
    before = digest(folder)
    said = refused_at_start(folder)
    assert "topupd.db" in said or str(folder) in said or "damaged" in said, said
    assert digest(folder) == before, "it has written into a file that is not ours"


# ---- damaged ----

@pytest.fixture(scope="module")
def used_store(tmp_path_factory):
    """A store with some history, all of it in its one file."""
    server = Demo(tmp_path_factory.mktemp("used"), QUICK)
    api = Api(server)
    for i in range(30):
        api.order() if i < 10 else api.order(operation="ACTIVATION", sim_type="ESIM", iccid=None)
    assert server.stop() == 0
    return server.data


def start_on(folder):
    """Starts a server; None when it refuses, which must be said clearly."""
    log = open(folder / "serve.log", "w+b")
    process = subprocess.Popen([BUILD / "topupd", "demo", "--listen", "127.0.0.1:0", "--data", folder, *QUICK], stdout=log, stderr=log)
    env = folder / "demo.env"
    wait_for(lambda: process.poll() is not None or (env.exists() and b"event=server.ready" in (folder / "serve.log").read_bytes()), 60,
             "an end or a beginning")
    log.close()
    if process.poll() is None:
        return process
    assert process.returncode == 1, (process.returncode, (folder / "serve.log").read_text())
    assert "topupd: " in (folder / "serve.log").read_text()
    return None


def survives(process, folder):
    """Whatever the damage, each call is answered, and the server lives."""
    server = type("Server", (), {"url": None, "verify": None})
    env = dict(line.split("=", 1) for line in (folder / "demo.env").read_text().splitlines() if "=" in line)
    server.url = env["BASE_URL"]
    token = requests.post(env["TOPUP_SERVER"] + "/auth/realms/tru-staff/protocol/openid-connect/token", timeout=30,
                          data={"grant_type": "client_credentials", "client_id": env["CLIENT_ID"], "client_secret": env["CLIENT_SECRET"]})
    if token.status_code == 200:
        api = Api(server, token.json()["access_token"])
        for path in ("/v2/orders?page_size=100", "/v2/products", "/v2/sims", "/v2/subscriptions?page_size=100"):
            answer = api.get(path)
            assert answer.status_code in (200, 500, 503), answer.text
        for _ in range(5):
            answer = api.post("/v2/orders", order_body())
            assert answer.status_code in (202, 400, 403, 409, 500, 503), answer.text
    else:
        assert token.status_code in (400, 401, 500, 503), token.text
    assert requests.get(env["TOPUP_SERVER"] + "/healthz", timeout=30).status_code == 200
    assert process.poll() is None


def copy_of(used_store, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(used_store, folder)
    (folder / "demo.env").unlink()
    return folder, folder / "topupd.db"


def try_it(folder):
    process = start_on(folder)
    if process is None:
        return False
    try:
        survives(process, folder)
    finally:
        process.terminate()
        assert process.wait(30) in (0, 1)
    return True


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.1, 0.01])
def test_a_file_cut_short(used_store, tmp_path, kept):
    folder, file = copy_of(used_store, tmp_path)
    os.truncate(file, int(file.stat().st_size * kept))
    try_it(folder)


@pytest.mark.parametrize("seed", range(8))
def test_pages_overwritten(used_store, tmp_path, seed):
    folder, file = copy_of(used_store, tmp_path)
    pages = file.stat().st_size // 4096
    with open(file, "r+b") as f:
        for i in range(1 + seed * 2):
            noise = b"".join(hashlib.sha256(f"{seed}-{i}-{n}".encode()).digest() for n in range(128))
            f.seek((1 + (seed * 7919 + i * 104729) % (pages - 1)) * 4096)
            f.write(noise)
    try_it(folder)


def test_a_log_cut_short_is_what_a_crash_leaves(new_demo, tmp_path):
    """The end of the log is lost with the disk's cache, as if the sync had lied: the store is whole up to there."""
    server = new_demo(*QUICK, data=tmp_path / "data")
    api = Api(server)
    for _ in range(20):
        api.order(operation="ACTIVATION", sim_type="ESIM", iccid=None)
    server.kill()
    log = server.data / "topupd.db-wal"
    assert log.stat().st_size > 100_000
    for kept in (0.9, 0.5, 0.1):
        os.truncate(log, int(log.stat().st_size * kept))
        folder = tmp_path / f"copy{kept}"
        shutil.copytree(server.data, folder)
        again = Demo(folder, QUICK)
        assert Api(again).order()["status"] == "COMPLETED"
        assert again.stop() == 0
        whole(folder)
