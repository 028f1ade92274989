# SPDX-License-Identifier: Apache-2.0
"""All four kinds of order, their dates and money, lists, caps, links: connect-v2 sections 4 to 8 through the running server."""
import concurrent.futures
import datetime
import subprocess

import pytest

from conftest import ESIM_PRODUCT, PRODUCT, PSIM, Api, order_body, wait_for

UTC = datetime.timezone.utc


def date(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def text(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def subscription_of(api, order):
    return api.get(order["_metadata"]["links"]["_subscription"]).json()


@pytest.fixture(scope="module")
def idle_psim(demo):
    """Hands out pSIMs of the demo that were never activated."""
    listed = Api(demo, demo.env["TOPUP_ADMIN_TOKEN"]).get("/admin/v1/sims?partner=truphone&service=STOCK&sim_type=PSIM&page_size=100").json()["data"]
    free = [sim["iccid"] for sim in listed]
    return free.pop


def test_activation_of_an_esim(api):
    order = api.order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None))
    assert order["status"] == "COMPLETED"
    output, links = order["output"], order["_metadata"]["links"]
    assert set(output) == {"iccid", "subscription_id", "matching_id"}
    assert set(links) == {"_self", "_sim", "_subscription", "_lpa", "_qrcode", "_smdp"}
    assert links["_lpa"] == f"1${links['_smdp']}${output['matching_id']}"
    sim = api.get(links["_sim"]).json()
    assert sim["status"] == "Released" and sim["matching_id"] == output["matching_id"]
    assert sim["_metadata"]["links"]["_lpa"] == "LPA:" + links["_lpa"]
    subscription = subscription_of(api, order)
    assert subscription["status"] == "ACTIVE" and subscription["name"] == "Plan name"
    assert subscription["initial_balance"] == 50 * 1024**2
    assert date(subscription["expiry_date"]) - date(subscription["activation_date"]) == datetime.timedelta(days=90)
    # and a top-up of it
    again = api.order(body=order_body("TOPUP", "ESIM", ESIM_PRODUCT, output["iccid"]))
    assert again["status"] == "COMPLETED" and again["output"]["iccid"] == output["iccid"]
    listed = api.get(sim["_metadata"]["links"]["_subscriptions"]).json()["data"]
    assert {s["id"] for s in listed} == {output["subscription_id"], again["output"]["subscription_id"]}


def test_activation_of_a_psim(api, idle_psim):
    iccid = idle_psim()
    assert api.get(f"/v2/sims/{iccid}").status_code == 404, "a pSIM that was never activated is not shown"
    refused = api.post("/v2/orders", order_body("TOPUP", iccid=iccid))
    assert refused.status_code == 409, refused.text
    order = api.order(body=order_body("ACTIVATION", iccid=iccid))
    assert order["status"] == "COMPLETED" and set(order["output"]) == {"iccid", "subscription_id"}
    sim = api.get(f"/v2/sims/{iccid}").json()
    assert sim["sim_type"] == "PSIM" and "status" not in sim
    assert api.post("/v2/orders", order_body("ACTIVATION", iccid=iccid)).status_code == 409
    assert api.order(body=order_body("TOPUP", iccid=iccid))["status"] == "COMPLETED"


def test_the_qr_image_decodes_to_the_exact_lpa_string(api, tmp_path):
    order = api.order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None))
    links = order["_metadata"]["links"]
    for address, accept, head in ((links["_qrcode"], "image/png", b"\x89PNG"), (links["_qrcode"] + ".png", "*/*", b"\x89PNG")):
        image = api.get(address, headers={"Accept": accept})
        assert image.status_code == 200 and image.content.startswith(head)
        path = tmp_path / "qr.png"
        path.write_bytes(image.content)
        out = subprocess.run(["zbarimg", "-q", "--raw", path], capture_output=True, text=True, check=True).stdout
        assert out.strip() == "LPA:" + links["_lpa"]
    svg = api.get(links["_qrcode"], headers={"Accept": "image/svg+xml"})
    assert svg.headers["Content-Type"].startswith("image/svg+xml") and svg.text.lstrip().startswith("<")
    assert api.get(links["_qrcode"] + ".svg").text == svg.text


