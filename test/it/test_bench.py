# SPDX-License-Identifier: Apache-2.0
"""The benchmark's instruments tell the truth: the load driver leaves no latency out, readers and the receiver see what is missing or out of order."""
import collections
import json
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import BUILD

STALL_SECONDS = 0.6


def requests_file(path, *requests):
    path.write_bytes(b"".join(struct.pack("=I", len(r)) + r for r in requests))
    return path


def tool(name, *arguments):
    done = subprocess.run([BUILD / "bench" / name, *(str(a) for a in arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Peer:
    """Accepts connections; `serve(connection, bytes)` is called with what comes."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        try:
            while data := connection.recv(65536):
                self.serve(connection, data)
        except OSError:
            pass

    def close(self):
        self.listener.close()


@pytest.fixture
def peer():
    peers = []

    def make(serve):
        peers.append(Peer(serve))
        return peers[-1]

    yield make
    for p in peers:
        p.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_requests_that_were_due_while_the_server_stood_still_are_late(peer, tmp_path):
    stalled, lock = [], threading.Lock()

    def serve(connection, data):
        with lock:  # one stands, all stand
            if not stalled and data.startswith(b"GET"):
                stalled.append(time.monotonic())
                threading.Event().wait(STALL_SECONDS)
            connection.sendall(OK)

    got = tool("load", peer(serve).address, requests_file(tmp_path / "r", b"GET / HTTP/1.1\r\n\r\n"), "--connections", 2, "--rate", 200, "--seconds", 2)
    # 400 are due, 120 of them while nothing is answered: a driver that only counted from when it could send would see 2 late ones.
    assert got["requests"] == got["2xx"] == 400 and got["unanswered"] == 0
    assert got["max_ms"] >= STALL_SECONDS * 900
    assert got["p99_ms"] >= STALL_SECONDS * 500


def test_what_is_due_before_the_end_is_sent_after_it(peer, tmp_path):
    begun = []

    def serve(connection, _):
        begun.append(time.monotonic())
        threading.Event().wait(max(0, 1.2 - (time.monotonic() - begun[0])))
        connection.sendall(OK)

    got = tool("load", peer(serve).address, requests_file(tmp_path / "r", b"GET / HTTP/1.1\r\n\r\n"), "--connections", 1, "--rate", 50, "--seconds", 1)
    assert got["requests"] == 50
    assert got["p50_ms"] >= 500


def test_each_value_is_used_once_before_any_is_used_twice(peer, tmp_path):
    seen = collections.Counter()
    values = [f"{n:05}" for n in range(1000)]
    (tmp_path / "values").write_text("".join(v + "\n" for v in values))

    def serve(connection, data):
        for line in data.split(b"\r\n"):
            if line.startswith(b"GET"):
                seen[line.split(b"/")[1].split(b" ")[0].decode()] += 1
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nLocation: http://x/" + b"0" * 36 + b"\r\nContent-Length: 0\r\n\r\n")

    file = requests_file(tmp_path / "r", b"GET /\1\1\1\1\1 HTTP/1.1\r\n\r\n")
    got = tool("load", peer(serve).address, file, "--connections", 1, "--requests", 1000, "--values", tmp_path / "values", "--taken", tmp_path / "taken",
               "--ids", tmp_path / "ids")
    assert got["requests"] == 1000 and sorted(seen) == values and set(seen.values()) == {1}
    assert list(seen) != values, "in an order that looks random"
    assert (tmp_path / "taken").read_text().split() == list(seen)
    assert (tmp_path / "ids").read_text().split() == ["0" * 36] * 1000


def stream(*sequences):
    text = b"retry: 2000\n\n" + b"".join(b"id: %d\nevent: x\ndata: {}\n\n" % n for n in sequences)
    pieces = [text[i:i + 7] for i in range(0, len(text), 7)]  # cut anywhere
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)


@pytest.mark.parametrize("sequences, gaps", [((5, 6, 7, 8, 9), 0), ((5, 6, 8, 9), 1), ((5, 7, 6, 9), 3)])
def test_a_reader_sees_a_gap_in_a_stream(peer, tmp_path, sequences, gaps):
    p = peer(lambda connection, _: connection.sendall(stream(*sequences)))
    got = tool("readers", p.address, requests_file(tmp_path / "r", b"GET / HTTP/1.1\r\n\r\n"), "--connections", 3, "--last", 9)
    assert (got["readers"], got["events"], got["gaps"]) == (3, 3 * len(sequences), 3 * gaps)


def test_the_receiver_sees_webhooks_that_are_missing_or_come_again():
    receiver = subprocess.Popen([BUILD / "bench" / "receiver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        with socket.create_connection(("127.0.0.1", int(receiver.stdout.readline()))) as s:
            def deliver(path, sequence):
                body = b'{"id":"evt_1","sequence":%d}' % sequence
                s.sendall(b"POST /%d HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (path, len(body)) + body)
                answer = b""
                while len(answer) < len(OK):
                    answer += s.recv(100)
                assert answer == OK

            def told():
                receiver.stdin.write("?\n")
                got = json.loads(receiver.stdout.readline())
                return got["deliveries"], got["gaps"], got["repeated"]

            for path, sequence in ((1, 7), (2, 100), (1, 8), (2, 101)):
                deliver(path, sequence)
            assert told() == (4, 0, 0)
            for path, sequence in ((1, 10), (2, 101), (2, 102)):
                deliver(path, sequence)
            assert told() == (7, 1, 1)
            receiver.stdin.write("+\n")
            assert told()[0] == 0
    finally:
        receiver.stdin.close()
        receiver.wait(10)
