# SPDX-License-Identifier: Apache-2.0
"""The files that deploy/cluster makes for three machines: whole, private, and accepted by the programs that read them, as far as those are here."""
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT

CLUSTER = ROOT / "deploy/cluster/cluster"
ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
ETC = "/etc/topupd/cluster"


def make(out, addresses=",".join(ADDRESSES)):
    return subprocess.run([CLUSTER, "files", "--addresses", addresses, "--name", "api.example.com", "--out", out], capture_output=True, text=True, timeout=60,
                          check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("cluster") / "files"
    done = make(out)
    assert done.returncode == 0, done.stderr
    return out


def moved(path, folder, tmp_path):
    """The file as it would be if its folder were where it is now."""
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace(ETC, str(folder)))
    return copy


def test_all_words_are_filled_in(made):
    for node, address in enumerate(ADDRESSES, 1):
        for name in ("etcd.yml", "patroni.yml", "haproxy.cfg", "topupd.conf", "database.sql"):
            text = (made / f"node{node}" / name).read_text()
            assert not re.search(r"@[A-Z]", text), name
        assert f"listen = {address}:8443" in (made / f"node{node}/topupd.conf").read_text()


def test_what_is_secret_is_readable_by_its_owner_only(made):
    for path in made.rglob("*"):
        if path.is_file() and path.name not in ("ca.pem", "node.pem"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_no_two_nodes_differ_but_in_what_is_their_own(made):
    for name in ("etcd.yml", "patroni.yml", "haproxy.cfg", "topupd.conf", "database.sql", "pgpass"):
        first, second = ((made / f"node{n}" / name).read_text().splitlines() for n in (1, 2))
        assert len(first) == len(second), name
        for one, other in zip(first, second):
            assert one == other or one.replace("node1", "node2").replace(ADDRESSES[0], ADDRESSES[1]) == other, (name, one, other)
    password = (made / "node1/pgpass").read_text().strip().split(":")[-1]
    assert f"'{password}'" in (made / "node1/database.sql").read_text()


def test_the_certificates_are_the_machines_and_the_authoritys(made):
    for node, address in enumerate(ADDRESSES, 1):
        pem = made / f"node{node}/node.pem"
        for name in (["-verify_ip", address], ["-verify_hostname", f"node{node}"], ["-verify_hostname", "api.example.com"]):
            done = subprocess.run(["openssl", "verify", "-CAfile", made / "ca/ca.pem", *name, pem], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        wrong = subprocess.run(["openssl", "verify", "-CAfile", made / "ca/ca.pem", "-verify_ip", "192.0.2.9", pem], capture_output=True, check=False)
        assert wrong.returncode != 0


def test_topupd_takes_its_settings(made, tmp_path):
    conf = moved(made / "node2/topupd.conf", made / "node2", tmp_path)
    done = subprocess.run([BUILD / "topupd", "check-config", "-c", conf], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    store = re.search(r"^store = (.*)$", conf.read_text(), re.M)[1]
    assert all(address + ":5432" in store for address in ADDRESSES) and "target_session_attrs=read-write" in store and "verify-full" in store


def test_haproxy_takes_its_settings(made, tmp_path):
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    if not haproxy:
        pytest.skip("there is no haproxy")
    config = moved(made / "node1/haproxy.cfg", made / "node1", tmp_path)
    assert "user haproxy" in config.read_text(), "it would go on as root"
    done = subprocess.run([haproxy, "-c", "-f", config], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_files_in_use_are_not_overwritten(made):
    before = (made / "ca/ca.pem").read_text()
    done = make(made)
    assert done.returncode == 1 and "is there already" in done.stderr
    assert (made / "ca/ca.pem").read_text() == before


def test_three_addresses_are_needed(tmp_path):
    for addresses in ("192.0.2.1", "192.0.2.1,192.0.2.2", "192.0.2.1,,192.0.2.3"):
        done = make(tmp_path / "out", addresses)
        assert done.returncode == 1 and "three addresses" in done.stderr and not (tmp_path / "out").exists()
