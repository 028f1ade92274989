# SPDX-License-Identifier: Apache-2.0
"""The checker of `make cluster-test` finds what it is there to find: in a true story of one node nothing, and then each thing that is spoilt in it."""
import contextlib
import copy
import shutil
import sqlite3
import sys
import uuid

import pytest

from conftest import ROOT, Demo, wait_for

sys.path.insert(0, str(ROOT / "test/cluster"))
import checker  # noqa: E402
import load  # noqa: E402

pytestmark = pytest.mark.embedded  # read by sqlite3

ORDERS = 80


@pytest.fixture(scope="module")
def true_story(tmp_path_factory):
    """What the load of the cluster's test did to a server of the embedded store: (story, database file)."""
    server = Demo(tmp_path_factory.mktemp("demo"), ["-o", "rate_per_minute=0"])
    world = load.World(server.env["TOPUP_SERVER"], None, "checker", server.env["TOPUP_ADMIN_TOKEN"])
    load.furnish(world, ["one", "two"], profiles=150, psims=10)
    clients = [load.Orders(world, f"orders-{p}-{i}", p, rate=200) for p in world.partners for i in range(2)]
    clients += [load.Usage(world, "usage")] + [load.Follower(world, f"follower-{p}", p) for p in world.partners]
    for client in clients:
        client.start()
    wait_for(lambda: (len(world.answers_between(0)) >= ORDERS and len(world.usage) > 10) or any(c.failure for c in clients), 60, "the load")
    world.stopping.set()
    for client in clients:
        client.join()
        assert not client.failure, client.failure

    def open_orders():
        with contextlib.closing(sqlite3.connect(f"file:{server.data / 'topupd.db'}?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM orders WHERE state < 2").fetchone()[0]

    wait_for(lambda: open_orders() == 0, 30, "the end of all orders")
    logs = {p: load.whole_log(world, p) for p in world.partners}
    assert server.stop() == 0
    assert any(r.body["operation_type"] == "TOPUP" for r in world.requests.values())
    return checker.Story(world.requests, logs, world.followed, world.usage, world.products, 30), server.data / "topupd.db"


@pytest.fixture
def spoilt(true_story, tmp_path):
    """A copy to spoil: (story, connection)."""
    story, path = true_story
    shutil.copyfile(path, tmp_path / "db")
    db = sqlite3.connect(tmp_path / "db")
    yield copy.deepcopy(story), db
    db.close()


def found(story, db):
    return {rule: broken for rule, broken in checker.check(story, db).items() if broken}


def an_order(story, operation="TOPUP"):
    """A request that was acknowledged and its order's id, as text and as bytes."""
    request = next(r for r in story.requests.values() if r.ids and r.body["operation_type"] == operation)
    order_id = min(request.ids)
    return request, order_id, uuid.UUID(order_id).bytes


def test_a_true_story_has_no_fault(spoilt):
    story, db = spoilt
    assert len(story.requests) >= ORDERS and sum(map(len, story.logs.values())) > ORDERS
    assert found(story, db) == {}


def test_a_lost_order_is_found(spoilt):
    story, db = spoilt
    request, order_id, raw = an_order(story)
    db.execute("DELETE FROM subscription WHERE id = ?", (raw,))
    db.execute("DELETE FROM orders WHERE id = ?", (raw,))
    broken = found(story, db)
    assert f"request {request.number} was acknowledged as {order_id}, and that order is lost" in broken["orders are what was answered"]
    assert "the tables agree" in broken


def test_a_doubled_order_is_found(spoilt):
    story, db = spoilt
    request, _, raw = an_order(story, "ACTIVATION")
    other = uuid.uuid4().bytes
    for table in ("orders", "subscription"):
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        values = ", ".join("?1" if c == "id" else "NULL" if c == "reference" else c for c in columns)
        db.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE id = ?2", (other, raw))
    broken = found(story, db)
    assert any(b.startswith(f"request {request.number} made 2 orders") for b in broken["orders are what was answered"])
    assert any(str(uuid.UUID(bytes=other)) in b for b in broken["orders ended once"])
    assert any("a profile of two orders" in b for b in broken["the tables agree"])


def test_an_order_acknowledged_twice_as_two_is_found(spoilt):
    story, db = spoilt
    request, _, _ = an_order(story)
    request.ids.add(str(uuid.uuid4()))
    assert any("as several orders" in b for b in found(story, db)["orders are what was answered"])


def test_a_refused_order_that_is_there_is_found(spoilt):
    story, db = spoilt
    request, _, _ = an_order(story)
    request.ids, request.refused = set(), "409"
    assert any("was refused" in b for b in found(story, db)["orders are what was answered"])


def test_an_order_of_nobody_is_found(spoilt):
    story, db = spoilt
    request, order_id, _ = an_order(story)
    del story.requests[request.number]
    assert found(story, db)["orders are what was answered"] == [f"order {order_id} was asked for by nobody"]


def test_a_request_without_an_answer_is_found(spoilt):
    story, db = spoilt
    story.requests[0] = checker.Request(0, "one", {}, 0)
    assert found(story, db)["orders are what was answered"] == ["request 0 was never answered"]


def test_an_order_that_has_not_ended_is_found(spoilt):
    story, db = spoilt
    _, order_id, raw = an_order(story)
    db.execute("UPDATE orders SET state = 1, finished = NULL WHERE id = ?", (raw,))
    assert f"order {order_id} has not ended: it is FULFILLING" in found(story, db)["orders ended once"]


def test_an_order_that_ended_twice_is_found(spoilt):
    story, db = spoilt
    log = story.logs["one"]
    log.append(dict(next(e for e in log if e["type"] == "order.completed"), sequence=len(log) + 1))
    assert any("2 ends" in b for b in found(story, db)["orders ended once"])


def test_a_gap_in_the_log_is_found(spoilt):
    story, db = spoilt
    del story.logs["two"][5]
    story.followed["one"] = story.followed["one"][:3] + story.followed["one"][4:]
    broken = found(story, db)["the log has no gap"]
    assert "two: the log has event 7 where 6 should be" in broken
    assert "one: who followed the log read event 5 where 4 was to come" in broken


def test_a_gap_in_the_table_and_a_lost_end_of_it_are_found(spoilt):
    story, db = spoilt
    db.execute("DELETE FROM event WHERE sequence = 4")
    assert any("a gap" in b for b in found(story, db)["the tables agree"])
    for log in story.logs.values():
        log.pop()
    ends = [b for b in found(story, db)["the log has no gap"] if "its counter at" in b]
    assert len(ends) == len(story.logs) == 2


def test_an_event_that_was_read_as_another_is_found(spoilt):
    story, db = spoilt
    story.followed["one"][2] = dict(story.followed["one"][2], id="evt_other")
    assert any("was read as" in b for b in found(story, db)["the log has no gap"])


def test_bytes_that_were_booked_twice_or_not_at_all_are_found(spoilt):
    story, db = spoilt
    db.execute("UPDATE subscription SET spent_bytes = spent_bytes + 1 WHERE spent_bytes = (SELECT max(spent_bytes) FROM subscription)")
    broken = found(story, db)
    assert any("bytes were reported and booked" in b for b in broken["balances equal the orders"])
    assert any("a balance without its records" in b for b in broken["the tables agree"])


def test_a_lost_usage_record_is_found(spoilt):
    story, db = spoilt
    record = next(iter(story.usage))
    story.usage["never-came"] = story.usage[record]
    assert any("usage record never-came" in b for b in found(story, db)["balances equal the orders"])


def test_a_wrong_allowance_is_found(spoilt):
    story, db = spoilt
    _, order_id, raw = an_order(story)
    db.execute("UPDATE subscription SET initial_bytes = initial_bytes + 1 WHERE id = ?", (raw,))
    assert any(f"the subscription of order {order_id} began with" in b for b in found(story, db)["balances equal the orders"])


def test_a_long_wait_is_found(spoilt):
    story, db = spoilt
    request, order_id, raw = an_order(story)
    request.answered = request.first + 31
    db.execute("UPDATE orders SET finished = created + 30500 WHERE id = ?", (raw,))
    broken = found(story, db)["nobody waited too long"]
    assert f"request {request.number} was answered after 31.0 s; 30 s are allowed" in broken
    assert f"order {order_id} took 30.5 s; 30 s are allowed" in broken
