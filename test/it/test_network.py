# SPDX-License-Identifier: Apache-2.0
"""Fulfilment against a network that refuses, is late, loses answers and is away: what the partner and the operator see."""
from conftest import ESIM_PRODUCT, Api, order_body, wait_for


def demo_with(new_demo, tmp_path, script):
    path = tmp_path / "script"
    path.write_text(script)
    return new_demo("-o", "network=fake", "-o", f"network_script={path}", "-o", "rate_per_minute=0", "-o", "call_timeout_seconds=1",
                    "-o", "lease_seconds=3")


def esim(api):
    return api.order(body=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None))


def activated_esims(api):
    return [sim["iccid"] for sim in api.get("/v2/sims").json()["data"] if sim["sim_type"] == "ESIM"]


def test_refused(new_demo, tmp_path):
    api = Api(demo_with(new_demo, tmp_path, "NETWORK_ENABLE START * 1: refuse\n"))
    failed = esim(api)
    assert failed["status"] == "FAILED" and failed["messages"] and "output" not in failed
    assert activated_esims(api) == []
    assert esim(api)["status"] == "COMPLETED", "one refused order does not spoil the next"


def test_an_answer_is_lost(new_demo, tmp_path):
    api = Api(demo_with(new_demo, tmp_path, "* START * 3: lose\n"))
    assert esim(api)["status"] == "COMPLETED"
    assert len(activated_esims(api)) == 1, "the lost answer did not buy a second profile"


def test_away_for_a_while_and_twice(new_demo, tmp_path):
    api = Api(demo_with(new_demo, tmp_path, "* START * 2: unavailable\n* START * 1: twice\n"))
    order = esim(api)
    assert order["status"] == "COMPLETED"
    assert len(api.get(order["_metadata"]["links"]["_sim"].replace("/sims/", "/subscriptions?iccid=")).json()["data"]) == 1


def test_fulfilling_is_seen_while_the_network_works(new_demo, tmp_path):
    api = Api(demo_with(new_demo, tmp_path, "* START * *: late 700ms\n"))
    accepted = api.post("/v2/orders", order_body()).json()
    wait_for(lambda: api.get(f"/v2/orders/{accepted['id']}").json()["status"] == "FULFILLING", 10, "FULFILLING")
    assert api.ended(accepted["id"])["status"] == "COMPLETED"


def test_orders_for_one_sim_keep_their_order(new_demo, tmp_path):
    api = Api(demo_with(new_demo, tmp_path, "* START * 3: late 500ms\n* START * *: late 10ms\n"))
    ids = [api.post("/v2/orders", order_body()).json()["id"] for _ in range(8)]
    ended = []

    def all_ended():
        states = {i: api.get(f"/v2/orders/{i}").json()["status"] for i in reversed(ids)}  # the later ones are looked at first
        for i in ids:
            if states[i] == "COMPLETED" and i not in ended:
                ended.append(i)
        assert ended == ids[:len(ended)], "a later order was fulfilled before an earlier one"
        return len(ended) == len(ids)

    wait_for(all_ended, 30, "eight orders")
