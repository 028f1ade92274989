# SPDX-License-Identifier: Apache-2.0
"""The command line and the settings: all faults are told at once, the sample file is good, and nothing starts on bad settings."""
import re
import subprocess

import pytest

import contract
from conftest import BUILD, Api, wait_for


def topupd(*arguments):
    return subprocess.run([BUILD / "topupd", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def test_check_config_tells_all_faults(tmp_path):
    conf = tmp_path / "topupd.conf"
    conf.write_text("listen = 127.0.0.1:http\nbase_url = ftp://x/v2\ntls_key = /nowhere/key.pem\nhttp_threads = 99\ndrain_seconds = soon\n"
                    "colour = red\nlease_seconds = 5\nlease_seconds = 6\nstore =\noutside_issuer = https://idp.example\nnetwork = moon\n")
    done = topupd("check-config", "-c", conf, "-o", "log_level=loud", "-o", "realm=a/b", "-o", "nothing=1", "-o", "queue_max")
    assert done.returncode == 1 and done.stdout == ""
    wanted = ("listen", "base_url: must begin", "base_url: must end", "tls_certificate and tls_key", "tls_key: /nowhere/key.pem", "http_threads",
              "drain_seconds", "colour", "lease_seconds: given twice", "store", "outside_issuer", "network", "log_level", "realm", "nothing",
              "queue_max", "call_timeout_seconds")
    lines = done.stderr.splitlines()
    for words in wanted:
        assert any(line.startswith("topupd: ") and words in line for line in lines), f"{words!r} is missing in {lines}"
    assert len(lines) == len(wanted), lines


def test_check_config_of_a_good_file(tmp_path):
    sample = topupd("sample-config").stdout
    names = re.findall(r"^#([a-z_]+) =", sample, re.M)
    assert len(names) > 20
    conf = tmp_path / "topupd.conf"
    for text in (sample, re.sub(r"^#([a-z_]+ =)", r"\1", sample, flags=re.M)):  # as it is, and with every default given
        conf.write_text(text)
        done = topupd("check-config", "-c", conf)
        assert done.returncode == 0 and "good" in done.stdout, done.stderr


@pytest.mark.parametrize("make,words", [(None, "cannot be read"), ("folder", "is a folder"), ("listen\n", ":1: is not a line")])
def test_a_file_that_is_none(tmp_path, make, words):
    conf = tmp_path / "topupd.conf"
    if make == "folder":
        conf.mkdir()
    elif make:
        conf.write_text(make)
    done = topupd("check-config", "-c", conf)
    assert done.returncode == 1 and words in done.stderr, done.stderr


@pytest.mark.parametrize("length", [180, 190, 198, 199, 200, 397, 398, 600])
def test_a_long_line_is_one_setting(tmp_path, length):
    folder = str(tmp_path) + "/" + "/".join(["long#;folder"] * 400)
    folder = folder[:length].rstrip("/")
    conf = tmp_path / "topupd.conf"
    conf.write_text(f"# {'a long comment ' * 40}\n  ; {'= [another] ' * 40}\ntls_key = {folder}  ; {'and one behind ' * 30}\nlisten = 1.2.3.4:5\nbad\nbad again\n")
    done = topupd("check-config", "-c", conf)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"topupd: {conf}:5: is not a line of the form name = value", done.stderr
    shown = [line for line in done.stderr.splitlines() if line.startswith("topupd: tls_key: ")]
    assert len(shown) == 1 and shown[0].startswith(f"topupd: tls_key: {folder}"[:250]), done.stderr


def test_a_line_that_is_too_long(tmp_path):
    conf = tmp_path / "topupd.conf"
    conf.write_text("listen = 127.0.0.1:1\nstore = " + "x" * 9000 + "\n")
    done = topupd("check-config", "-c", conf)
    assert done.returncode == 1 and ":2: is not a line" in done.stderr, done.stderr


def test_nothing_starts_on_bad_settings(tmp_path):
    for command in ("serve", "demo", "migrate"):
        done = topupd(command, "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "-o", "queue_max=0", "-o", f"store={tmp_path}/data")
        assert done.returncode == 1 and "queue_max" in done.stderr, (command, done.stderr)
        assert not (tmp_path / "data").exists(), "bad settings left a store behind"


def test_words_that_are_no_commands():
    for arguments in (("frobnicate",), (), ("operator",), ("--no-such-option", "serve")):
        done = topupd(*arguments)
        assert done.returncode == 2 and done.stderr, arguments
    assert "check-config" in topupd("--help").stdout


@pytest.mark.embedded
def test_an_operators_token_opens_the_admin_api(tmp_path, new_demo):
    made = topupd("operator", "alice", "-o", f"store={tmp_path}/data")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    server = new_demo(data=tmp_path / "data")
    contract.secrets.add(token)
    assert Api(server, token).get("/admin/v1/status").status_code == 200
    wait_for(lambda: any(line.get("operator") == "alice" for line in server.log_lines()), 10, "the operator's name in the log")
    busy = topupd("operator", "bob", "-o", f"store={tmp_path}/data")
    assert busy.returncode == 1 and busy.stderr, "two processes wrote to one store"
