# SPDX-License-Identifier: Apache-2.0
"""The server as those see it who run it: health, stopping, the store away, TLS."""
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests

import contract
from conftest import BUILD, ESIM_PRODUCT, Api, iccid_of, order_body, wait_for


def connection(server):
    address = urlsplit(server.env["TOPUP_SERVER"])
    return socket.create_connection((address.hostname, address.port), timeout=30)


def exchange(s, request):
    """One request on an open connection; status and body of the answer."""
    s.sendall(request)
    with s.makefile("rb") as f:
        status = int(f.readline().split()[1])
        length = 0
        while (line := f.readline().strip()):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, f.read(length)


@pytest.mark.embedded
def test_readyz_says_503_while_draining(new_demo):
    """Orders that wait for the store hold the stop up; meanwhile the load balancer is told, nothing new is served, and the orders are."""
    server = new_demo("-o", "drain_seconds=20", "-o", "rate_per_minute=0")
    ready, metrics = (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % name for name in (b"readyz", b"metrics"))
    token, answers, ordering = server.token(), [], []
    holder = sqlite3.connect(server.data / "topupd.db", isolation_level=None)
    with connection(server) as idle:
        assert exchange(idle, ready)[0] == 200
        holder.execute("BEGIN IMMEDIATE")

        def one_more():  # the first is taken by the writer, which waits; the next waits for the writer, and is seen
            ordering.append(threading.Thread(target=lambda: answers.append(Api(server, token).post("/v2/orders", order_body()))))
            ordering[-1].start()
            return len(ordering) > 1 and b"\ntopupd_store_jobs_waiting 0" not in exchange(idle, metrics)[1]

        wait_for(one_more, 4, "an order that waits")
        server.signal(signal.SIGTERM)
        wait_for(lambda: "event=server.stopping" in server.log_text(), 4, "the signal's arrival")
        status, body = exchange(idle, ready)
        assert status == 503 and b"SERVICE_UNAVAILABLE" in body
    try:
        with connection(server) as late:
            late.sendall(ready)
            assert late.recv(1000) == b"", "a new connection was served while stopping"
    except OSError:
        pass  # refused, or reset
    holder.execute("ROLLBACK")
    holder.close()
    for thread in ordering:
        thread.join()
    assert len(answers) == len(ordering) and {answer.status_code for answer in answers} <= {202, 503}
    assert 202 in {answer.status_code for answer in answers}, "those in work are answered"
    assert server.process.wait(20) == 0
    assert server.log_lines()[-1]["event"] == "server.stopped"


def test_a_client_that_never_ends_its_request_cannot_hold_the_stop_up(new_demo):
    server = new_demo("-o", "drain_seconds=1")
    with connection(server) as slow:
        slow.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 15


