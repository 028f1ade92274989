# SPDX-License-Identifier: Apache-2.0
"""More than the server can take: what does not fit is refused at once with 503, and what was accepted is kept."""
import sqlite3
import threading
import time

import pytest
import requests

from conftest import ESIM_PRODUCT, Api, order_body, wait_for

QUEUE = 16
CLIENTS = 40


def ask(server, token, answers):
    begun = time.monotonic()
    answer = requests.post(server.url + "/v2/orders", json=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None), timeout=60,
                           headers={"Authorization": "Bearer " + token})
    answers.append((answer, time.monotonic() - begun))


@pytest.mark.embedded
def test_what_does_not_fit_is_refused_at_once(new_demo):
    server = new_demo("-o", "rate_per_minute=0", "-o", f"queue_max={QUEUE}")
    api, token, answers = Api(server), server.token(), []
    server.expect_errors = True  # refused requests are logged
    # The disk stands still: nothing can be committed, and the queue fills.
    holder = sqlite3.connect(server.data / "topupd.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    threads = [threading.Thread(target=ask, args=(server, token, answers)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    # One batch is with the writer already, however large it was when it was taken; the queue holds QUEUE.
    wait_for(lambda: len(answers) >= CLIENTS - 2 * QUEUE, 4, "the refusals, while nothing moves")
    assert all(answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1 for answer, _ in answers)
    assert all(seconds < 4 for _, seconds in answers)
    holder.execute("ROLLBACK")
    holder.close()
    for thread in threads:
        thread.join()
    accepted = [answer.json()["id"] for answer, _ in answers if answer.status_code == 202]
    assert accepted and all(answer.status_code in (202, 503) for answer, _ in answers)
    for order_id in accepted:
        assert api.ended(order_id)["status"] == "COMPLETED"
    listed = api.get("/v2/orders?page_size=100").json()["data"]
    assert {order["id"] for order in listed} == set(accepted), "503 says that nothing was accepted"
    assert api.order()["status"] == "COMPLETED"