def test_a_future_activation_waits(api):
    start = datetime.datetime.now(UTC).replace(microsecond=0) + datetime.timedelta(days=3)
    order = api.order(activation_date=text(start))
    assert order["status"] == "COMPLETED", "completed as soon as everything is prepared"
    waiting = subscription_of(api, order)
    assert waiting["status"] == "PENDING" and waiting["activation_date"] == text(start)
    assert waiting["expiry_date"] == text(start + datetime.timedelta(days=30))
    links = waiting["_metadata"]["links"]
    started = api.post(links["_activate"])
    assert started.status_code == 200 and started.json()["status"] == "ACTIVE"
    assert "_activate" not in started.json()["_metadata"]["links"]
    assert api.post(links["_activate"]).status_code == 409
    ended = api.post(links["_expire"])
    assert ended.status_code == 200 and ended.json()["status"] == "EXPIRED"
    assert "_expire" not in ended.json()["_metadata"]["links"]
    assert api.post(links["_expire"]).status_code == 409


def test_dates_with_an_offset_and_an_earlier_end(api):
    start = datetime.datetime.now(UTC).replace(microsecond=0) + datetime.timedelta(days=1)
    end = start + datetime.timedelta(days=2)
    offset = datetime.timezone(datetime.timedelta(hours=-3))
    order = api.order(activation_date=start.astimezone(offset).isoformat(timespec="milliseconds"), expiration_date=text(end))
    subscription = subscription_of(api, order)
    assert subscription["activation_date"] == text(start) and subscription["expiry_date"] == text(end)
    assert subscription["initial_balance"] == 5 * 1024**3
    too_late = api.post("/v2/orders", order_body(expiration_date=text(start + datetime.timedelta(days=31))))
    assert too_late.status_code == 400 and "product.expiration_date" in too_late.json()["messages"][0]


@pytest.mark.parametrize("price,currency,shown", [(20, "EUR", 20), ("20.50", "EUR", 20.5), (0, "EUR", 0), (0.1, "EUR", 0.1), ("19.99", "USD", 19.99),
                                                  (900, "JPY", 900), ("5.255", "KWD", 5.255), (12345678.91, "EUR", 12345678.91)])
def test_money_is_exact(api, idle_psim, price, currency, shown):
    order = api.order(body=order_body("ACTIVATION", "ESIM", PRODUCT, None, sold_price=price, sold_currency=currency))
    subscription = subscription_of(api, order)
    assert subscription["sold_product_price"] == shown and subscription["sold_product_currency"] == currency


def test_text_that_means_something_elsewhere_is_kept_as_text(api, operator):
    evil = ["x'; DROP TABLE orders; --", '"); DELETE FROM sim; --', "%s%n{0}${7*7}", "<script>alert(1)</script>", "../../etc/passwd", "\u202e\U0001f600 \u00e9"]
    for text_ in evil:
        body = order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None) | {"reference": text_}
        body["subscriber"] |= {"first_name": text_, "last_name": text_, "device": {"model": text_, "id": text_}}
        order = api.order(body=body)
        assert order["status"] == "COMPLETED" and order["reference"] == text_
        kept = operator.get(f"/admin/v1/orders/{order['id']}").json()["subscriber"]
        assert {kept["first_name"], kept["last_name"], kept["device"]["model"], kept["device"]["id"]} == {text_}
        assert [o["id"] for o in api.get("/v2/orders", params={"reference": text_}).json()["data"]] == [order["id"]]
    assert api.get("/v2/orders").json()["_metadata"]["page_count"] >= 1 and api.get("/v2/sims").json()["data"]


def test_an_iccid_as_a_number(api):
    body = order_body()
    body["subscriber"]["sim"]["iccid"] = int(PSIM)
    assert api.order(body=body)["output"]["iccid"] == PSIM


