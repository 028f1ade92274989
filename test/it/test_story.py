# SPDX-License-Identifier: Apache-2.0
"""
The life of subscriptions, told through the public API in sandbox time: months in seconds.

Each test has a sandbox partner of its own, whose clock stands at 31 January.
"""
import datetime
import time

import pytest

from conftest import new_sandbox, order_body

GB = 2**30
MONTH = "sandbox-month-00000000000000000000000000000="
DAYS_30 = "sandbox-30-days-000000000000000000000000000="
FIRST_USAGE = "sandbox-first-usage-00000000000000000000000="


def date(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


class Story:
    """A sandbox partner on 31 January, noon."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.api = new_sandbox(server, name)
        year = date(self.clock()).year + 1
        while (year + 1) % 4:  # so that the February after the next January has 29 days
            year += 1
        self.year = year
        self.until(f"{year}-01-31T12:00:00Z")

    def clock(self):
        return self.api.get("/v2/sandbox/clock").json()["now"]

    def until(self, now):
        moved = self.api.post("/v2/sandbox/clock", {"now": now})
        assert moved.status_code == 200, moved.text
        assert date(moved.json()["now"]) - date(now) < datetime.timedelta(seconds=30)

    def advance(self, duration):
        moved = self.api.post("/v2/sandbox/clock", {"advance": duration})
        assert moved.status_code == 200, moved.text
        return moved.json()["now"]

    def sim(self, sim_type="PSIM", **more):
        made = self.api.post("/v2/sandbox/sims", {"sim_type": sim_type, **more})
        assert made.status_code == 201, made.text
        return made.json()["data"][0]["iccid"]

    def buy(self, iccid, product, operation="TOPUP", sim_type="PSIM", **fields):
        order = self.api.order(operation=operation, sim_type=sim_type, iccid=iccid, product=product, **fields)
        assert order["status"] == "COMPLETED", order
        return order

    def plan(self, order):
        return self.api.get(order["_metadata"]["links"]["_subscription"]).json()

    def use(self, iccid, bytes_down, **more):
        used = self.api.post(f"/v2/sandbox/sims/{iccid}/usage", {"bytes_down": bytes_down, **more})
        assert used.status_code == 200, used.text
        return used.json()

    def log(self):
        """All of the partner's events, from the first."""
        events, after = [], 0
        while True:
            answer = self.api.get(f"/v2/events?after={after}&limit=1000")
            assert answer.status_code == 200, answer.text
            page = answer.json()
            events += page["data"]
            if not page["data"]:
                return events
            after = page["data"][-1]["sequence"]

    def events(self, order):
        """What the log says of a completed order's subscription, as (type, date)."""
        subscription = order["output"]["subscription_id"]
        return [(e["type"], e["created_at"]) for e in self.log() if e["data"].get("id") == subscription]

    def event_types(self, order):
        return [kind for kind, _ in self.events(order)]


@pytest.fixture
def story(demo, request):
    return Story(demo, request.node.name[:60])


def test_a_plan_from_activation_to_its_end_and_the_next_one(story):
    began = time.monotonic()
    esim = story.buy(None, MONTH, "ACTIVATION", "ESIM")
    iccid = esim["output"]["iccid"]
    first = story.plan(esim)
    assert first["status"] == "ACTIVE" and first["initial_balance"] == 10 * GB
    # a month from 31 January ends with February
    assert first["activation_date"].startswith(f"{story.year}-01-31T12:00:")
    assert first["expiry_date"].startswith(f"{story.year}-02-28T12:00:")

    second = story.buy(iccid, DAYS_30, sim_type="ESIM")
    assert story.plan(second)["status"] == "ACTIVE"

    # 79 %: nothing is said
    total = 10 * GB
    used = story.use(iccid, total * 79 // 100)
    assert used["verdict"] == "BOOKED" and [b["subscription_id"] for b in used["bookings"]] == [first["id"]]
    assert "subscription.threshold" not in story.event_types(esim)
    # 80 %: said once
    story.use(iccid, total // 100 + 1)
    assert story.event_types(esim).count("subscription.threshold") == 1
    (told,) = [e for e in story.log() if e["type"] == "subscription.threshold"]
    assert told["threshold"] == 80 and told["data"]["id"] == first["id"]
    story.use(iccid, total // 100)
    assert story.event_types(esim).count("subscription.threshold") == 1
    assert story.plan(second)["spent_balance"] == 0, "the one that expires first is used first"

    # used up, in the middle of a record: the second plan takes over
    left = story.plan(esim)["current_balance"]
    story.advance("P10D")
    used = story.use(iccid, left + 1 * GB)
    assert [b["bytes"] for b in used["bookings"]] == [left, 1 * GB]
    depleted, running = story.plan(esim), story.plan(second)
    assert depleted["status"] == "DEPLETED" and depleted["current_balance"] == 0
    assert running["status"] == "ACTIVE" and running["spent_balance"] == 1 * GB
    kind, when = story.events(esim)[-1]
    assert kind == "subscription.depleted" and when.startswith(f"{story.year}-02-10T12:00:")

    # the second ends by its date, the first, which is depleted, stays what it is
    assert running["expiry_date"].startswith(f"{story.year}-03-02T12:00:")
    story.until(f"{story.year}-03-02T11:59:00Z")
    assert story.plan(second)["status"] == "ACTIVE"
    story.until(f"{story.year}-03-02T12:05:00Z")
    assert story.plan(second)["status"] == "EXPIRED"
    assert story.plan(esim)["status"] == "DEPLETED"
    assert story.events(second)[-1] == ("subscription.expired", running["expiry_date"]), "the event carries the instant, not the call's"

    # nothing carries the data any more
    used = story.use(iccid, 5)
    assert used["verdict"] == "UNRATED" and used["unrated_bytes"] == 5 and used["bookings"] == []
    assert time.monotonic() - began < 20


def test_month_ends(story):
    iccid = story.sim(activated=True)
    ends = [story.plan(story.buy(iccid, MONTH))["expiry_date"][:10]]
    story.until(f"{story.year + 1}-01-31T12:00:00Z")  # before a leap year's February
    ends.append(story.plan(story.buy(iccid, MONTH))["expiry_date"][:10])
    story.until(f"{story.year + 1}-02-29T13:00:00Z")
    ends.append(story.plan(story.buy(iccid, MONTH))["expiry_date"][:10])
    assert ends == [f"{story.year}-02-28", f"{story.year + 1}-02-29", f"{story.year + 1}-03-29"]
    story.advance("P1M")
    states = [s["status"] for s in story.api.get(f"/v2/subscriptions?iccid={iccid}").json()["data"]]
    assert states == ["EXPIRED"] * 3


def test_a_plan_waits_for_its_date(story):
    iccid = story.sim(activated=True)
    order = story.buy(iccid, DAYS_30, activation_date=f"{story.year}-06-01T00:00:00Z")
    assert story.plan(order)["status"] == "PENDING"
    story.until(f"{story.year}-05-31T23:59:00Z")
    assert story.plan(order)["status"] == "PENDING"
    # one call carries it through its whole life: each event at its own instant
    story.until(f"{story.year}-12-24T18:00:00Z")
    plan = story.plan(order)
    assert plan["status"] == "EXPIRED"
    assert plan["activation_date"] == f"{story.year}-06-01T00:00:00Z" and plan["expiry_date"] == f"{story.year}-07-01T00:00:00Z"
    assert story.events(order)[-2:] == [("subscription.activated", plan["activation_date"]), ("subscription.expired", plan["expiry_date"])]


def test_a_first_usage_plan_counts_from_the_first_byte(story):
    iccid = story.sim(activated=True)
    order = story.buy(iccid, FIRST_USAGE)
    assert story.plan(order)["status"] == "PENDING_USAGE"
    story.advance("P100D")
    assert story.plan(order)["status"] == "PENDING_USAGE", "it waits as long as it takes"
    now = story.clock()
    story.use(iccid, 1)
    plan = story.plan(order)
    assert plan["status"] == "ACTIVE" and plan["spent_balance"] == 1
    assert date(plan["activation_date"]) - date(now) < datetime.timedelta(seconds=30)
    assert date(plan["expiry_date"]) - date(plan["activation_date"]) == datetime.timedelta(days=7)
    story.advance("P6D")
    assert story.plan(order)["status"] == "ACTIVE"
    story.advance("P1D")
    assert story.plan(order)["status"] == "EXPIRED"


def test_a_profile_from_release_to_deletion_and_no_top_up_after_it(story):
    order = story.buy(None, DAYS_30, "ACTIVATION", "ESIM")
    iccid = order["output"]["iccid"]
    eid = "89" + "0" * 29 + "7"

    def progress(step, **more):
        answer = story.api.post(f"/v2/sandbox/sims/{iccid}/download-progress", {"step": step, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["status"]

    assert story.api.get(f"/v2/sims/{iccid}").json()["status"] == "Released"
    assert progress("DOWNLOADED", notification_status="Failed", eid=eid) == "Released"
    assert progress("DOWNLOADED", eid=eid) == "Downloaded"
    assert progress("INSTALLED", eid=eid) == "Installed"
    assert story.api.get(f"/v2/sims/{iccid}").json()["eid"] == eid
    told = [e["progress"]["notification_status"] for e in story.log() if e["type"] == "sim.download_progress"]
    assert told == ["Failed", "Executed-Success", "Executed-Success"]
    story.buy(iccid, DAYS_30, sim_type="ESIM")
    assert progress("DELETED") == "Unavailable"
    refused = story.api.post("/v2/orders", order_body("TOPUP", "ESIM", DAYS_30, iccid))
    assert refused.status_code == 409 and "Unavailable" in refused.json()["messages"][0], refused.text
    assert story.plan(order)["status"] == "ACTIVE", "what runs is not touched"


def test_a_partner_ends_and_begins_plans_itself(story):
    iccid = story.sim(activated=True)
    order = story.buy(iccid, DAYS_30, activation_date=f"{story.year}-06-01T00:00:00Z")
    activate = story.plan(order)["_metadata"]["links"]["_activate"]
    plan = story.api.post(activate).json()
    assert plan["status"] == "ACTIVE" and plan["activation_date"].startswith(f"{story.year}-01-31T12:00:")
    assert story.api.post(plan["_metadata"]["links"]["_expire"]).json()["status"] == "EXPIRED"
    assert story.api.post(activate).status_code == 409
    story.until(f"{story.year}-08-01T00:00:00Z")
    assert story.event_types(order).count("subscription.expired") == 1
