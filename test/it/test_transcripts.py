# SPDX-License-Identifier: Apache-2.0
"""What README.md, the manual and the demo's own page tell people to type works as it stands there, and shows what they say it shows."""
import json
import os
import re
import subprocess

import pytest

import contract
from conftest import BUILD, PSIM, ROOT, iccid_of, wait_for

CLEAN = {"PATH": f"{BUILD}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"} | {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}


def section(file, heading):
    text = (ROOT / file).read_text()
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def blocks(text):
    """The indented blocks: what to type, and what is shown (which begins with a brace)."""
    found = re.findall(r"(?:^    [^\n]*\n(?:\n(?=    ))?)+", text, re.M)
    return [re.sub(r"^    ", "", block, flags=re.M) for block in found]


def bash(script, folder):
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, env=CLEAN | {"HOME": str(folder)}, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}\n--- of\n{script}"
    return done.stdout


def keys_shown(block):
    return set(re.findall(r'"(\w+)":', block))


def test_the_first_order_of_the_readme(new_demo, tmp_path):
    server = new_demo(data=tmp_path / "demo-data")
    (tmp_path / "build").symlink_to(BUILD)
    typed = [b for b in blocks(section("README.md", "A first order")) if not b.startswith("{")]
    shown = [b for b in blocks(section("README.md", "A first order")) if b.startswith("{")]
    place, follow, client = typed
    # a person looks again when it is not there yet
    out = bash(f"{place}\nfor i in $(seq 200); do\n{follow}\necho\ndone", tmp_path)
    answers = [json.loads(line) for line in out.splitlines()]
    accepted, completed = answers[0], answers[-1]
    assert accepted["status"] == "ACCEPTED" and completed["status"] == "COMPLETED"
    assert completed["id"] == accepted["id"] and completed["output"]["iccid"] == PSIM
    assert keys_shown(shown[0]) <= keys_shown(json.dumps(accepted)) and keys_shown(shown[1]) == keys_shown(json.dumps(completed))
    out = bash(client, tmp_path)
    assert "COMPLETED" in out and PSIM in out and "truphone" in out, out
    assert server.stop() == 0


def test_the_sandbox_of_the_readme(new_demo, tmp_path):
    server = new_demo(data=tmp_path / "demo-data")
    (tmp_path / "build").symlink_to(BUILD)
    typed, shown = blocks(section("README.md", "The sandbox: buy, use, expire"))
    out = bash(typed, tmp_path)
    header, row = shown.splitlines()
    listed = out.splitlines()[out.splitlines().index(header) + 1].split()
    assert listed[1:6] + listed[7:] == row.split()[1:6] + row.split()[7:], "all but the id and the date"
    assert re.search(r"^status +COMPLETED$", out, re.M) and re.search(r"^verdict +BOOKED$", out, re.M) and "30 d 0 h 0 min ahead" in out, out
    assert "EXPIRED" not in bash("set -a; . demo-data/demo.env; set +a; topup subscription list --sandbox --all", tmp_path), "it was reset"
    assert server.stop() == 0


def test_the_page_that_the_demo_prints(new_demo, tmp_path):
    server = new_demo(data=tmp_path / "data")
    page = (server.data / "page").read_text()
    assert page.count(server.env["CLIENT_SECRET"]) == 2 and server.env["TOPUP_ADMIN_TOKEN"] not in page
    script = page[page.index("ACCESS_TOKEN=$("):page.index("The answer names the order:")]
    (follow,) = re.findall(r"^The answer names the order: (curl .*)$", page, re.M)
    out = bash(script + f"\necho\nexport ACCESS_TOKEN\nenv | grep ^ACCESS_TOKEN=", tmp_path)
    accepted, token = out.strip().splitlines()
    order = json.loads(accepted)
    assert order["status"] == "ACCEPTED"
    contract.secrets.add(token.split("=", 1)[1])

    def look():
        return json.loads(bash(f"{token}\n" + follow.replace("<id>", order["id"]), tmp_path))["status"] == "COMPLETED"

    wait_for(look, 30, "COMPLETED")


@pytest.fixture
def ended():
    processes = []
    yield processes
    for process in processes:
        process.terminate()
        assert process.wait(20) == 0


def test_the_manual(tmp_path, ended):
    (starting,) = blocks(section("docs/manual.md", "Starting"))
    sample, check, operator, serve = [line.split("#")[0].strip() for line in starting.splitlines()]
    bash(sample, tmp_path)
    conf = (tmp_path / "topupd.conf").read_text()
    for name, value in (("listen", "127.0.0.1:0"), ("store", str(tmp_path / "store"))):  # a test's own place
        assert f"\n#{name} = " in conf
        conf = re.sub(rf"^#{name} = .*$", f"{name} = {value}", conf, flags=re.M)
    (tmp_path / "topupd.conf").write_text(conf)
    assert "good" in bash(check, tmp_path)
    token = bash(operator, tmp_path).strip()
    with open(tmp_path / "log", "wb") as log:
        ended.append(subprocess.Popen(serve.split(), cwd=tmp_path, env=CLEAN, stderr=log))
    ready = wait_for(lambda: re.search(r"event=server.ready listen=(\S+)", (tmp_path / "log").read_text()), 30, "the server")

    (daily,) = blocks(section("docs/manual.md", "Partners, products, SIMs"))
    lines = [line.split("#")[0].strip() for line in daily.splitlines()]
    assert lines[0].startswith("export TOPUP_SERVER=http://127.0.0.1:8080 TOPUP_ADMIN_TOKEN=...")
    lines[0] = f"export TOPUP_SERVER=http://{ready[1]} TOPUP_ADMIN_TOKEN={token}"
    assert lines[-1] == "topup order retry <id>"
    (tmp_path / "products.csv").write_text("id,name,sim_type,duration,duration_unit,data,data_unit,price,price_currency,footprint_code\n"
                                           f"{'E' * 43}=,Plan,ESIM|PSIM,30,DAYS,1,GB,10,EUR,EUROPE\n")
    (tmp_path / "sims.csv").write_text(f"iccid,sim_type,partner\n{iccid_of(1)},PSIM,acme\n{iccid_of(2)},PSIM,acme\n")
    out = bash("\n".join(lines[:-1]) + "\ntopup sim list --partner acme\ntopup product list --partner acme\ntopup partner list", tmp_path)
    for words in ("acme", "Acme Travel", iccid_of(1), iccid_of(2), "E" * 43 + "="):
        assert words in out, out
    assert token not in (tmp_path / "log").read_text()
