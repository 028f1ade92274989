# SPDX-License-Identifier: Apache-2.0
"""The contracts as they are served, and every operation of both: each answers as its document says, and refuses bodies that do not parse."""
import importlib.machinery
import importlib.util
import pathlib
import re

import pytest
import requests

import contract
from conftest import ESIM_PRODUCT, REALM_PATH, ROOT, Api, iccid_of, order_body, wait_for
from test_bad_input import JSON, UNPARSABLE

NEW_PRODUCT = "D" * 43 + "="
PLAN = {"name": "Own plan", "sim_type": ["ESIM", "PSIM"], "duration": 30, "duration_unit": "DAYS", "data": 1, "data_unit": "GB",
        "price": "10", "price_currency": "EUR", "footprint_code": "EUROPE"}
CATALOGUE = "id,name,sim_type,duration,duration_unit,data,data_unit,price,price_currency,footprint_code\n"
CSV = {"Content-Type": "text/csv"}
NEW_PSIM, NEW_ESIM = iccid_of(1), iccid_of(2)
STOCK = ("iccid,sim_type,imsi,msisdn,matching_id,smdp\n"
         f"{NEW_PSIM},PSIM,901700000000901,8829900000901,,\n"
         f"{NEW_ESIM},ESIM,901700000000902,8829900000902,ABCD-EF01,smdp.example.net\n")


