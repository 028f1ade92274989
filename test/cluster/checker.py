# SPDX-License-Identifier: Apache-2.0
"""
What must be true after everything that was done to the cluster: said of what clients were told, of the log as the API tells it, and of the tables.

The tables are a SQLite database, either that of an embedded store or a copy of PostgreSQL's (snapshot.py); so the sentences of test/sim/never.sql,
which the simulation and the torture use, are said of a cluster, too. Nothing here asks a server anything.
"""
import collections
import dataclasses
import pathlib
import re
import uuid

NEVER = pathlib.Path(__file__).resolve().parents[1] / "sim/never.sql"
STATES = ["ACCEPTED", "FULFILLING", "COMPLETED", "FAILED"]
MB = 1 << 20


@dataclasses.dataclass
class Request:
    """One order that a client wanted, under one Idempotency-Key, however often it was asked for. Instants are seconds of one clock."""
    number: int
    partner: str
    body: dict
    first: float
    answered: float = None  # by a 202 or a refusal
    ids: set = dataclasses.field(default_factory=set)  # of all 202s: one is right
    refused: str = None
    attempts: int = 0


@dataclasses.dataclass
class Story:
    requests: dict  # number: Request
    logs: dict  # partner: the events of its log, read from the beginning when all was over
    followed: dict  # partner: the events as they were read while it happened
    usage: dict  # record_id: (bytes, unrated bytes) as answered
    plans: dict  # product id: bytes
    bound_seconds: float


def correlation(number):
    return f"t-{number}-"


def order_rows(db):
    for partner, order_id, text, state, created, finished, product, initial in db.execute(
            "SELECT p.client_id, o.id, o.correlation_id, o.state, o.created, o.finished, r.public_id, s.initial_bytes FROM orders o"
            " JOIN partner p ON p.id = o.partner_id JOIN product r ON r.id = o.product_id LEFT JOIN subscription s ON s.id = o.id"):
        match = re.fullmatch(r"t-(\d+)-", text or "")
        yield {"id": str(uuid.UUID(bytes=order_id)), "partner": partner, "number": int(match[1]) if match else None, "state": STATES[state],
               "created": created / 1000, "finished": finished / 1000 if finished is not None else None, "product": product, "initial": initial}


def orders_are_what_was_answered(story, db):
    by_number = collections.defaultdict(dict)
    for row in order_rows(db):
        by_number[row["number"]][row["id"]] = row
    for number, rows in by_number.items():
        if number not in story.requests:
            yield f"order {min(rows)} was asked for by nobody"
        elif len(rows) > 1:
            yield f"request {number} made {len(rows)} orders: {', '.join(sorted(rows))}"
    for number, request in story.requests.items():
        rows = by_number.get(number, {})
        if len(request.ids) > 1:
            yield f"request {number} was acknowledged as several orders: {', '.join(sorted(request.ids))}"
        if request.ids and not rows:
            yield f"request {number} was acknowledged as {min(request.ids)}, and that order is lost"
        elif request.ids and not request.ids & set(rows):
            yield f"request {number} was acknowledged as {min(request.ids)} and is there as {min(rows)}"
        if request.refused and rows:
            yield f"request {number} was refused ({request.refused}), and order {min(rows)} is there"
        if not request.ids and not request.refused:
            yield f"request {number} was never answered"
        for row in rows.values():
            if row["partner"] != request.partner or row["product"] != request.body["product"]["id"]:
                yield f"order {row['id']} is not what request {number} asked for"


def orders_ended_once(story, db):
    told = collections.Counter()
    for log in story.logs.values():
        told.update((e["data"]["id"], e["type"]) for e in log if e["type"].startswith("order."))
    for row in order_rows(db):
        ends = told[row["id"], "order.completed"] + told[row["id"], "order.failed"]
        begins = told[row["id"], "order.accepted"]
        if row["state"] not in ("COMPLETED", "FAILED"):
            yield f"order {row['id']} has not ended: it is {row['state']}"
        elif ends != 1 or begins != 1:
            yield f"the log tells {begins} acceptances and {ends} ends of order {row['id']}"
        elif not told[row["id"], "order." + row["state"].lower()]:
            yield f"order {row['id']} is {row['state']}, which the log does not tell"


