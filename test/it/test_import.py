# SPDX-License-Identifier: Apache-2.0
"""Stock by the hundred thousand: imported in slices that orders pass between, all or nothing, also when the server dies in the middle.

LONG=1 imports 200,000 SIMs instead of 20,000.
"""
import os
import re
import subprocess
import threading

from conftest import BUILD, Api, iccid_of, wait_for

ROWS = 200_000 if os.environ.get("LONG") else 20_000
SLICE = 500  # rows of one transaction (src/api/import_upkeep.h)
CALL = 20 * SLICE  # rows of one call
IMPORTS = "/admin/v1/sim-imports"


def stock_file(path, n):
    with open(path, "w", encoding="ascii") as out:
        out.write("iccid,sim_type,imsi,msisdn,matching_id,smdp\n")
        for i in range(n):
            out.write(f"{iccid_of(10_000_000 + i)},ESIM,{234500000000000 + i},{447000000000 + i},IMPORT-{i},smdp.example.com\n")
    return path


def topup(server, *args):
    return subprocess.Popen([BUILD / "topup", *map(str, args)], env={"PATH": os.environ["PATH"], "HOME": str(server.data), **server.env},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def metric(operator, name):
    text = operator.get(operator.server.env["TOPUP_SERVER"] + "/metrics").text
    return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))


def in_stock(server):
    return server.rows("SELECT count(*), count(DISTINCT imsi) FROM sim WHERE matching_id LIKE 'IMPORT-%'")[0]


def test_orders_pass_between_the_slices_of_an_import(new_demo, tmp_path):
    server = new_demo("-o", "rate_per_minute=0")
    operator, api = Api(server, server.env["TOPUP_ADMIN_TOKEN"]), Api(server)
    before = metric(operator, "topupd_store_batches")
    importing = topup(server, "sim", "import", stock_file(tmp_path / "stock.csv", ROWS))
    over, orders = threading.Event(), 0
    watcher = threading.Thread(target=lambda: (importing.wait(), over.set()))
    watcher.start()
    while not over.is_set() and orders < 2000:
        assert api.order()["status"] == "COMPLETED"
        ended = api.get("/v2/subscriptions?status=ACTIVE&page_size=1").json()["data"][0]["id"]
        assert api.post(f"/v2/subscriptions/{ended}/expire").status_code == 200  # a SIM takes 15
        orders += 1
    out, err = importing.communicate()
    watcher.join()
    assert importing.returncode == 0 and f"{ROWS} SIMs imported; 0 were there already, 0 rows are bad." in out, out + err
    assert f"{ROWS} of {ROWS} compared with the stock" in err and f"{ROWS} of {ROWS} put into stock" in err
    assert in_stock(server) == (ROWS, ROWS)
    # Judged and applied in transactions of a few hundred rows, with those of the orders between them; now and then one holds two slices.
    assert orders > 0
    assert metric(operator, "topupd_store_batches") - before >= ROWS / SLICE
    print(f"{orders} orders meanwhile, the longest transaction: {metric(operator, 'topupd_store_longest_batch_microseconds') / 1000} ms")
    assert metric(operator, "topupd_store_longest_batch_microseconds") < 2_000_000  # a stop of the machine itself is let pass


def staged(operator, server, path):
    at = server.env["TOPUP_SERVER"] + IMPORTS
    number = operator.post(at, {"source": "stock.csv"}).json()["id"]
    lines = path.read_text().splitlines(keepends=True)
    for i in range(1, len(lines), 5000):
        rows = "".join(["line," + lines[0]] + [f"{i + k + 1},{line}" for k, line in enumerate(lines[i : i + 5000])])
        assert operator.call("POST", f"{at}/{number}/rows", data=rows, headers={"Content-Type": "text/csv"}).status_code == 200
    return f"{at}/{number}"


def test_an_import_that_a_crash_cut_short_is_carried_to_its_end(new_demo, tmp_path):
    rows = 4 * CALL + 100  # the server's upkeep may do as much as the call
    server, path = new_demo("-o", "rate_per_minute=0"), stock_file(tmp_path / "stock.csv", rows)
    operator = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    at = staged(operator, server, path)

    def restart():
        server.kill()
        server.start()
        fresh = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
        return fresh, f"{server.env['TOPUP_SERVER']}{IMPORTS}/{at.rsplit('/', 1)[1]}"

    begun = operator.post(at + "/judge")
    assert begun.status_code == 202 and begun.json()["state"] == "JUDGING" and begun.json()["judged"] == CALL
    operator, at = restart()
    assert operator.get(at).json()["judged"] == CALL
    while (judged := operator.post(at + "/judge")).status_code == 202:
        assert in_stock(server) == (0, 0)
    assert judged.json()["state"] == "JUDGED" and judged.json()["new"] == rows
    operator, at = restart()
    applied = operator.post(at + "/apply")
    assert applied.status_code == 202 and CALL <= applied.json()["inserted"] < rows
    assert operator.delete(at).status_code == 409
    operator, at = restart()
    # Nobody asks for it any more; the same file comes again. What was begun is ended first, and everything is there once.
    again = topup(server, "sim", "import", path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0 and "all that are good are in stock already" in out, out + err
    assert in_stock(server) == (rows, rows)
    ended = operator.get(at).json()
    assert ended["state"] == "APPLIED" and ended["inserted"] == rows
    assert operator.post(at + "/apply").json() == ended
    assert operator.delete(at).status_code == 204

    def put_away():
        return server.rows("SELECT count(*) FROM import_row") == [(0,)]

    wait_for(put_away, 30, "the end of the staged rows")


def test_the_server_ends_an_import_by_itself(new_demo, tmp_path):
    rows = 3 * CALL
    server, path = new_demo("-o", "rate_per_minute=0"), stock_file(tmp_path / "stock.csv", rows)
    operator = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    at = staged(operator, server, path)
    while operator.post(at + "/judge").status_code == 202:
        pass
    assert operator.post(at + "/apply", {"keep_good": True}).status_code in (200, 202)  # 200 when the server was quick by itself
    wait_for(lambda: operator.get(at).json()["state"] == "APPLIED", 60, "the end of the import")
    assert in_stock(server) == (rows, rows)
