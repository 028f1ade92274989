# SPDX-License-Identifier: Apache-2.0
"""Orders that are over, moved into files by `topup archive`: nothing is lost wherever it is cut off, and files are read back."""
import datetime
import gzip
import hashlib
import json
import os
import subprocess

import pytest

from conftest import wait_for
from test_topup_cli import LOCAL, REFUSED, TOPUP, UNREACHABLE, USAGE, Topup


@pytest.fixture
def topup(demo, tmp_path):
    return Topup(demo, tmp_path / "home")


def over(api, n):
    """Orders whose subscriptions have ended."""
    ids = []
    for _ in range(n):
        ended = api.order()
        assert ended["status"] == "COMPLETED"
        assert api.post(f"/v2/subscriptions/{ended['output']['subscription_id']}/expire").status_code == 200
        ids.append(ended["id"])
    return ids


def readable(operator):
    """The ids of the orders that are over by now: to the second, as the command line says it."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = operator.get(f"/admin/v1/archive/orders?before={now}&limit=500")
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[-1] == {"next": None}
    return {line["order"]["id"] for line in lines[:-1]}


def archives(folder):
    return sorted(path.name for path in folder.iterdir())


def test_orders_leave_into_files_and_are_found_there(demo, api, operator, topup, tmp_path):
    folder = tmp_path / "archive"
    running = api.order()["id"]
    ids = over(api, 7)
    wait_for(lambda: readable(operator) >= set(ids), what="orders to be over")
    # A whole order is told about, before and after.
    subscription = api.get(f"/v2/orders/{ids[0]}").json()["output"]["subscription_id"]
    done = topup.json("archive", "create", folder, "--older-than", "0", "--per-file", "3")
    assert done["orders"] == done["dropped"] >= 7 and done["files"] >= 1 and done["gone"] == done["kept"] == 0
    assert all(name.endswith(".jsonl.gz") for name in archives(folder))
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}

    for order in ids:
        gone = api.get(f"/v2/orders/{order}")
        assert gone.status_code == 404 and "were archived" in gone.json()["messages"][0]
    assert api.get(f"/v2/subscriptions/{subscription}").status_code == 404
    assert api.get(f"/v2/orders/{running}").status_code == 200
    assert readable(operator).isdisjoint(ids)

    # What is in the files, read without any code of ours.
    records = {}
    for name in archives(folder):
        header, *lines = gzip.open(folder / name, "rt").read().splitlines(keepends=True)
        header = json.loads(header)
        assert header["archive"] == "topupd orders" and header["orders"] == len(lines)
        assert header["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
        records.update((record["order"]["id"], record) for record in map(json.loads, lines))
    assert set(ids) <= set(records)
    assert records[ids[0]]["subscription"]["id"] == subscription
    assert records[ids[0]]["subscription"]["status"] == "EXPIRED"
    assert records[ids[0]]["order"]["timeline"]

    # And with it.
    listed = topup.json("archive", "list", folder)
    assert sum(one["orders"] for one in listed) == done["orders"] and {one["state"] for one in listed} == {"DONE"}
    assert "ORDERS" in topup.run("archive", "list", folder).stdout
    assert topup.json("archive", "find", ids[3], folder) == records[ids[3]]
    assert topup.json("archive", "find", subscription, folder) == records[ids[0]]
    assert ids[3] in topup.run("archive", "find", ids[3], folder).stdout
    topup.run("archive", "find", running, folder, ends=REFUSED)
    topup.run("archive", "find", "nonsense", folder, ends=USAGE)
    shown = topup.run("archive", "show", folder / archives(folder)[0]).stdout.splitlines()
    assert [json.loads(line) for line in shown]
    assert "whole" in topup.run("archive", "check", folder).stdout

    # Again there is nothing left to do.
    assert topup.json("archive", "create", folder, "--older-than", "0")["orders"] == 0
    assert "Nothing" in topup.run("archive", "create", folder, "--older-than", "400d").stdout


def test_what_was_cut_off_is_gone_on_with(demo, api, operator, topup, tmp_path):
    folder = tmp_path / "archive"
    ids = over(api, 4)
    wait_for(lambda: readable(operator) >= set(ids), what="orders to be over")

    # A copy leaves the store as it was.
    copied = topup.json("archive", "create", folder, "--older-than", "0", "--keep")
    assert copied["orders"] == 4 and copied["dropped"] == 0
    assert readable(operator) >= set(ids)

    # As if it had been killed before anything was removed, and while another file was being written.
    (name,) = archives(folder)
    (folder / name).rename(folder / (name + ".pending"))
    (folder / "records.part").write_bytes(b"half a file")
    (folder / "whole.part").write_bytes(b"half of another")
    assert topup.json("archive", "list", folder)[0]["state"] == "PENDING"
    done = topup.json("archive", "create", folder, "--older-than", "0")
    assert done["dropped"] == 4 and done["files"] == 1
    assert archives(folder) == [name]
    assert readable(operator).isdisjoint(ids)

    # As if it had been killed when all were removed.
    (folder / name).rename(folder / (name + ".pending"))
    done = topup.json("archive", "create", folder, "--older-than", "0")
    assert done["gone"] == 4 and done["dropped"] == 0
    assert archives(folder) == [name]


def test_nothing_leaves_for_a_file_that_is_not_whole(demo, api, operator, topup, tmp_path):
    folder = tmp_path / "archive"
    ids = over(api, 3)
    wait_for(lambda: readable(operator) >= set(ids), what="orders to be over")
    topup.json("archive", "create", folder, "--older-than", "0", "--keep")
    (name,) = archives(folder)
    pending = folder / (name + ".pending")
    whole = (folder / name).read_bytes()
    (folder / name).rename(pending)
    pending.write_bytes(whole[:-9])
    broken = topup.run("archive", "create", folder, "--older-than", "0", ends=LOCAL)
    assert "damaged" in broken.stderr
    assert readable(operator) >= set(ids)
    topup.run("archive", "check", folder, ends=LOCAL)
    pending.write_bytes(whole)

    # What has changed since it was written stays in the store.
    lines = gzip.decompress(whole).decode().splitlines(keepends=True)
    header, records = json.loads(lines[0]), [line.replace('"country":"GB"', '"country":"FR"') for line in lines[1:]]
    header["sha256"] = hashlib.sha256("".join(records).encode()).hexdigest()
    pending.write_bytes(gzip.compress((json.dumps(header) + "\n" + "".join(records)).encode()))
    done = topup.json("archive", "create", tmp_path / "archive", "--older-than", "90d")
    assert done["kept"] == 3 and done["dropped"] == 0
    assert readable(operator) >= set(ids)

    # Two at once: one of them waits for another day.
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert "another topup" in topup.run("archive", "create", folder, "--older-than", "0", ends=LOCAL).stderr
    os.close(held)


def test_a_run_that_is_killed_loses_nothing(demo, api, operator, topup, tmp_path):
    """Killed at any time, several times over: each order is in the store, or in a file, or in both."""
    folder = tmp_path / "archive"
    ids = over(api, 12)
    wait_for(lambda: readable(operator) >= set(ids), what="orders to be over")
    for pause in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08):
        run = subprocess.Popen([TOPUP, "archive", "create", str(folder), "--older-than", "0", "--per-file", "1"], env=topup.env,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait(pause)
        except subprocess.TimeoutExpired:
            run.kill()
        run.wait()
        in_files = set()
        for path in folder.glob("*.jsonl.gz*") if folder.exists() else []:
            in_files.update(json.loads(line)["order"]["id"] for line in gzip.open(path, "rt").read().splitlines()[1:])
        for order in set(ids) - in_files:
            assert api.get(f"/v2/orders/{order}").status_code == 200
    topup.json("archive", "create", folder, "--older-than", "0")
    for order in ids:
        assert api.get(f"/v2/orders/{order}").status_code == 404
        topup.json("archive", "find", order, folder)


def test_what_is_wrong_is_said(demo, operator, topup, tmp_path):
    assert "older-than" in topup.run("archive", "create", tmp_path / "a", ends=USAGE).stderr
    topup.run("archive", "create", tmp_path / "a", "--older-than", "yesterday", ends=USAGE)
    topup.run("archive", "create", tmp_path / "a", "--older-than", "1d", "--partner", "nobody", ends=REFUSED)
    topup.run("archive", "create", "/dev/null", "--older-than", "1d", ends=LOCAL)
    topup.run("archive", "create", tmp_path / "a", "--older-than", "1d", "--server", "http://127.0.0.1:1", ends=UNREACHABLE)
    topup.run("archive", "list", tmp_path / "nowhere", ends=LOCAL)
    topup.run("archive", "show", tmp_path / "nowhere", ends=LOCAL)
    dropped = operator.post("/admin/v1/archive/orders/drop",
                            {"before": "2026-01-01T00:00:00Z", "orders": [{"id": "01a20846-fe00-7221-8b9e-ae1736300001", "sha256": "0" * 64}]})
    assert dropped.status_code == 200 and dropped.json() == {"dropped": 0, "gone": 1, "kept": 0}
