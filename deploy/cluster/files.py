# SPDX-License-Identifier: Apache-2.0
"""
The files of a cluster: certificates, passwords, and each node's configuration made from the templates beside this file.

The same files serve three machines and the cluster on one machine: only addresses and folders differ (Layout).
"""
import dataclasses
import pathlib
import re
import secrets
import subprocess
import urllib.parse

TEMPLATES = pathlib.Path(__file__).resolve().parent
NODES = (1, 2, 3)
DAYS = 3650


@dataclasses.dataclass
class Layout:
    """Where things are on a node. The defaults are those of Debian's packages; `of` fills in what is the node's own."""
    cluster: str
    addresses: tuple
    base_url: str
    etc: str = "/etc/topupd/cluster"
    etcd_data: str = "/var/lib/etcd/topupd"
    postgresql_data: str = "/var/lib/postgresql/15/topupd"
    patroni_pgpass: str = "/var/lib/postgresql/patroni.pgpass"
    topupd_pgpass: str = "/etc/topupd/cluster/pgpass"
    sockets: str = "/var/run/postgresql"
    haproxy_socket: str = "/run/haproxy/admin.sock"
    haproxy_log: str = "/dev/log"
    haproxy_user: str = "user haproxy\n    group haproxy"
    listen: str = ":443"
    watchdog: str = "automatic"
    shared_buffers: str = "1GB"
    max_wal: str = "4GB"
    wal_keep: str = "1GB"
    max_connections: int = 200
    haproxy_connections: int = 20000


def store_location(layout):
    """libpq's connection string: all three nodes, whichever can be written to, the server's certificate held against the CA."""
    options = {"target_session_attrs": "read-write", "sslmode": "verify-full", "sslrootcert": layout.etc + "/ca.pem", "passfile": layout.topupd_pgpass,
               "connect_timeout": 3, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10000}
    hosts = ",".join(a + ":5432" for a in layout.addresses)
    return f"postgresql://topupd@{hosts}/topupd?{urllib.parse.urlencode(options, safe='/')}"


def passwords():
    return {name: secrets.token_urlsafe(24) for name in ("SUPERUSER_PASSWORD", "REPLICATION_PASSWORD", "TOPUPD_PASSWORD")}


def fill(template, words):
    """The template's text with each @WORD@ replaced; one that is not known is an error."""
    def word(match):
        if match[1] not in words:
            raise KeyError(f"{template}: there is no value for @{match[1]}@")
        return str(words[match[1]])

    return re.sub(r"@([A-Z_0-9]+)@", word, (TEMPLATES / template).read_text())


def write(path, text):
    """Nobody else may read it, from its first moment on."""
    path.touch(mode=0o600)
    path.write_text(text)


def node_words(layout, node, secret):
    words = {name.upper(): value for name, value in dataclasses.asdict(layout).items() if name != "addresses"}
    words |= {f"ADDRESS{n}": address for n, address in zip(NODES, layout.addresses)}
    words |= {"NODE": node, "NAME": f"node{node}", "ADDRESS": layout.addresses[node - 1], "STORE": store_location(layout), **secret}
    return words


def node_files(layout, node, folder, secret):
    """All that stands in layout.etc on this node, but for certificates."""
    words = node_words(layout, node, secret)
    folder.mkdir(parents=True, exist_ok=True)
    for template in ("etcd.yml", "patroni.yml", "haproxy.cfg", "topupd.conf", "database.sql"):
        write(folder / template, fill(template, words))
    write(folder / "pgpass", f"*:5432:topupd:topupd:{secret['TOPUPD_PASSWORD']}\n")


# ---- certificates ----

def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr}")


def authority(folder, name):
    """A CA of the cluster's own, made once. Its key is needed again for new certificates only: it belongs on none of the nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ca.pem").exists():
        write(folder / "ca.key", "")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS, "-subj", f"/CN={name} cluster CA",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", folder / "ca.key", "-out", folder / "ca.pem")


def certificate(ca, folder, name, names):
    """node.pem and node.key for a machine: a server's and a client's certificate in one, for all its services."""
    write(folder / "node.key", "")
    request, extensions = folder / "node.csr", folder / "node.ext"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", folder / "node.key",
            "-out", request)
    extensions.write_text("basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName="
                          + ",".join(names) + "\n")
    openssl("x509", "-req", "-in", request, "-CA", ca / "ca.pem", "-CAkey", ca / "ca.key", "-set_serial", hex(secrets.randbits(120)), "-days", DAYS,
            "-extfile", extensions, "-out", folder / "node.pem")
    request.unlink()
    extensions.unlink()
    write(folder / "ca.pem", (ca / "ca.pem").read_text())
    write(folder / "haproxy.pem", (folder / "node.pem").read_text() + (folder / "node.key").read_text())


def make(layout, out, public_name=None):
    """A folder for each node, ready to be copied to its machine, and the CA beside them."""
    out = pathlib.Path(out)
    authority(out / "ca", layout.cluster)
    secret = passwords()
    for node, address in zip(NODES, layout.addresses):
        folder = out / f"node{node}"
        node_files(layout, node, folder, secret)
        certificate(out / "ca", folder, f"node{node}", [f"IP:{address}", f"DNS:node{node}"] + ([f"DNS:{public_name}"] if public_name else []))
