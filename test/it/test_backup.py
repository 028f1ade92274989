# SPDX-License-Identifier: Apache-2.0
"""Backup under load and restore: one consistent state with everything that was acknowledged before it began."""
import sqlite3
import subprocess
import threading

import pytest
import requests

from conftest import BUILD, ESIM_PRODUCT, Api, order_body, wait_for
from torture import sentences

pytestmark = pytest.mark.embedded  # its backup


def topupd(*words, ends=0):
    done = subprocess.run([BUILD / "topupd", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == ends, done.stderr
    return done


def dump(path):
    db = sqlite3.connect(path)
    lines = list(db.iterdump())
    db.close()
    return lines


def place(server, token, accepted, stop):
    session = requests.Session()
    session.headers["Authorization"] = "Bearer " + token
    while not stop.is_set():
        answer = session.post(server.url + "/v2/orders", json=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None), timeout=30)
        assert answer.status_code == 202, answer.text
        accepted.append(answer.json()["id"])


def test_backup_under_load(new_demo, tmp_path):
    data, copies = tmp_path / "data", []
    server = new_demo("-o", "rate_per_minute=0", "-o", "log_level=warn", data=data)
    accepted, stop = [], threading.Event()
    threads = [threading.Thread(target=place, args=(server, server.token(), accepted, stop)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for i in range(5):
            at_least = len(accepted) + 30
            wait_for(lambda: len(accepted) >= at_least, 60, "orders")
            before = set(accepted)
            copies.append((tmp_path / f"backup{i}", before))
            topupd("backup", "--data", data, copies[-1][0])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert server.stop() == 0
    assert len(accepted) > len(copies[-1][1]), "nothing was accepted while the last backup was made"

    views, never = sentences()
    for path, before in copies:
        assert path.stat().st_mode & 0o777 == 0o600
        db = sqlite3.connect(path)
        db.executescript(views)
        for what, sql in never:
            assert db.execute(sql).fetchone() is None, what
        ids = {r[0].lower() for r in db.execute("SELECT hex(id) FROM orders")}
        db.close()
        assert {i.replace("-", "") for i in before} <= ids, "an order acknowledged before the backup is not in it"
        assert ids <= {i.replace("-", "") for i in accepted}

    path, before = copies[-1]
    restored = tmp_path / "restored"
    topupd("restore", "--data", restored, path)
    assert dump(restored / "topupd.db") == dump(path)
    again = new_demo("-o", "rate_per_minute=0", data=restored)
    api = Api(again)
    for order_id in before:
        assert api.ended(order_id, 60)["status"] in ("COMPLETED", "FAILED")  # FAILED: the stock of profiles was used up
    assert api.order()["status"] == "COMPLETED"


def test_backup_of_what_a_killed_server_left(new_demo, tmp_path):
    server = new_demo(data=tmp_path / "data")
    order = Api(server).order()
    server.kill()
    topupd("backup", "--data", tmp_path / "data", tmp_path / "backup")
    topupd("restore", "--data", tmp_path / "restored", tmp_path / "backup")
    assert Api(new_demo(data=tmp_path / "restored")).get(f"/v2/orders/{order['id']}").json()["status"] == "COMPLETED"
    server.start()
    assert Api(server).get(f"/v2/orders/{order['id']}").json()["status"] == "COMPLETED", "the store is as it was"


def test_what_is_refused(new_demo, tmp_path):
    data, file = tmp_path / "data", tmp_path / "backup"
    server = new_demo(data=data)
    assert "needs a file" in topupd("backup", "--data", data, ends=2).stderr
    assert "topupd.db: cannot be read" in topupd("backup", "--data", tmp_path / "nowhere", file, ends=1).stderr
    topupd("backup", "--data", data, file)
    assert "is there already" in topupd("backup", "--data", data, file, ends=1).stderr
    assert "is not empty" in topupd("restore", "--data", data, file, ends=1).stderr
    assert Api(server).order()["status"] == "COMPLETED"

    whole = file.read_bytes()
    fresh = tmp_path / "fresh"
    for name, content in (("cut", whole[: len(whole) // 2]), ("empty", b""), ("text", b"not a database\n" * 400),
                          ("damaged", whole[:40960] + bytes(8192) + whole[49152:])):
        bad = tmp_path / name
        bad.write_bytes(content)
        assert "is not a whole backup" in topupd("restore", "--data", fresh, bad, ends=1).stderr, name
        assert not fresh.exists(), "something was left behind"
    (tmp_path / "backup2.part").write_text("")
    assert "has broken off" in topupd("backup", "--data", data, tmp_path / "backup2", ends=1).stderr
    assert "is not a whole" not in topupd("restore", "--data", fresh, file).stderr


def test_the_client_has_the_words_too(new_demo, tmp_path):
    order = Api(new_demo(data=tmp_path / "data")).order()
    env = {"PATH": "/nowhere", "HOME": str(tmp_path)}  # no server is configured, none is asked

    def topup(*args):
        return subprocess.run([BUILD / "topup", *map(str, args)], env=env, capture_output=True, text=True, timeout=120)

    done = topup("backup", "--data", tmp_path / "data", tmp_path / "backup")
    assert done.returncode == 0 and "a whole copy" in done.stdout, done.stderr
    assert topup("backup", "--data", tmp_path / "data", tmp_path / "backup").returncode == 1
    assert topup("backup", "--data", tmp_path / "data").returncode == 2
    assert topup("restore", "--data", tmp_path / "again", tmp_path / "backup").returncode == 0
    assert Api(new_demo(data=tmp_path / "again")).get(f"/v2/orders/{order['id']}").json()["status"] == "COMPLETED"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "topup").write_bytes((BUILD / "topup").read_bytes())
    (tmp_path / "bin" / "topup").chmod(0o755)
    lonely = subprocess.run([tmp_path / "bin" / "topup", "backup", "--data", "data", "file"], env=env, capture_output=True, text=True, timeout=120)
    assert lonely.returncode == 7 and "has to be on this machine" in lonely.stderr