def balances_equal_the_orders(story, db):
    for row in order_rows(db):
        if (row["initial"] is not None) != (row["state"] == "COMPLETED"):
            yield f"order {row['id']} is {row['state']} and {'has no' if row['initial'] is None else 'has a'} subscription"
        elif row["initial"] is not None and row["initial"] != story.plans.get(row["product"]):
            yield f"the subscription of order {row['id']} began with {row['initial']} bytes, its plan has {story.plans.get(row['product'])}"
    for order_id, n in db.execute("SELECT hex(id), count(*) FROM subscription GROUP BY id HAVING count(*) > 1"):
        yield f"order {uuid.UUID(order_id)} made {n} subscriptions"
    records = {r: (total, unrated) for r, total, unrated in db.execute("SELECT record_id, bytes_up + bytes_down, unrated_bytes FROM usage_record")}
    for record, told in story.usage.items():
        if records.get(record) != told:
            yield f"usage record {record} was answered {told} and is there as {records.get(record)}"
    booked = sum(total - unrated for total, unrated in records.values())
    spent = db.execute("SELECT coalesce(sum(spent_bytes), 0) FROM subscription").fetchone()[0]
    if booked != spent:
        yield f"{booked} bytes were reported and booked, {spent} are spent"


def the_log_has_no_gap(story, db):
    last = dict(db.execute("SELECT p.client_id, s.last FROM partner_sequence s JOIN partner p ON p.id = s.partner_id"))
    for partner, log in story.logs.items():
        numbers = [e["sequence"] for e in log]
        wrong = next((i for i, n in enumerate(numbers) if n != i + 1), None)
        if wrong is not None:
            yield f"{partner}: the log has event {numbers[wrong]} where {wrong + 1} should be"
        elif last.get(partner, 0) != len(numbers):
            yield f"{partner}: the log ends at {len(numbers)}, its counter at {last.get(partner, 0)}"
        ids = {e["sequence"]: (e["id"], e["type"]) for e in log}
        for expected, event in enumerate(story.followed.get(partner, []), 1):
            if event["sequence"] != expected:
                yield f"{partner}: who followed the log read event {event['sequence']} where {expected} was to come"
                break
            if ids.get(expected) != (event["id"], event["type"]):
                yield f"{partner}: event {expected} was read as {event['type']} {event['id']}, and is {ids.get(expected)} now"
                break


def nobody_waited_too_long(story, db):
    for request in story.requests.values():
        if request.answered is not None and request.answered - request.first > story.bound_seconds:
            yield f"request {request.number} was answered after {request.answered - request.first:.1f} s; {story.bound_seconds} s are allowed"
    for row in order_rows(db):
        if row["finished"] is not None and row["finished"] - row["created"] > story.bound_seconds:
            yield f"order {row['id']} took {row['finished'] - row['created']:.1f} s; {story.bound_seconds} s are allowed"


def the_tables_agree(_, db):
    parts = re.split(r"^-- never: ", NEVER.read_text(), flags=re.M)
    db.executescript(parts[0].replace("CREATE TEMP VIEW", "CREATE TEMP VIEW IF NOT EXISTS"))
    for part in parts[1:]:
        name, query = part.split("\n", 1)
        row = db.execute(query).fetchone()
        if row:
            yield f"{name}: {row[0]}"


RULES = [orders_are_what_was_answered, orders_ended_once, balances_equal_the_orders, the_log_has_no_gap, nobody_waited_too_long, the_tables_agree]


def check(story, db, most=10):
    """{rule: what breaks it}, in the order of RULES; at most `most` of each, the rest counted."""
    found = {}
    for rule in RULES:
        broken = list(rule(story, db))
        found[rule.__name__.replace("_", " ")] = broken[:most] + ([f"and {len(broken) - most} more"] if len(broken) > most else [])
    return found
