# SPDX-License-Identifier: Apache-2.0
"""Usage reported by networks, warnings, the end of a plan, an eSIM's download: against a real daemon, by API and by command line."""
import datetime
import re

import pytest

from conftest import ESIM_PRODUCT, PRODUCT, PSIM, Api, wait_for
from test_topup_cli import BAD_ROWS, LOCAL, REFUSED, USAGE, Topup

MB = 1048576


def at(seconds=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def operator(demo):
    return Api(demo, demo.env["TOPUP_ADMIN_TOKEN"])


@pytest.fixture(scope="module")
def partner(demo):
    return Api(demo)


@pytest.fixture
def topup(demo, tmp_path):
    return Topup(demo, tmp_path / "home")


def admin(demo, path):
    return demo.env["TOPUP_SERVER"] + "/admin/v1" + path


def report(demo, operator, *records, source="ggsn-1"):
    answer = operator.post(admin(demo, "/usage"), {"source": source, "records": list(records)})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == len(records)
    return answer.json()


def record(record_id, size, iccid, **more):
    return {"record_id": record_id, "iccid": iccid, "bytes_up": size // 2, "bytes_down": size - size // 2, "start": at(-1), "end": at(), **more}


def an_esim(partner):
    order = partner.order(operation="ACTIVATION", sim_type="ESIM", product=ESIM_PRODUCT, iccid=None)
    assert order["status"] == "COMPLETED", order
    return order["output"]["iccid"], order["output"]["subscription_id"]


def test_a_plan_is_used_up_and_the_next_one_carries_on(demo, partner, operator):
    iccid, first = an_esim(partner)  # 50 MB
    second = partner.order(operation="TOPUP", sim_type="ESIM", product=ESIM_PRODUCT, iccid=iccid)["output"]["subscription_id"]
    a1 = record("a1", 30 * MB, iccid)
    said = report(demo, operator, a1, record("a2", 30 * MB, iccid), a1, {**a1, "bytes_up": 1})
    assert said["counts"] == {"BOOKED": 3, "PARTLY_BOOKED": 0, "UNRATED": 0, "INVALID": 0, "MISMATCH": 1, "FAILED": 0, "REPEATED": 1}
    assert said["data"][3]["verdict"] == "MISMATCH" and "bytes_up" in said["data"][3]["messages"][0]
    assert said["data"][1]["bookings"] == [{"subscription_id": first, "bytes": 20 * MB}, {"subscription_id": second, "bytes": 10 * MB}]
    one, two = (partner.get(f"/v2/subscriptions/{i}").json() for i in (first, second))
    assert (one["status"], one["current_balance"]) == ("DEPLETED", 0)
    assert (two["status"], two["current_balance"], two["spent_balance"]) == ("ACTIVE", 40 * MB, 10 * MB)
    assert two["balance_as_of"] <= at(1)
    over = report(demo, operator, record("a3", 41 * MB, iccid))["data"][0]
    assert (over["verdict"], over["unrated_bytes"], over["reason"]) == ("PARTLY_BOOKED", MB, "USED_UP")
    unrated = operator.get(admin(demo, f"/usage/unrated?iccid={iccid}")).json()["data"]
    assert [(u["record_id"], u["unrated_bytes"], u["partner"]) for u in unrated] == [("a3", MB, "truphone")]


def test_ten_thousand_records_with_bad_ones_among_them(demo, partner, operator):
    iccid, subscription = an_esim(partner)
    now = at()
    records = [{"record_id": f"b{i}", "iccid": iccid, "bytes_down": 1000, "end": now} for i in range(9990)]
    records[17] = {"record_id": "b17", "iccid": "8944472600000510741", "bytes_down": "many", "end": "yesterday"}
    records[4000] = "nonsense"
    records[9000]["end"] = at(3600)
    said = report(demo, operator, *records)
    assert said["counts"]["BOOKED"] == 9987 and said["counts"]["INVALID"] == 3
    assert {i for i, one in enumerate(said["data"]) if one["verdict"] == "INVALID"} == {17, 4000, 9000}
    assert len(said["data"][17]["messages"]) >= 1 and "future" in said["data"][9000]["messages"][0]
    assert partner.get(f"/v2/subscriptions/{subscription}").json()["spent_balance"] == 9_987_000
    again = report(demo, operator, *records)
    assert again["counts"]["REPEATED"] == 9987
    assert partner.get(f"/v2/subscriptions/{subscription}").json()["spent_balance"] == 9_987_000
    for body in ({}, {"records": []}, {"records": {}}, {"records": [{}] * 10001}):
        assert operator.post(admin(demo, "/usage"), body).status_code == 400
    assert report(demo, operator, {}, source="s")["data"][0]["verdict"] == "INVALID"
    assert partner.post(admin(demo, "/usage"), {"records": [{}]}).status_code == 401


def test_a_profile_is_downloaded_and_deleted(demo, partner, operator):
    iccid, _ = an_esim(partner)
    eid = "89049032000001000000000000000017"

    def tell(point, **more):
        answer = operator.post(admin(demo, f"/sims/{iccid}/download-progress"), {"notification_point": point, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["status"]

    assert tell(3, notification_status="Failed") == "Released"
    assert tell("3", eid=eid) == "Downloaded"
    assert partner.get(f"/v2/sims/{iccid}").json()["eid"] == eid
    assert partner.put(f"/v2/sims/{iccid}", {"eid": eid[:-1] + "8"}).status_code == 409
    assert tell(4, notification_status="Executed-WithWarning") == "Installed"
    assert tell(3) == "Installed"
    assert tell(5) == "Unavailable"
    refused = partner.post("/v2/orders", {"operation_type": "TOPUP", "sim_type": "ESIM", "country": "GB", "product": {"id": ESIM_PRODUCT},
                                          "subscriber": {"sim": {"iccid": iccid}}})
    assert 400 <= refused.status_code < 500
    for body in ({}, {"notification_point": 0}, {"notification_point": "x"}, {"notification_point": 3, "notification_status": "fine"},
                 {"notification_point": 3, "eid": "1"}):
        assert operator.post(admin(demo, f"/sims/{iccid}/download-progress"), body).status_code == 400
    assert operator.post(admin(demo, f"/sims/{PSIM}/download-progress"), {"notification_point": 3}).status_code == 409
    assert operator.post(admin(demo, "/sims/1/download-progress"), {"notification_point": 3}).status_code == 404


def test_a_partner_has_thresholds(demo, topup):
    assert topup.json("partner", "add", "warned", "--name", "Warned")["thresholds"] == [80]
    assert topup.json("partner", "set", "warned", "--thresholds", "95, 50,80")["thresholds"] == [50, 80, 95]
    assert topup.json("partner", "set", "warned", "--cap-day", "3")["thresholds"] == [50, 80, 95]
    assert "1 to 99" in topup.run("partner", "set", "warned", "--thresholds", "50,50", ends=REFUSED).stderr
    assert "1 to 99" in topup.run("partner", "set", "warned", "--thresholds", "100", ends=REFUSED).stderr
    assert "at most" in topup.run("partner", "set", "warned", "--thresholds", "1,2,3,4,5,6,7,8,9", ends=REFUSED).stderr
    topup.run("partner", "set", "warned", "--thresholds", "half", ends=USAGE)
    assert topup.json("partner", "set", "warned", "--thresholds", "")["thresholds"] == [80]


def test_a_file_of_records_is_imported(demo, partner, topup, tmp_path):
    iccid, subscription = an_esim(partner)
    file, bad = tmp_path / "usage.csv", tmp_path / "bad.txt"
    now = at()
    rows = [f"c{i},{iccid},,10,990,{now},{now}" for i in range(4500)]  # more than two pieces
    rows[1] = f"c1,8944472600000510741,,1,1,{now},{now}"
    rows[2] = f"c2,{iccid},,x,1,{now},{now}"
    rows[3] = f"c3,,234209999999999,5,5,{now},{now}"
    rows[4] = f'c4,{iccid},,1,1,"{now},{now}'.replace('"', "", 1) + ",extra,fields,here"
    rows[3000] = f"c3000,{iccid},,1,1,yesterday,{now}"
    file.write_text("record_id,iccid,imsi,bytes_up,bytes_down,start,end\n" + "\n".join(rows) + "\n")
    assert "--source" in topup.run("usage", "import", file, ends=USAGE).stderr
    done = topup.run("usage", "import", file, "--source", "ggsn-2", "--bad", bad, ends=BAD_ROWS)
    told = dict(re.findall(r"^line (\d+): (.+)$", bad.read_text(), re.M))
    assert {"3", "4", "3002"} <= set(told) and "iccid" in told["3"] and "bytes_up" in told["4"] and "start" in told["3002"]
    assert re.search(r"rows/s, 100 %", done.stderr)
    spent = partner.get(f"/v2/subscriptions/{subscription}").json()["spent_balance"]
    assert 4_495_000 <= spent <= 4_496_000
    again = topup.json("usage", "import", file, "--source", "ggsn-2", ends=BAD_ROWS)
    assert again["repeated"] == again["booked"] + again["unrated"] and again["bad"] == len(told) and again["rows"] == 4500
    assert partner.get(f"/v2/subscriptions/{subscription}").json()["spent_balance"] == spent
    listed = topup.json("usage", "unrated", "--source", "ggsn-2")["data"]
    assert [(u["record_id"], u["imsi"], u["reason"]) for u in listed] == [("c3", "234209999999999", "UNKNOWN_SIM")]
    assert "UNKNOWN_SIM" in topup.run("usage", "unrated").stdout
    topup.run("usage", "import", tmp_path / "nowhere.csv", ends=LOCAL)
    file.write_text("record_id,bytes_up,bytes_down,source,start\n")
    assert "msisdn" in topup.run("usage", "import", file, ends=BAD_ROWS).stderr
    file.write_text("colour\n")
    topup.run("usage", "import", file, ends=BAD_ROWS)


def test_a_partner_begins_and_ends_a_subscription(partner, topup):
    order = partner.order(product=PRODUCT, activation_date=at(86400 * 3))
    subscription = order["output"]["subscription_id"]
    assert topup.json("subscription", "show", subscription)["status"] == "PENDING"
    assert topup.json("subscription", "activate", subscription)["status"] == "ACTIVE"
    assert "forbids" in topup.run("subscription", "activate", subscription, ends=REFUSED).stderr
    assert topup.json("subscription", "expire", subscription)["status"] == "EXPIRED"
    topup.run("subscription", "expire", subscription, ends=REFUSED)


def test_a_date_comes_to_the_second(partner):
    begins, ends = at(1), at(3)
    order = partner.order(product=PRODUCT, activation_date=begins, expiration_date=ends)
    subscription = order["output"]["subscription_id"]

    def status():
        return partner.get(f"/v2/subscriptions/{subscription}").json()["status"]

    wait_for(lambda: status() == "EXPIRED", 10, "the end")
    assert at(-2) <= ends <= at()
