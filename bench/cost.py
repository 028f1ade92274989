# SPDX-License-Identifier: Apache-2.0
"""What an order costs the server: CPU time by layer, system calls (both with perf), allocations (bench/allocations.c)."""
import collections
import shutil
import signal
import struct
import subprocess
import tempfile

from server import BUILD

# A symbol of the server belongs to the folder whose library has it; one of another library to that library.
LIBRARIES = {"libsqlite3": "SQLite", "libjansson": "jansson", "libmicrohttpd": "libmicrohttpd", "libcrypto": "OpenSSL", "libssl": "OpenSSL",
             "libcjose": "cjose", "libuv": "libuv", "libcurl": "libcurl", "libpq": "libpq", "libgnutls": "GnuTLS", "libc": "C library",
             "libm": "C library", "ld-linux-x86-64": "C library", "[vdso]": "kernel", "[kernel.kallsyms]": "kernel", "[kernel]": "kernel"}
SYSTEM_CALLS = ["epoll_wait", "epoll_pwait", "epoll_ctl", "recvfrom", "sendto", "sendmsg", "writev", "futex", "read", "write", "pread64",
                "pwrite64", "pwritev", "fdatasync", "fsync", "clock_nanosleep"]


def layers():
    """Symbol -> layer, from the static library of each. A few names are in several."""
    found = {}
    for archive in sorted(BUILD.glob("src/*/lib*.a")):
        names = subprocess.run(["nm", "--defined-only", archive], capture_output=True, text=True).stdout
        for line in names.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in "tT":
                layer = f"src/{archive.parent.name}"
                found[words[2]] = layer if found.get(words[2], layer) == layer else "src, names that several have"
    return found


def usable(tool, *arguments):
    if not shutil.which(tool):
        return f"{tool} is not installed"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([tool, *(a.replace("OUT", f"{folder}/out") for a in arguments), "--", "true"], capture_output=True, text=True)
    return None if done.returncode == 0 and "<not" not in done.stderr else f"{tool} may not be used here"


def begin(command):
    return subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process):
    process.send_signal(signal.SIGINT)
    process.wait(60)


def by_layer(profile):
    """Shares of CPU time, from perf's profile."""
    report = subprocess.run(["perf", "report", "-i", profile, "--stdio", "-g", "none", "-t", "\t", "--sort", "dso,sym", "--percent-limit", "0"],
                            capture_output=True, text=True).stdout
    where, shares = layers(), collections.Counter()
    for line in report.splitlines():
        words = line.split("\t")
        if line.startswith("#") or len(words) < 3:
            continue
        share, library, symbol = float(words[0].strip().rstrip("%")), words[1].strip(), words[2].strip()[4:].split(" ")[0].split("@")[0]
        if library == "topupd":
            layer = where.get(symbol) or where.get(symbol.split(".")[0]) or "src/topupd"
        elif words[2].strip().startswith("[k]"):
            layer = "kernel"
        else:
            layer = LIBRARIES.get(library.split(".so")[0].split("-2.")[0], library)
        shares[layer] += share
    total = sum(shares.values()) or 1
    return {layer: share / total for layer, share in shares.most_common()}


def counts_of(text):
    """perf stat's lines of `count,,event,...`"""
    found = {}
    for line in text.splitlines():
        words = line.split(",")
        if len(words) > 2 and words[0].isdigit():
            found[words[2]] = int(words[0])
    return found


def per_order(server, folder, load):
    """`load` puts load on the server and returns how many orders ended."""
    out = {"missing": []}
    cannot_record = usable("perf", "record", "-q", "-e", "cpu-clock", "-o", "OUT")
    cannot_count = usable("perf", "stat", "-e", "raw_syscalls:sys_enter")
    profile, counted, pid = folder / "perf.data", folder / "perf.stat", server.process.pid
    running = []
    if not cannot_record:
        running.append(begin(["perf", "record", "-q", "-e", "cpu-clock", "-F", "499", "-o", profile, "-p", pid]))
    if not cannot_count:
        named = [f"syscalls:sys_enter_{name}" for name in SYSTEM_CALLS if usable("perf", "stat", "-e", f"syscalls:sys_enter_{name}") is None]
        running.append(begin(["perf", "stat", "-x", ",", "-o", counted, "-e", ",".join(["raw_syscalls:sys_enter", *named]), "-p", pid]))
    cpu = server.cpu_seconds()
    orders = load()
    cpu = server.cpu_seconds() - cpu
    for process in running:
        end(process)
    out["cpu_us"] = cpu / orders * 1e6
    if cannot_record:
        out["missing"].append(f"CPU time by layer: {cannot_record}")
    else:
        out["cpu_us_by_layer"] = {layer: round(share * out["cpu_us"], 3) for layer, share in by_layer(profile).items()}
    if cannot_count:
        out["missing"].append(f"system calls: {cannot_count}")
    else:
        counts = counts_of(counted.read_text())
        out["system_calls"] = counts.pop("raw_syscalls:sys_enter", 0) / orders
        out["system_calls_by_name"] = {name.rsplit("sys_enter_", 1)[1]: n / orders for name, n in sorted(counts.items(), key=lambda c: -c[1])
                                       if n / orders >= 0.005}
    return out


def allocations_per_order(server, folder, load):
    counts = folder / "allocations"
    server.again({"LD_PRELOAD": str(BUILD / "bench" / "liballocations.so"), "ALLOCATIONS": str(counts)})
    load()  # warm
    before = struct.unpack("=3Q", counts.read_bytes())
    orders = load()
    after = struct.unpack("=3Q", counts.read_bytes())
    server.again()
    return {"allocations": (after[0] - before[0]) / orders, "allocated_bytes": (after[1] - before[1]) / orders}
