# SPDX-License-Identifier: Apache-2.0
"""The first thing that must be true: the documentation's own request is accepted and completes, and what it made can be read."""
import json
import subprocess

from conftest import PSIM, Api, wait_for

# shared/seed: the request as the documentation prints it
DOCUMENTED_BODY = """{      "operation_type": "TOPUP",      "sim_type": "PSIM",      "country": "GB",      "product": {
        "id": "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=",        "sold_price": 20,        "sold_currency": "EUR",
        "activation_date": "2020-01-01T00:00:00Z"      },      "subscriber": {        "sim": {
          "iccid": "8944472600000510740"        }      }}"""


def curl(*arguments):
    out = subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, timeout=60, check=True).stdout
    return json.loads(out)


def test_the_documented_request_completes(demo):
    headers = ["-H", "Authorization: Bearer " + demo.token(), "-H", "Cache-Control: no-cache", "-H", "Content-Type: application/json",
               "-H", "X-Correlation-ID: unique-id-from-requester-123"]
    for prefix in ("/v2", "/connect-api/v2"):
        accepted = curl("-X", "POST", *headers, "-d", DOCUMENTED_BODY, demo.url + prefix + "/orders")
        assert accepted["status"] == "ACCEPTED"
        self_link = accepted["_metadata"]["_links"]["_self"]
        assert self_link == accepted["_metadata"]["links"]["_self"] == f"{demo.url}/v2/orders/{accepted['id']}"
        assert "type" not in accepted

        def completed():
            order = curl("-X", "GET", *headers, self_link)
            assert order["status"] != "FAILED", order
            return order if order["status"] == "COMPLETED" else None

        order = wait_for(completed, 10, "COMPLETED")
        assert order["output"]["iccid"] == PSIM
        assert set(order["output"]) == {"iccid", "subscription_id"}
        links = order["_metadata"]["links"]
        assert set(links) == {"_self", "_sim", "_subscription"}

        sim = curl(*headers, links["_sim"])
        assert sim["iccid"] == PSIM and sim["sim_type"] == "PSIM" and "status" not in sim
        subscription = curl(*headers, links["_subscription"])
        assert subscription["id"] == order["output"]["subscription_id"]
        assert subscription["status"] == "ACTIVE" and subscription["sim_id"] == PSIM
        assert subscription["current_balance"] == subscription["initial_balance"] == 5 * 1024**3
        assert subscription["sold_product_price"] == 20 and subscription["sold_product_currency"] == "EUR"


def test_a_demo_folder_is_continued(new_demo, tmp_path):
    first = new_demo(data=tmp_path / "kept")
    order = Api(first).order()
    assert first.stop() == 0
    second = new_demo(data=tmp_path / "kept")
    assert second.env["CLIENT_SECRET"] == first.env["CLIENT_SECRET"]
    assert second.env["TOPUP_ADMIN_TOKEN"] == first.env["TOPUP_ADMIN_TOKEN"]
    assert Api(second).get(f"/v2/orders/{order['id']}").json()["status"] == "COMPLETED"
