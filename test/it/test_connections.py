# SPDX-License-Identifier: Apache-2.0
"""Ten thousand open connections cost memory, not service."""
import resource
import socket
from urllib.parse import urlsplit

from conftest import Api


def test_ten_thousand_open_connections(demo, api):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 10500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (10500, 10500))  # root may; anyone else is told by the exception
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 10500), hard))
    address = urlsplit(demo.url)
    held = []
    try:
        for _ in range(10000):
            held.append(socket.create_connection((address.hostname, address.port), timeout=30))
        assert Api(demo).order()["status"] == "COMPLETED"
    finally:
        for s in held:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