def embed():
    loader = importlib.machinery.SourceFileLoader("embed_contract", str(ROOT / "tools" / "embed-contract"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("embed_contract", loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("path,name", [("/openapi.json", contract.PUBLIC), ("/admin/openapi.json", contract.ADMIN)])
def test_what_is_served_is_the_file_and_stands_alone(demo, path, name):
    served = contract.check(requests.get(demo.env["TOPUP_SERVER"] + path, timeout=30)).json()
    written = contract.documents()[name]
    assert served["paths"].keys() == written["paths"].keys() and served["info"] == written["info"]
    references = re.findall(r"'\$ref': '([^']*)'", str(served))
    assert references
    for reference in references:
        assert reference.startswith("#/"), "a reference to another file"
        node = served
        for key in reference[2:].split("/"):
            node = node[key]
    assert served == embed().bundled(str(contract.API / name))


def walk(demo, api, operator):
    """Calls one operation after the other, each so that it succeeds."""
    for path in ("/", "/openapi.json", "/healthz", "/readyz", "/metrics", "/admin/openapi.json", REALM_PATH + "/protocol/openid-connect/certs",
                 REALM_PATH + "/.well-known/openid-configuration"):
        assert api.get(demo.env["TOPUP_SERVER"] + path).status_code == 200
    demo.token()

    # the partner's side
    order = api.order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None, activation_date="2099-01-01T00:00:00Z"))
    links = order["_metadata"]["links"]
    sim, iccid = links["_sim"], order["output"]["iccid"]
    for path in ("/v2/orders", "/v2/products", "/v2/sims", "/v2/subscriptions", f"/v2/products/{ESIM_PRODUCT}", sim, sim + "/preferences",
                 f"/v2/orders/{order['id']}/timeline", links["_subscription"], links["_qrcode"], links["_qrcode"].replace("/connect/", "/")):
        assert api.get(path).status_code == 200, path
    assert api.put(sim, {"eid": "89049032000001000000012345678901"}).status_code == 200
    usage = sim + "/preferences/notifications/USAGE_THRESHOLD"
    assert api.put(usage, {"webhook_url": "https://hooks.example.com/"}).status_code == 200
    assert api.post(usage, {"webhook_url": "https://hooks.example.com/"}).status_code == 200
    assert api.delete(usage).status_code == 204
    assert api.post(links["_subscription"] + "/activate").status_code == 200
    assert api.post(links["_subscription"] + "/expire").status_code == 200

    sandbox = Api(demo, demo.token(demo.env["SANDBOX_CLIENT_ID"], demo.env["SANDBOX_CLIENT_SECRET"]))
    assert sandbox.get("/v2/sandbox/sims").json()["data"]
    assert sandbox.delete("/v2/sandbox/data").status_code == 204

    # the operator's side
    made = operator.post("/admin/v1/partners", {"client_id": "walker", "name": "Walker"})
    assert made.status_code == 201
    partner = made.headers["Location"]
    assert operator.get(partner).json()["name"] == "Walker"
    assert operator.get("/admin/v1/partners").status_code == 200
    assert operator.call("PATCH", partner, json={"cap_day": 7, "currencies": ["EUR", "USD"]}).json()["cap_day"] == 7
    assert operator.post(partner + "/rotate-secret", {"overlap_seconds": 60}).status_code == 200
    assert operator.post(partner + "/disable").json()["disabled"] is True
    assert operator.post(partner + "/enable").json()["disabled"] is False
    product = f"{partner}/products/{NEW_PRODUCT}"
    assert operator.put(product, PLAN).status_code == 201
    assert operator.put(product, PLAN).status_code == 200
    assert operator.call("PATCH", product, json={"price": 11}).json()["price"] == 11
    assert operator.get(product).json()["price"] == 11
    row = f"{NEW_PRODUCT},Own plan,ESIM|PSIM,30,DAYS,1,GB,12,EUR,EUROPE\n"
    assert operator.call("POST", partner + "/products/import", data=CATALOGUE + row, headers=CSV).json()["updated"] == 1
    refused = operator.call("POST", partner + "/products/import", data=CATALOGUE + row + row, headers=CSV)
    assert refused.status_code == 400 and refused.json()["faults"][0]["line"] == 3
    assert operator.get("/admin/v1/products?partner=walker").json()["data"][0]["price"] == 12

    begun = operator.post("/admin/v1/sim-imports", {"source": "walk.csv"}).json()["_metadata"]["links"]
    bad_row = NEW_PSIM[:-1] + str((int(NEW_PSIM[-1]) + 1) % 10) + ",PSIM,,,,\n"  # a wrong check digit
    assert operator.call("POST", begun["_rows"], data=STOCK + bad_row, headers=CSV).json() == {"rows": 3, "bad": 1}
    verdict = operator.post(begun["_judge"]).json()
    assert (verdict["new"], verdict["bad"]) == (2, 1)
    assert operator.get(begun["_faults"]).json()["data"][0]["line"] == 4
    assert operator.post(begun["_apply"]).status_code == 409, "all or nothing"
    assert operator.post(begun["_apply"], {"keep_good": True}).json()["inserted"] == 2
    dropped = operator.post("/admin/v1/sim-imports").json()["_metadata"]["links"]["_self"]
    assert operator.delete(dropped).status_code == 204
    assert operator.get("/admin/v1/sims?partner=-&page_size=2").json()["_metadata"]["links"]["_next"]
    assert operator.post("/admin/v1/sims/assign", {"partner": "walker", "iccids": [NEW_PSIM]}).json()["assigned"] == 1
    assert operator.get(f"/admin/v1/sims/{NEW_PSIM}").json()["partner"] == "walker"

    assert operator.get(f"/admin/v1/orders?partner={demo.env['CLIENT_ID']}").json()["data"][0]["id"] == order["id"]
    whole = operator.get(f"/admin/v1/orders/{order['id']}").json()
    assert whole["iccid"] == iccid and whole["tasks"] == [] and whole["subscriber"]["email"] == "subscriber@example.com"
    assert operator.post(f"/admin/v1/orders/{order['id']}/retry").status_code == 409, "nothing is parked"
    assert operator.get(f"/admin/v1/subscriptions?iccid={iccid}").json()["data"][0]["id"] == order["output"]["subscription_id"]
    progress = operator.post(f"/admin/v1/sims/{iccid}/download-progress", {"notification_point": 3})
    assert progress.status_code == 200 and progress.json()["status"] == "Downloaded"
    usage = {"source": "walk", "records": [{"record_id": "1", "iccid": iccid, "bytes_down": 1000, "end": "2026-01-01T00:00:00Z"}]}
    assert operator.post("/admin/v1/usage", usage).json()["counts"]["UNRATED"] == 1, "nothing could carry it"
    assert operator.get("/admin/v1/usage/unrated?source=walk").json()["data"][0]["iccid"] == iccid
    assert operator.get(f"/admin/v1/subscriptions/{order['output']['subscription_id']}").status_code == 200
    assert operator.post("/admin/v1/keys/rotate").status_code == 201
    assert operator.get("/admin/v1/status").json()["orders"] == {"ACCEPTED": 0, "FULFILLING": 0}


def retry(new_demo, tmp_path):
    """A parked task can be had from a network that refuses, and then refuses to take back what was done."""
    script = tmp_path / "script"
    script.write_text("NETWORK_ENABLE START * 1: refuse\nPROFILE_RESERVE CANCEL * 1: refuse\n")
    server = new_demo("-o", "network=fake", "-o", f"network_script={script}")
    api, operator = Api(server), Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    order = api.post("/v2/orders", order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None)).json()
    tasks = wait_for(lambda: [t for t in operator.get(f"/admin/v1/orders/{order['id']}").json()["tasks"] if t["state"] == "PARKED"], 30, "PARKED")
    assert (tasks[0]["kind"], tasks[0]["verb"], tasks[0]["outcome"]) == ("PROFILE_RESERVE", "CANCEL", "REFUSED")
    assert operator.get("/admin/v1/status").json()["tasks"]["PARKED"] == 1
    assert operator.post(f"/admin/v1/orders/{order['id']}/retry").status_code == 200
    assert api.ended(order["id"])["status"] == "FAILED"
    assert operator.get("/admin/v1/status").json()["tasks"]["PARKED"] == 0
    wait_for(lambda: any(line["event"] == "task.parked" and line["order"] == order["id"] for line in server.log_lines()), 10, "task.parked")