def test_lists_and_filters(api):
    mark = "list-and-filter"
    made = []
    for i in range(3):
        answer = api.post("/v2/orders", order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None) | {"reference": f"{mark}-{i}"},
                          headers={"X-Correlation-ID": mark})
        assert answer.headers["X-Correlation-ID"] == mark
        made.append(api.ended(answer.json()["id"]))
    ids = [order["id"] for order in made]
    page = api.get(f"/v2/orders?correlation_id={mark}").json()
    assert [order["id"] for order in page["data"]] == ids[::-1], "newest first"
    assert page["_metadata"]["page_count"] == 1
    one = api.get(f"/v2/orders?correlation_id={mark}&page_size=1&page=2").json()
    assert [order["id"] for order in one["data"]] == [ids[1]] and one["_metadata"]["page_count"] == 3
    assert api.get(one["_metadata"]["links"]["_next"]).json()["data"][0]["id"] == ids[0]
    assert api.get(one["_metadata"]["links"]["_prev"]).json()["data"][0]["id"] == ids[2]
    beyond = api.get(f"/v2/orders?correlation_id={mark}&page=99").json()
    assert beyond["data"] == []
    assert api.get(f"/v2/orders?reference={mark}-1").json()["data"][0]["id"] == ids[1]
    assert api.get(f"/v2/orders?iccid={made[2]['output']['iccid']}").json()["data"][0]["id"] == ids[2]
    assert all(o["status"] == "COMPLETED" for o in api.get("/v2/orders?status=COMPLETED").json()["data"])
    for bad in ("page=0", "page_size=101", "page=x", "status=DONE", "before=yesterday"):
        assert api.get("/v2/orders?" + bad).status_code == 400, bad


def test_products(api):
    page = api.get("/v2/products?page_size=100").json()
    by_id = {p["id"]: p for p in page["data"]}
    assert by_id[PRODUCT]["sim_type"] == ["ESIM", "PSIM"] or set(by_id[PRODUCT]["sim_type"]) == {"ESIM", "PSIM"}
    plan = by_id[ESIM_PRODUCT]
    assert (plan["name"], plan["duration"], plan["duration_unit"], plan["data"], plan["data_unit"], plan["price"], plan["price_currency"],
            plan["footprint_code"]) == ("Plan name", 90, "DAYS", 50, "MB", 20, "EUR", "GLOBAL")
    assert api.get(plan["_metadata"]["links"]["_self"]).json() == plan
    assert all("PSIM" in p["sim_type"] for p in api.get("/v2/products?sim_type=PSIM&page_size=100").json()["data"])
    assert {p["price_currency"] for p in api.get("/v2/products?currency=USD&page_size=100").json()["data"]} == {"USD"}
    assert {p["footprint_code"] for p in api.get("/v2/products?footprint_code=USA&page_size=100").json()["data"]} == {"USA"}


def test_eid_and_preferences(api):
    order = api.order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None))
    iccid = order["output"]["iccid"]
    eid = "89049032000001000000012345678901"
    assert api.put(f"/v2/sims/{iccid}", {"eid": eid}).json()["eid"] == eid
    assert api.put(f"/v2/sims/{iccid}", {"eid": "12"}).status_code == 400
    base = f"/v2/sims/{iccid}/preferences"
    assert api.get(base).json()["notifications"] == []
    address = "https://user:secret@hooks.example.com/usage"
    assert api.put(base + "/notifications/USAGE_THRESHOLD", {"webhook_url": address}).status_code == 200
    assert api.post(base + "/notifications/SUBSCRITPION_END", {"webhook_url": address}).status_code == 200
    assert {(n["type"], n["webhook_url"]) for n in api.get(base).json()["notifications"]} == {
        ("USAGE_THRESHOLD", address), ("SUBSCRIPTION_END", address)}
    assert api.delete(base + "/notifications/USAGE_THRESHOLD").status_code == 204
    assert [n["type"] for n in api.get(base).json()["notifications"]] == ["SUBSCRIPTION_END"]
    assert api.put(base + "/notifications/USAGE_THRESHOLD", {"webhook_url": "ftp://x"}).status_code == 400
    assert api.put(base + "/notifications/NOTHING", {"webhook_url": address}).status_code in (400, 404)


