# SPDX-License-Identifier: Apache-2.0
"""Kill -9 at any moment: every acknowledged order is there after the restart, and ends once."""
import os
import random
import threading
import time

import pytest
import requests

from conftest import Api, order_body, wait_for

ORDERS = 200
ROUNDS = int(os.environ.get("KILL_ROUNDS", "3"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(2**32))))

# A network that dawdles and loses answers, so that orders are caught in every state.
SCRIPT = """
* START * 20: lose
* START * 20: late 300ms
* START * 10: unavailable
* START * 10: twice
* START * *: late 20ms
"""


def place_until_killed(server, token, accepted, stop):
    session = requests.Session()
    session.headers["Authorization"] = "Bearer " + token
    while not stop.is_set() and len(accepted) < ORDERS:
        try:
            answer = session.post(server.url + "/v2/orders", json=order_body("ACTIVATION", "ESIM", iccid=None), timeout=10)
        except requests.RequestException:
            return
        if answer.status_code == 202:
            accepted.append(answer.json()["id"])


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("network", ["builtin", "fake"])
def test_kill_at_a_random_moment(new_demo, tmp_path, network, round_number):
    rng = random.Random(f"{SEED}-{network}-{round_number}")
    print(f"SEED={SEED}")
    script = tmp_path / "script"
    script.write_text(SCRIPT)
    options = ["-o", "rate_per_minute=0", "-o", f"network={network}", "-o", f"network_script={script}",
               "-o", "lease_seconds=3", "-o", "call_timeout_seconds=1"]
    data = tmp_path / "data"
    server = new_demo(*options, data=data)
    accepted, stop = [], threading.Event()
    threads = [threading.Thread(target=place_until_killed, args=(server, server.token(), accepted, stop)) for _ in range(4)]
    for thread in threads:
        thread.start()
    at_least = rng.randrange(1, ORDERS)
    wait_for(lambda: len(accepted) >= at_least, 60, f"{at_least} accepted orders")
    time.sleep(rng.random() * 0.05)  # the moment within the work: any will do, it is not waited for
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()

    server = new_demo(*options, data=data)
    api = Api(server)
    ended = {order_id: api.ended(order_id, 120) for order_id in accepted}
    assert all(order["status"] == "COMPLETED" for order in ended.values())
    subscriptions = [order["output"]["subscription_id"] for order in ended.values()]
    assert len(set(subscriptions)) == len(accepted), "two orders share a subscription"
    iccids = [order["output"]["iccid"] for order in ended.values()]
    assert len(set(iccids)) == len(accepted), "an eSIM profile was sold twice"
    for order in ended.values():
        found = api.get(order["_metadata"]["links"]["_sim"] + "").json()
        assert found["status"] == "Released"
        listed = api.get(f"/v2/subscriptions?iccid={order['output']['iccid']}").json()["data"]
        assert [s["id"] for s in listed] == [order["output"]["subscription_id"]]
    # what was not acknowledged may or may not be there, but it is whole
    page = api.get("/v2/orders?page_size=100").json()
    while True:
        for order in page["data"]:
            assert api.ended(order["id"], 60)["status"] == "COMPLETED"
        following = page["_metadata"]["links"].get("_next")
        if not following:
            break
        page = api.get(following).json()