def test_the_core_of_both_contracts_from_end_to_end(demo, api, operator, new_demo, tmp_path):
    walk(demo, api, operator)
    retry(new_demo, tmp_path)


def test_every_operation_was_seen_to_succeed(request):
    """Over all tests of this folder; this one runs last (conftest.py)."""
    if {path.name for path in pathlib.Path(__file__).parent.glob("test_*.py")} - {item.path.name for item in request.session.items}:
        pytest.skip("only when all the tests run")
    answered = {(name, method, path) for name, method, path, status in contract.seen if status < 300}
    documented = {(name, method, path) for name, document in contract.documents().items() for path, item in document["paths"].items()
                  for method in item if method != "parameters"}
    assert documented - answered == set(), "operations that no test has seen succeed"


def operations_with_json():
    for name, document in contract.documents().items():
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method != "parameters" and "requestBody" in operation:
                    content = contract.resolved(operation["requestBody"], name)[0]
                    if "application/json" in content["content"]:
                        yield name, method, path, content.get("required", False)


@pytest.mark.parametrize("name,method,path,required", list(operations_with_json()))
def test_every_body_that_does_not_parse_is_refused(demo, api, operator, name, method, path, required):
    client = operator if name == contract.ADMIN else api
    if path.startswith("/v2/sandbox/"):
        client = Api(demo, demo.token(demo.env["SANDBOX_CLIENT_ID"], demo.env["SANDBOX_CLIENT_SECRET"]))
    path = re.sub(r"\{(\w+)\}", lambda m: {"iccid": "8944472600000510740", "client_id": "truphone", "type": "USAGE_THRESHOLD",
                                           "product_id": NEW_PRODUCT, "id": "1"}[m[1]], path)
    for what, body in UNPARSABLE.items():
        if what == "NUL in a string" or (body == b"" and not required):
            continue
        answer = client.call(method.upper(), path, data=body, headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (400, "INVALID_HTTP_MESSAGE"), (what, answer.text)
    wrong = client.call(method.upper(), path, data=b"{}", headers={"Content-Type": "application/xml"})
    assert wrong.status_code == 415, wrong.text


def test_the_operators_side_is_closed_to_everybody_else(demo, api):
    for path, item in contract.documents()[contract.ADMIN]["paths"].items():
        for method, operation in item.items():
            if method == "parameters" or operation.get("security") == []:
                continue
            address = demo.env["TOPUP_SERVER"] + path.replace("{", "").replace("}", "")
            for headers in ({}, {"Authorization": api.session.headers["Authorization"]}, {"Authorization": "Bearer x"}):
                answer = contract.check(requests.request(method, address, headers=headers, json={}, timeout=30))
                assert answer.status_code == 401, f"{method} {path}: {answer.text}"


def test_head_and_options(demo, api):
    for path in ("/v2/products", "/healthz"):
        whole, head = api.get(path), api.call("HEAD", path)
        assert head.status_code == whole.status_code == 200 and not head.content
        assert head.headers["Content-Type"] == whole.headers["Content-Type"] and head.headers["Content-Length"] == str(len(whole.content))
    options = requests.options(demo.url + "/v2/orders", timeout=30)
    assert options.status_code == 204 and set(options.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}