def test_fifteen_unfinished_subscriptions_on_a_sim(api, idle_psim):
    iccid = idle_psim()
    assert api.order(body=order_body("ACTIVATION", iccid=iccid))["status"] == "COMPLETED"
    for _ in range(14):
        assert api.post("/v2/orders", order_body(iccid=iccid)).status_code == 202
    refused = api.post("/v2/orders", order_body(iccid=iccid))
    assert refused.status_code == 409 and refused.json()["type"] == "CONFLICT", refused.text
    wait_for(lambda: len(api.get(f"/v2/subscriptions?iccid={iccid}&page_size=100").json()["data"]) == 15, 10, "15 subscriptions")
    last = api.get(f"/v2/subscriptions?iccid={iccid}/&page_size=100").json()["data"][-1]
    assert api.post(last["_metadata"]["links"]["_expire"]).status_code == 200
    assert api.order(iccid=iccid)["status"] == "COMPLETED"


def new_partner(demo, operator, client_id, **fields):
    made = operator.post("/admin/v1/partners", {"client_id": client_id, "name": client_id, **fields})
    assert made.status_code == 201, made.text
    product = {"name": "Own plan", "sim_type": ["ESIM", "PSIM"], "duration": 30, "duration_unit": "DAYS", "data": 1, "data_unit": "GB",
               "price": "10", "price_currency": "EUR", "footprint_code": "EUROPE"}
    put = operator.put(f"/admin/v1/partners/{client_id}/products/{PRODUCT}", product)
    assert put.status_code in (200, 201), put.text
    return Api(demo, demo.token(client_id, made.json()["client_secret"]))


def test_another_partner_sees_nothing_of_it(demo, api, operator):
    other = new_partner(demo, operator, "other-partner")
    order = api.order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None))
    links = order["_metadata"]["links"]
    for address in (links["_self"], links["_sim"], links["_subscription"], links["_sim"] + "/preferences"):
        denied = other.get(address)
        assert denied.status_code == 403 and denied.json()["type"] == "ACCESS_DENIED", denied.text
    assert other.post("/v2/orders", order_body()).status_code == 403, "another partner's SIM"
    assert other.get(f"/v2/products/{ESIM_PRODUCT}").status_code == 404
    assert other.get(f"/v2/products/{PRODUCT}").json()["price"] == 10, "prices differ from partner to partner"
    for listing in ("/v2/orders", "/v2/sims", "/v2/subscriptions"):
        assert other.get(listing).json()["data"] == []
    assert other.post(links["_subscription"] + "/expire").status_code == 403


def test_caps_and_required_fields(demo, operator):
    partner = new_partner(demo, operator, "capped", cap_day=2, required_fields=["first_name", "last_name"], currencies=["EUR"])
    body = order_body("ACTIVATION", "ESIM", PRODUCT, None)
    missing = partner.post("/v2/orders", body)
    assert missing.status_code == 400
    assert any("subscriber.first_name" in m for m in missing.json()["messages"]) and any("subscriber.last_name" in m for m in missing.json()["messages"])
    body["subscriber"] |= {"first_name": "A", "last_name": "B"}
    body["product"] |= {"sold_price": 1, "sold_currency": "USD"}
    assert "product.sold_currency" in partner.post("/v2/orders", body).json()["messages"][0]
    body["product"]["sold_currency"] = "EUR"
    for _ in range(2):
        assert partner.order(body=body)["status"] == "COMPLETED"
    over = partner.post("/v2/orders", body)
    assert over.status_code == 406 and over.json()["type"] == "UNACCEPTABLE"
    top_up = order_body("TOPUP", "ESIM", PRODUCT, partner.get("/v2/sims").json()["data"][0]["iccid"])
    assert partner.order(body=top_up)["status"] == "COMPLETED", "the cap counts activations only"


def test_a_cap_holds_when_many_ask_at_once(demo, operator):
    partner = new_partner(demo, operator, "capped-month", cap_month=5)
    token = partner.session.headers["Authorization"][7:]

    def ask(_):
        return Api(demo, token).post("/v2/orders", order_body("ACTIVATION", "ESIM", PRODUCT, None)).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(16)))
    assert sorted(statuses) == [202] * 5 + [406] * 11
    assert partner.get("/v2/orders").json()["_metadata"]["page_count"] == 1 and len(partner.get("/v2/orders").json()["data"]) == 5


