# SPDX-License-Identifier: Apache-2.0
"""The command-line client against a real daemon: what a person and a program see, and how each run ends."""
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios

import pytest

from conftest import BUILD, ESIM_PRODUCT, PRODUCT, PSIM, wait_for

TOPUP = BUILD / "topup"
OK, REFUSED, USAGE, UNREACHABLE, ORDER_FAILED, TIMEOUT, BAD_ROWS, LOCAL, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 130
NEW_PRODUCT = "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCA="
CATALOGUE = "id,name,sim_type,duration,duration_unit,data,data_unit,price,price_currency,footprint_code\n"
PARTNER_NAMES = ("CLIENT_ID", "CLIENT_SECRET")


def iccid(number):
    """The ICCID of these 18 digits."""
    digits = str(894400000000000000 + number)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


class Topup:
    def __init__(self, demo, home):
        home.mkdir(exist_ok=True)
        self.home = home
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **demo.env}
        self.env.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})

    def without(self, *names):
        other = object.__new__(Topup)
        other.home = self.home
        other.env = {name: value for name, value in self.env.items() if name not in names}
        return other

    def run(self, *args, ends=OK, stdin=""):
        done = subprocess.run([TOPUP, *map(str, args)], env=self.env, input=stdin, capture_output=True, text=True, timeout=120)
        assert done.returncode == ends, f"topup {' '.join(map(str, args))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *args, **kwargs):
        return json.loads(self.run(*args, "--json", **kwargs).stdout)

    def terminal(self, *args, columns=80):
        """Runs it on a terminal of that width; what it wrote there."""
        try:
            master, slave = pty.openpty()
        except OSError as why:  # a bare system in a folder has no /dev/pts; the table's unit test covers the widths there
            pytest.skip(f"no terminal to be had: {why}")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([TOPUP, *args], env={**self.env, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        out = b""
        try:
            while chunk := os.read(master, 65536):
                out += chunk
        except OSError:
            pass  # the other end is closed
        os.close(master)
        assert process.wait(60) == 0
        return out.decode()


@pytest.fixture
def topup(demo, tmp_path):
    return Topup(demo, tmp_path / "home")


def commands():
    overview = subprocess.run([TOPUP, "--help"], capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^  ([a-z].*?)  +[A-Z]", overview, re.M)
    return [" ".join(word for word in line.split() if word.islower() and "|" not in word) for line in lines]


# ---- help ----

def test_every_command_teaches():
    assert len(commands()) >= 25
    for words in commands():
        done = subprocess.run([TOPUP, *words.split(), "--help"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, words
        assert done.stdout.startswith(f"Usage: topup {words}"), words
        assert f"Examples:\n  " in done.stdout and f"topup {words}" in done.stdout.split("Examples:")[1], words
        assert max(map(len, done.stdout.splitlines())) < 81, words


@pytest.mark.parametrize("args", [[], ["nonsense"], ["partner"], ["partner", "nonsense"], ["partner", "show"], ["partner", "show", "a", "b"],
                                  ["order", "list", "--status", "LOST"], ["order", "list", "--nonsense"], ["order", "list", "--limit", "0"],
                                  ["order", "place"], ["sim", "assign"], ["sim", "assign", "--partner", "x"], ["completion", "fish"],
                                  ["--server", "no address", "partner", "list"]])
def test_a_wrong_command_line_ends_with_2(topup, args):
    assert topup.run(*args, ends=USAGE).stdout.startswith("Usage: ") or args


def test_version_and_options_before_the_command(topup):
    assert topup.run("--version").stdout.startswith("topup ")
    assert json.loads(topup.run("--json", "partner", "list").stdout)["data"]


def test_completion_knows_commands_options_and_values(topup, tmp_path):
    script = tmp_path / "topup.bash"
    script.write_text(topup.run("completion", "bash").stdout)

    def complete(*words):
        code = (f"source {script}; COMP_WORDS=(topup {' '.join(repr(w) for w in words)}); COMP_CWORD={len(words)}; _topup; "
                'printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "partner" in complete("p") and "products" in complete("p")
    assert complete("partner", "ro") == ["rotate-secret"]
    assert complete("partner", "add", "--mo") == ["--mode"]
    assert complete("partner", "add", "--mode", "s") == ["sandbox"]
    assert complete("order", "list", "--status", "FA") == ["FAILED"]
    assert complete("completion", "z") == ["zsh"]


# ---- where the server is and who we are ----

def test_a_server_that_is_not_there_ends_with_3(topup):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
        assert url in topup.run("partner", "list", "--server", url, ends=UNREACHABLE).stderr
        topup.run("products", "--server", url, ends=UNREACHABLE)


def test_what_is_missing_is_named(topup):
    nobody = topup.without("CLIENT_ID", "CLIENT_SECRET", "TOPUP_ADMIN_TOKEN")
    assert "TOPUP_ADMIN_TOKEN" in nobody.run("partner", "list", ends=REFUSED).stderr
    assert "topup login" in nobody.run("products", ends=REFUSED).stderr


def test_login_keeps_what_the_server_took(demo, topup):
    nobody = topup.without(*demo.env)
    file = topup.home / ".config/topup/config"
    url = demo.env["TOPUP_SERVER"]
    nobody.run("login", "--server", url, "--client-id", "truphone", stdin="wrong secret\n", ends=REFUSED)
    assert not file.exists()
    nobody.run("login", "--server", url, stdin=f"{demo.env['CLIENT_ID']}\n{demo.env['CLIENT_SECRET']}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert PRODUCT in nobody.run("products").stdout
    nobody.run("partner", "list", ends=REFUSED)
    nobody.run("login", "--operator", "--server", url, stdin=f"{demo.env['TOPUP_ADMIN_TOKEN']}\n")
    assert "truphone" in nobody.run("partner", "list").stdout
    assert PRODUCT in nobody.run("products").stdout  # kept beside it
    assert [entry.name for entry in file.parent.iterdir()] == ["config"]
    file.chmod(0o644)
    assert "chmod 600" in nobody.run("products", ends=LOCAL).stderr
    file.chmod(0o600)
    file.write_text("colour = blue\n")
    assert "colour" in nobody.run("products", ends=LOCAL).stderr


# ---- partners and products ----

def test_a_partner_from_its_first_day_to_its_last(demo, topup):
    added = topup.json("partner", "add", "acme", "--name", "Acmé Travel", "--currencies", "EUR, USD", "--required-fields", "last_name",
                       "--cap-day", 3)
    assert added["currencies"] == ["EUR", "USD"] and added["required_fields"] == ["last_name"] and added["cap_day"] == 3
    acme = topup.without("TOPUP_ADMIN_TOKEN")
    acme.env.update(CLIENT_ID="acme", CLIENT_SECRET=added["client_secret"])
    assert acme.json("products") == {"data": []}
    assert "Acmé Travel" in topup.run("partner", "list").stdout
    assert "client_secret" not in topup.run("partner", "show", "acme").stdout
    assert topup.json("partner", "set", "acme", "--name", "Acme", "--cap-day", 0)["cap_day"] == 0
    topup.run("partner", "set", "acme", ends=USAGE)
    rotated = topup.json("partner", "rotate-secret", "acme", "--overlap", "12h")
    assert rotated["old_secrets_end"]
    acme.run("products")
    acme.env["CLIENT_SECRET"] = rotated["client_secret"]
    acme.run("products")
    chosen = topup.home / "secret"
    chosen.write_text("a secret from a file\n")
    topup.run("partner", "rotate-secret", "acme", "--secret-file", chosen)
    acme.run("products", ends=REFUSED)
    acme.env["CLIENT_SECRET"] = "a secret from a file"
    acme.run("products")
    topup.run("partner", "disable", "acme")
    acme.run("products", ends=REFUSED)
    topup.run("partner", "enable", "acme")
    acme.run("products")
    assert "is taken" in topup.run("partner", "add", "acme", "--name", "Again", ends=REFUSED).stderr
    log = demo.log_text()
    assert "event=operator.partner_added" in log and "client_id=acme" in log
    for secret in (added["client_secret"], rotated["client_secret"], "a secret from a file", demo.env["TOPUP_ADMIN_TOKEN"]):
        assert secret not in log.replace("client secret  " + demo.env["CLIENT_SECRET"], "")


def test_all_faults_are_told_one_a_line(topup):
    lines = topup.run("partner", "add", "a b", "--currencies", "XXQ", ends=REFUSED).stderr.splitlines()
    assert len(lines) == 3 and all(line.startswith("topup: ") for line in lines)


def test_a_catalogue_is_imported(topup, tmp_path):
    topup.run("partner", "add", "shop", "--name", "Shop")
    file = tmp_path / "catalogue.csv"
    good = f'{NEW_PRODUCT},"Plan, one",ESIM|PSIM,30,DAYS,5,GB,19.90,EUR,EU\r\n'
    file.write_bytes(b"\xef\xbb\xbf" + (CATALOGUE + good + "short,,X,0,DAYS,5,GB,1,EUR,EU\n").encode())
    refused = topup.run("product", "import", "shop", file, ends=BAD_ROWS)
    assert "line 3: id: " in refused.stderr
    assert topup.json("product", "list", "--partner", "shop") == {"data": []}
    topup.run("product", "import", "shop", file, "--keep-good", ends=BAD_ROWS)
    assert [p["name"] for p in topup.json("product", "list", "--partner", "shop")["data"]] == ["Plan, one"]
    file.write_text(CATALOGUE + good)
    assert "Nothing was changed." in topup.run("product", "import", "shop", file).stdout
    assert topup.json("product", "set", "shop", NEW_PRODUCT, "--price", "18.5", "--data", "6GB", "--on-sale", "no")["price"] == 18.5
    assert "1 changed" in topup.run("product", "import", "shop", "-", stdin=file.read_text()).stdout
    assert "decimals" in topup.run("product", "set", "shop", NEW_PRODUCT, "--price", "1.999", ends=REFUSED).stderr
    topup.run("product", "import", "shop", tmp_path / "nowhere.csv", ends=LOCAL)


# ---- SIMs ----

def test_sims_are_imported_all_or_none(topup, tmp_path):
    file, bad = tmp_path / "sims.csv", tmp_path / "bad.txt"
    rows = [f"{iccid(n)},PSIM,truphone,23415{n:010d}" for n in range(3)]
    broken = [rows[0], "8944472600000510741,PSIM,,", rows[1], rows[0], f'{iccid(9)},"PS"IM,,', f"{iccid(9)},PSIM,nobody,,,", rows[2]]
    file.write_text("iccid,sim_type,partner,imsi\n" + "\n".join(broken) + "\n")
    refused = topup.run("sim", "import", file, ends=BAD_ROWS)
    told = re.findall(r"^line (\d+): (.+)$", refused.stderr, re.M)
    assert [int(line) for line, _ in told] == [3, 5, 6, 7]
    assert "check digit" in told[0][1] and "line 2" in told[1][1] and "quote" in told[2][1] and "more fields" in told[3][1]
    topup.run("sim", "show", iccid(0), ends=REFUSED)
    kept = topup.run("sim", "import", file, "--keep-good", "--bad", bad, ends=BAD_ROWS)
    assert "3 SIMs imported" in kept.stdout and "line" not in kept.stderr
    assert len(bad.read_text().splitlines()) == 4
    file.write_text("iccid,sim_type,partner,imsi\n" + "\n".join(rows) + "\n")
    assert "nothing was changed" in topup.run("sim", "import", file).stdout
    assert topup.json("sim", "import", "-", stdin=file.read_text()) == {"rows": 3, "inserted": 0, "same": 3, "bad": 0}


@pytest.mark.parametrize("text, said", [("", "is empty"), ("colour,size\n1,2\n", "not known"), ("iccid,sim_type\n\"89", "does not end"),
                                        ("iccid,iccid,sim_type\n1,1,PSIM\n", "twice")])
def test_a_file_that_is_no_table_imports_nothing(topup, text, said):
    done = subprocess.run([TOPUP, "sim", "import", "-"], env=topup.env, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode in (REFUSED, BAD_ROWS) and said in done.stderr
    topup.run("sim", "import", "/", ends=LOCAL)


def test_many_sims_are_imported_listed_and_assigned(topup):
    n = 12_000  # more than two pieces
    rows = "".join(f"{iccid(100_000 + i)},PSIM\n" for i in range(n))
    done = topup.run("sim", "import", "-", stdin="iccid,sim_type\n" + rows)
    assert f"{n} SIMs imported" in done.stdout
    assert re.search(rf"^{n} rows, \d+ rows/s$", done.stderr, re.M)
    topup.run("partner", "add", "bulk", "--name", "Bulk")
    done = topup.json("sim", "assign", "--partner", "bulk", "--from", iccid(100_000), "--to", iccid(100_000 + n - 1))
    assert done == {"assigned": n, "unchanged": 0}
    listed = topup.json("sim", "list", "--partner", "bulk", "--all")["data"]
    assert [s["iccid"] for s in listed] == [iccid(100_000 + i) for i in range(n)]
    assert len(topup.json("sim", "list", "--partner", "bulk", "--limit", 150)["data"]) == 150
    assert topup.json("sim", "assign", "--partner", "bulk", iccid(100_000))["unchanged"] == 1
    refused = topup.run("sim", "assign", "--partner", "bulk", PSIM, iccid(777_777), ends=REFUSED)
    assert PSIM in refused.stderr and "iccids.1" in refused.stderr


def test_an_interrupted_import_leaves_nothing(demo, topup):
    process = subprocess.Popen([TOPUP, "sim", "import", "-"], env=topup.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    imports = "route=/admin/v1/sim-imports/{id}/rows"
    before = demo.log_text().count(imports)
    process.stdin.write("iccid,sim_type\n" + "".join(f"{iccid(500_000 + i)},PSIM\n" for i in range(6000)))
    process.stdin.flush()
    wait_for(lambda: demo.log_text().count(imports) > before, what="the first piece")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED and "nothing was imported" in err and not out
    topup.run("sim", "show", iccid(500_000), ends=REFUSED)
    wait_for(lambda: "method=DELETE route=/admin/v1/sim-imports/{id} status=204" in demo.log_text(), what="the end of the import")


# ---- orders ----

def test_an_order_is_placed_and_waited_for(topup):
    order = topup.json("order", "place", "--iccid", PSIM, "--product", PRODUCT, "--wait", "--reference", "r-1")
    assert order["status"] == "COMPLETED" and order["output"]["iccid"] == PSIM
    assert topup.json("order", "watch", order["id"])["status"] == "COMPLETED"
    assert topup.json("order", "show", order["id"])["tasks"] == []  # a finished order has no work left
    assert "tasks" not in topup.json("order", "show", order["id"], "--as", "partner")
    assert order["id"] in topup.run("order", "list", "--iccid", PSIM, "--status", "COMPLETED").stdout
    assert order["id"] in topup.run("order", "list", "--as", "partner").stdout
    subscription = order["output"]["subscription_id"]
    assert topup.json("subscription", "show", subscription)["sim_id"] == PSIM
    for side in ("operator", "partner"):
        assert subscription in topup.run("subscription", "list", "--iccid", PSIM, "--as", side).stdout
        assert subscription in topup.run("sim", "show", PSIM, "--as", side).stdout
    assert PSIM in topup.run("sims").stdout
    assert "parked" in topup.run("order", "retry", order["id"], ends=REFUSED).stderr


def test_what_the_options_leave_open_is_found_out(topup):
    stock = topup.json("sim", "list", "--type", "PSIM", "--service", "STOCK", "--partner", "truphone")["data"][0]["iccid"]
    activated = topup.json("order", "place", "--iccid", stock, "--product", PRODUCT, "--email", "ada@example.org", "--wait")
    assert activated["status"] == "COMPLETED"
    assert topup.json("order", "show", activated["id"])["operation_type"] == "ACTIVATION"
    esim = topup.run("order", "place", "--product", ESIM_PRODUCT, "--email", "ada@example.org", "--wait").stdout
    assert re.search(r"^activation code +1\$", esim, re.M)
    refused = topup.run("order", "place", "--product", ESIM_PRODUCT, "--country", "XX", ends=REFUSED).stderr
    assert "country" in refused and "subscriber.email" in refused


def test_how_an_order_ends_is_the_exit_code(new_demo, tmp_path):
    script = tmp_path / "script"
    script.write_text("* start * 1: refuse\n* start * 1: hang\n")
    demo = new_demo("-o", "network=fake", "-o", f"network_script={script}")
    topup = Topup(demo, tmp_path / "home")
    place = ("order", "place", "--iccid", PSIM, "--product", PRODUCT)
    failed = topup.run(*place, "--wait", ends=ORDER_FAILED)
    assert "FAILED" in failed.stdout and "the order failed" in failed.stderr
    waiting = topup.run(*place, "--wait", "--timeout", 1, ends=TIMEOUT)
    assert "topup order watch" in waiting.stderr
    assert topup.json(*place)["status"] == "ACCEPTED"


# ---- what people see ----

def test_tables_fit_the_terminal_and_are_plain_elsewhere(topup):
    wide = topup.run("product", "list").stdout
    assert "\033" not in wide and PRODUCT in wide
    assert max(map(len, wide.splitlines())) > 100
    for columns in (80, 100, 200):
        narrow = topup.terminal("product", "list", columns=columns)
        shown = re.sub(r"\033\[[0-9;]*[mK]", "", narrow).replace("\r", "").splitlines()
        assert max(len(line) for line in shown if not line.startswith("(no room")) <= columns
        assert any(line.startswith(PRODUCT) for line in shown)  # ids are never cut
        assert "\033[1m" in narrow
        assert ("no room for" in narrow) == (columns < 120)


def test_control_characters_of_others_do_not_reach_the_terminal(topup):
    error = topup.run("partner", "show", "\033[31mred", ends=REFUSED)
    assert "\033" not in error.stderr + error.stdout


def test_status_and_keys(topup):
    status = topup.json("status")
    assert status["orders"]["ACCEPTED"] >= 0 and status["store"]["jobs"] > 0
    assert topup.json("key", "rotate")["kid"] != topup.json("key", "rotate")["kid"]
    topup.run("products")  # tokens go on being good


def test_the_sandbox(topup):
    assert "the real time" in topup.run("sandbox", "clock").stdout
    begun = topup.json("sandbox", "clock")["now"]
    made = topup.json("sandbox", "sims", "--type", "PSIM", "--count", 2, "--activated")["data"]
    assert len(made) == 2 and all(sim["activated"] for sim in made)
    psim = made[0]["iccid"]
    listed = topup.run("sandbox", "sims", "--type", "PSIM", "--all").stdout
    assert psim in listed and "ESIM" not in listed
    assert "slow" in topup.run("sandbox", "sims", "--type", "PSIM", "--behaviour", "slow").stdout

    order = topup.json("order", "place", "--sandbox", "--iccid", psim, "--product", PRODUCT, "--wait")
    used = topup.json("sandbox", "usage", "--iccid", psim, "--bytes", "4G", "--up", "1K", "--record-id", "one")
    assert used["bookings"] == [{"subscription_id": order["output"]["subscription_id"], "bytes": 4 * 1024**3 + 1024}]
    refused = topup.run("sandbox", "usage", "--iccid", psim, "--bytes", 5, "--record-id", "one", ends=REFUSED)
    assert "record_id" in refused.stderr, "it came before, with other content"
    moved = topup.json("sandbox", "clock", "advance", "P30D")
    assert moved["ahead_seconds"] >= 30 * 86400 - 60
    assert re.search(r", (29 d 23|30 d 0) h \d+ min ahead", topup.run("sandbox", "clock").stdout)
    assert topup.json("subscription", "list", "--sandbox", "--iccid", psim)["data"][0]["status"] == "EXPIRED"
    topup.run("sandbox", "clock", "set", begun, ends=REFUSED)

    esim = topup.json("order", "place", "--sandbox", "--email", "ada@example.org", "--product", ESIM_PRODUCT, "--wait")["output"]["iccid"]
    eid = "89049032000001000000012345678901"
    assert topup.json("sim", "install", esim, "--eid", eid)["status"] == "Installed"
    assert topup.json("sim", "show", esim, "--sandbox")["eid"] == eid

    # --sandbox is one side, its absence the other
    topup.run("sim", "show", psim, "--as", "partner", ends=REFUSED)
    assert topup.json("sims", "--all", "--sandbox")["data"] != topup.json("sims", "--all")["data"]
    assert "start" in topup.run("sandbox", "reset").stdout
    assert topup.json("subscription", "list", "--sandbox")["data"] == []


def test_the_sandbox_needs_its_credentials(topup):
    live = topup.without("SANDBOX_CLIENT_ID", "SANDBOX_CLIENT_SECRET")
    assert "topup login --sandbox" in live.run("products", "--sandbox", ends=USAGE).stderr
    assert "sandbox partners" in live.run("sandbox", "clock", ends=REFUSED).stderr, "as the live partner that it is"
    nobody = topup.without("SANDBOX_CLIENT_ID", "SANDBOX_CLIENT_SECRET", *PARTNER_NAMES)
    nobody.run("login", "--sandbox", stdin=f"{topup.env['SANDBOX_CLIENT_ID']}\n{topup.env['SANDBOX_CLIENT_SECRET']}\n")
    assert nobody.json("sandbox", "clock")["now"] and nobody.json("products", "--sandbox")["data"]
    nobody.run("products", ends=REFUSED)
    for words in (("clock", "advance"), ("clock", "back", "30d"), ("usage",), ("usage", "--iccid", PSIM, "--bytes", "4X"), ("sims", "--count", "3"),
                  ("sims", "--type", "PSIM", "--count", "0"), ("sims", "--type", "PSIM", "--behaviour", "moody"),
                  ("usage", "--iccid", PSIM, "--bytes", "99999999T")):
        topup.run("sandbox", *words, ends=USAGE)