@pytest.mark.embedded
def test_the_store_away(new_demo):
    """Another program holds the store's write lock: nothing is accepted, the server says so, and goes on once it is free again."""
    server = new_demo("-o", "rate_per_minute=0")
    api = Api(server)
    before = api.order()["id"]
    holder = sqlite3.connect(server.data / "topupd.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        answers = {}

        def call(name, method, path, body=None):
            answers[name] = Api(server, api.session.headers["Authorization"][7:]).call(method, path, json=body)

        threads = [threading.Thread(target=call, args=args) for args in
                   (("order", "POST", "/v2/orders", order_body()), ("ready", "GET", "/readyz"), ("healthy", "GET", "/healthz"),
                    ("read", "GET", f"/v2/orders/{before}"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers["healthy"].status_code == 200 and answers["read"].status_code == 200
        for name in ("order", "ready"):
            assert answers[name].status_code == 503, answers[name].text
            assert answers[name].json()["type"] == "SERVICE_UNAVAILABLE" and "nothing was accepted" in answers[name].json()["messages"][0]
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    wait_for(lambda: api.get("/readyz").status_code == 200, 30, "readiness")
    listed = api.get("/v2/orders").json()["data"]
    assert [order["id"] for order in listed] == [before], "an order that was refused is there"
    assert api.order()["status"] == "COMPLETED"


def place_until_gone(server, token, accepted, refused):
    session = requests.Session()
    session.hooks["response"].append(contract.check)
    session.headers["Authorization"] = "Bearer " + token
    while True:
        try:
            answer = session.post(server.url + "/v2/orders", json=order_body("ACTIVATION", "ESIM", ESIM_PRODUCT, None), timeout=30)
        except requests.RequestException:
            return
        (accepted if answer.status_code == 202 else refused).append(answer.json())


def test_a_stop_under_load_loses_nothing(new_demo, tmp_path):
    script = tmp_path / "script"
    script.write_text("* START * *: late 30ms\n")
    options = ("-o", "rate_per_minute=0", "-o", "network=fake", "-o", f"network_script={script}", "-o", "drain_seconds=5")
    server = new_demo(*options, data=tmp_path / "data")
    add_profiles(server, 2000)
    accepted, refused, token = [], [], server.token()
    threads = [threading.Thread(target=place_until_gone, args=(server, token, accepted, refused)) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(accepted) >= 100, 60, "100 accepted orders")
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 5 + 5, "longer than it was told to drain"
    for thread in threads:
        thread.join()
    assert all(answer["type"] == "SERVICE_UNAVAILABLE" for answer in refused), refused[:1]
    lines = server.log_lines()
    assert lines[-1]["event"] == "server.stopped"

    server = new_demo(*options, data=tmp_path / "data")
    api = Api(server)
    ended = [api.ended(order["id"], 60) for order in accepted]
    assert all(order["status"] == "COMPLETED" for order in ended)
    assert len({order["output"]["iccid"] for order in ended}) == len(accepted)
    total = api.get("/v2/orders?page_size=1").json()["_metadata"]["page_count"]
    assert total == len(accepted), "what was not acknowledged was not accepted: the server had said 503, or nothing was sent"


def add_profiles(server, n):
    operator = Api(server, server.env["TOPUP_ADMIN_TOKEN"])
    links = operator.post("/admin/v1/sim-imports").json()["_metadata"]["links"]
    rows = "iccid,sim_type,matching_id,smdp\n" + "".join(f"{iccid_of(1000 + i)},ESIM,AAAA-{i:04d},smdp.example.net\n" for i in range(n))
    assert operator.call("POST", links["_rows"], data=rows, headers={"Content-Type": "text/csv"}).json()["bad"] == 0
    operator.post(links["_judge"])
    assert operator.post(links["_apply"]).json()["inserted"] == n


@pytest.mark.embedded
def test_a_second_server_on_the_same_store_is_refused(new_demo, tmp_path):
    server = new_demo(data=tmp_path / "data")
    second = subprocess.run([BUILD / "topupd", "demo", "--listen", "127.0.0.1:0", "--data", tmp_path / "data"], capture_output=True, text=True,
                            timeout=30, check=False)
    assert second.returncode == 1 and "topupd: " in second.stderr, second.stderr
    assert Api(server).order()["status"] == "COMPLETED"


def test_a_port_that_is_taken(new_demo, tmp_path):
    server = new_demo()
    second = subprocess.run([BUILD / "topupd", "demo", "--listen", urlsplit(server.url).netloc, "--data", tmp_path / "other"],
                            capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1 and urlsplit(server.url).netloc in second.stderr, second.stderr


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # that the old ones are deprecated is the point
def test_tls(new_demo, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    server = new_demo("-o", f"tls_certificate={certificate}", "-o", f"tls_key={key}", verify=str(certificate))
    assert server.url.startswith("https://127.0.0.1:")
    api = Api(server)
    order = api.order()
    assert order["status"] == "COMPLETED" and order["_metadata"]["links"]["_self"].startswith(server.url)
    big = api.get("/openapi.json")
    assert big.status_code == 200 and big.json()["openapi"] == "3.1.0"

    address = urlsplit(server.url)
    context = ssl.create_default_context(cafile=str(certificate))
    with socket.create_connection((address.hostname, address.port), timeout=30) as s, context.wrap_socket(s, server_hostname="127.0.0.1") as t:
        assert t.version() in ("TLSv1.2", "TLSv1.3")
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = old
        context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            with socket.create_connection((address.hostname, address.port), timeout=30) as s, context.wrap_socket(s):
                raise AssertionError(f"{old} is served")
        except (ssl.SSLError, OSError):
            pass
    with socket.create_connection((address.hostname, address.port), timeout=30) as s:  # somebody who speaks plain HTTP
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert b" 200 " not in s.recv(1000)
        except ConnectionResetError:
            pass
    assert api.get("/healthz").status_code == 200


def test_tls_files_that_are_no_use(tmp_path):
    for name in ("key.pem", "cert.pem"):
        (tmp_path / name).write_text("nothing\n")
    done = subprocess.run([BUILD / "topupd", "demo", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "-o",
                           f"tls_certificate={tmp_path}/cert.pem", "-o", f"tls_key={tmp_path}/key.pem"], capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 1 and "certificate" in done.stderr, done.stderr


def test_links_begin_with_the_public_base_url(new_demo):
    server = new_demo("-o", "base_url=https://api.example.com/connect-api")
    local = "http://" + server.ready()["listen"]
    token = requests.post(local + "/auth/realms/tru-staff/protocol/openid-connect/token", timeout=30,
                          data={"grant_type": "client_credentials", "client_id": server.env["CLIENT_ID"], "client_secret": server.env["CLIENT_SECRET"]})
    order = requests.post(local + "/connect-api/v2/orders", json=order_body(), timeout=30,
                          headers={"Authorization": "Bearer " + contract.check(token).json()["access_token"]})
    assert contract.check(order).json()["_metadata"]["links"]["_self"].startswith("https://api.example.com/connect-api/v2/orders/")