def test_a_partners_currencies(demo, operator):
    partner = new_partner(demo, operator, "currencies", currencies=["EUR", "JPY"])

    def sell(price, currency):
        return partner.post("/v2/orders", order_body("ACTIVATION", "ESIM", PRODUCT, None, sold_price=price, sold_currency=currency))

    for price, currency, status in ((1, "EUR", 202), (100, "JPY", 202), (1, "USD", 400), (1, "KWD", 400), (1.5, "JPY", 400)):
        assert sell(price, currency).status_code == status, (price, currency)
    assert operator.call("PATCH", "/admin/v1/partners/currencies", json={"currencies": ["USD"]}).status_code == 200
    wait_for(lambda: sell(1, "USD").status_code == 202, 5, "USD")
    assert sell(1, "EUR").status_code == 400
    assert operator.call("PATCH", "/admin/v1/partners/currencies", json={"currencies": []}).status_code == 200
    wait_for(lambda: sell(1, "KWD").status_code == 202, 5, "every currency")


def test_a_disabled_partner_and_a_rotated_secret(demo, operator):
    import requests
    made = operator.post("/admin/v1/partners", {"client_id": "leaving", "name": "Leaving"}).json()
    partner = Api(demo, demo.token("leaving", made["client_secret"]))
    rotated = operator.post("/admin/v1/partners/leaving/rotate-secret", {"overlap_seconds": 3600}).json()
    assert rotated["client_secret"] != made["client_secret"]
    demo.token("leaving", made["client_secret"])
    demo.token("leaving", rotated["client_secret"])
    assert operator.post("/admin/v1/partners/leaving/disable").status_code == 200
    wait_for(lambda: partner.get("/v2/products").status_code == 401, 5, "401 for a disabled partner")
    answer = requests.post(demo.env["TOPUP_SERVER"] + "/auth/realms/tru-staff/protocol/openid-connect/token", timeout=30,
                           data={"grant_type": "client_credentials", "client_id": "leaving", "client_secret": rotated["client_secret"]})
    assert answer.status_code == 401 and answer.json()["error"] == "invalid_client"


def test_rate_limit_and_its_headers(new_demo):
    server = new_demo("-o", "rate_per_minute=5")
    api = Api(server)
    seen = []
    for _ in range(6):
        answer = api.get("/v2/products")
        seen.append((answer.status_code, int(answer.headers["x-rate-limit-remaining"])))
        assert answer.headers["x-rate-limit-limit"] == "5" and int(answer.headers["x-rate-limit-reset"]) > 1_600_000_000_000
    assert seen == [(200, 4), (200, 3), (200, 2), (200, 1), (200, 0), (429, 0)]
    assert answer.json()["type"] == "TOO MANY REQUESTS" and int(answer.headers["Retry-After"]) >= 1
    assert api.get("/v2/orders").status_code == 200, "each resource has its own"


def test_a_partners_own_rate_limit(new_demo):
    server = new_demo("-o", "rate_per_minute=2")
    operator = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    slow, free = (new_partner(server, operator, name, rate_per_minute=rate) for name, rate in (("slow", 3), ("free", -1)))
    assert [slow.get("/v2/products").status_code for _ in range(4)] == [200, 200, 200, 429]
    for _ in range(10):
        answer = free.get("/v2/products")
        assert answer.status_code == 200 and "x-rate-limit-limit" not in answer.headers
    assert all(operator.get("/admin/v1/status").status_code == 200 for _ in range(10)), "operators have no limit"
    operator.call("PATCH", "/admin/v1/partners/slow", json={"rate_per_minute": 1000})
    wait_for(lambda: slow.get("/v2/products").status_code == 200, 5, "the new limit")


def test_errors_as_problem_documents(api):
    answer = api.post("/v2/orders", {}, headers={"Accept": "application/problem+json"})
    assert answer.status_code == 400 and answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["status"] == 400 and len(answer.json()["messages"]) >= 4
