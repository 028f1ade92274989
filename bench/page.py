# SPDX-License-Identifier: Apache-2.0
"""The results as a page of text, as JSON, as a plot, and as docs/performance.md."""
import json

WANTED_SHARE_LARGE = 0.70
BATCH = 1000


def number(v):
    return f"{v:,.0f}" if v >= 1000 else f"{v:,.1f}" if v >= 100 else f"{v:,.2f}"


def halves(backlog):
    """Unfinished orders on average: in the first half of a run, in the second."""
    half = len(backlog) // 2
    first = [n for _, n in backlog[:half] or backlog]
    second = [n for _, n in backlog[half:]]
    return sum(first) / len(first), sum(second) / len(second)


def growth(backlog):
    if not backlog:
        return "too short to tell how the backlog grows"
    return "backlog {:,.0f} orders on average in the first half, {:,.0f} in the second".format(*halves(backlog))


def is_growing(backlog):
    """Beyond what a batch more or less makes."""
    if not backlog:
        return False
    first, second = halves(backlog)
    return second > 2 * first + BATCH


def served_rows(s, ceilings=None):
    c = ceilings or {}
    a, b = c.get("http_per_s"), c.get("store_per_s")
    half = s["half_load"]
    return [
        ("orders accepted/s, each on disk", s["accepted_per_s"], f"{s['accepted_per_s'] / min(a, b):.0%} of the lower of (a) and (b)" if c else ""),
        ("whole lifecycles/s, sustained", s["lifecycles_per_s"],
         (f"{s['lifecycles_per_s'] / b:.0%} of (b); " if c else "") + f"{s['accepted']['seconds']:.0f} s; {growth(s['backlog'])}"),
        ("accept latency at half load, p50, ms", half["p50_ms"], f"{half['rate']:,.0f}/s, constant arrivals, {half['seconds']:.0f} s"),
        ("   p99, ms", half["p99_ms"], ""),
        ("   p99.9, ms", half["p999_ms"], f"greatest {half['max_ms']:.1f}"),
        ("reads of random orders/s", s["reads"]["rate"], f"{s['reads']['rate'] / a:.0%} of (a)" if c else ""),
        ("tokens issued/s", s["tokens"]["rate"], ""),
        ("usage records booked/s", s["usage_records_per_s"], f"{s['usage']['rate']:,.0f} calls/s of 200"),
        ("event stream: events/s to 1 reader", s["events_one"]["rate"], f"{s['events_one']['bytes'] / s['events_one']['seconds'] / 1e6:,.0f} MB/s"),
        (f"event stream: events/s to {s['events_many']['readers']:,} readers", s["events_many"]["rate"], "all together"),
        ("webhooks delivered/s to 1 endpoint", s["webhooks_one_per_s"], "one after the other, in order"),
        ("webhooks delivered/s to 20 endpoints", s["webhooks_many_per_s"], "each in order"),
        ("bytes on disk per order", s.get("bytes_per_order"), "with its subscription and its events"),
        ("resident memory, MB", s["memory_mb"], ""),
        ("start, s", s["start_seconds"], "from its call to the first answer"),
    ]


def cost_rows(c):
    rows = [("server's CPU time per order, us", c["cpu_us"], "")]
    rows += [(f"   {layer}", us, f"{us / c['cpu_us']:.0%}") for layer, us in c.get("cpu_us_by_layer", {}).items() if us / c["cpu_us"] >= 0.005]
    if "system_calls" in c:
        rows.append(("system calls per order", c["system_calls"], ", ".join(f"{n} {v:.2f}" for n, v in c["system_calls_by_name"].items())))
    rows.append(("allocations per order", c["allocations"], f"{c['allocated_bytes']:,.0f} bytes"))
    return rows


def timers_row(t):
    return ("subscriptions that end at one instant, ended/s", t["ended_per_s"],
            f"{t['subscriptions']:,} in {t['seconds']:.1f} s; orders meanwhile (usual): p50 {t['meanwhile']['p50_ms']:.2f} ({t['usual']['p50_ms']:.2f}) ms, "
            f"p99 {t['meanwhile']['p99_ms']:.2f} ({t['usual']['p99_ms']:.2f}) ms")


def groups(r):
    c = r["ceilings"]
    into = "SQLite" if r["store"] == "embedded" else "PostgreSQL"
    out = [
        ("Ceilings", [("(a) HTTP: the library alone, requests/s", c["http_per_s"], "same sizes, same load driver"),
                      (f"(b) store: an order's rows straight into {into}, lives/s", c["store_per_s"], "batches of 1,000, each on disk"),
                      ("(c) disk: fdatasync/s", c["sync_per_s"], "of 4 KiB each")]),
        ("Served", served_rows(r["served"], c) + [("SIMs imported/s", r["import_per_s"], "")]),
    ]
    if r["store"] != "embedded":
        return out
    out += [
        ("Cost of an order", cost_rows(r["cost"])),
        ("Waiting", [("1,000 idle partners with open event streams, MB more", r["idle"]["memory_mb"], ""), timers_row(r["timers"])]),
    ]
    if "large" in r:
        large, s = r["large"], r["served"]
        rows = []
        for (name, value, note), (_, before, _) in zip(served_rows(large["served"]), served_rows(s)):
            rate = "/s" in name
            rows.append((name, value, f"{value / before:.0%} of the empty store's" + (f"; {note}" if note else "") if rate and before else note))
        rows += [("memory after the start, MB", large["start_memory_mb"], ""),
                 ("bytes on disk per order that was there", large["bytes_per_order"], f"{large['bytes'] / 1e9:.1f} GB in all, SIMs and events of 90 days included"),
                 ("filling the store, s", large["fill"]["seconds"], f"{large['fill']['events']:,} events")]
        out.append((f"With {large['sims']:,} SIMs and {large['orders']:,} orders", rows))
    return out


def database(r):
    return f"PostgreSQL {r['machine']['postgresql']}" if r["store"] == "pg" else f"SQLite {r['machine']['sqlite']}"


def text_page(r):
    m = r["machine"]
    out = [f"topupd benchmark, {r['date']}" + (", on PostgreSQL" if r["store"] == "pg" else "") + (", quick" if r["quick"] else ""),
           f"{m['cores']} cores ({m['cpu']}) shared by server and load driver, {m['memory_gb']} GB, Linux {m['kernel']}, {m['file_system']}, "
           f"{database(r)}; took {r['seconds'] // 60} min {r['seconds'] % 60} s"]
    for title, rows in groups(r):
        out += ["", title]
        out += [f"  {name:<58}{number(value):>12}  {note}".rstrip() for name, value, note in rows if value is not None]
    out += [f"  not measured: {what}" for what in r.get("cost", {}).get("missing", [])]
    out += ["", "Must reach"]
    out += [f"  {name:<56}  {wanted:<44}  {got:<34}  {'yes' if good else 'NO'}" for name, wanted, got, good in demands(r)]
    return "\n".join(out) + "\n"


def demands(r):
    """What is asked of it: figure, what it must reach, what was measured, whether it did."""
    s, c, half = r["served"], r["ceilings"], r["served"]["half_load"]
    a, b = c["http_per_s"], c["store_per_s"]
    if r["store"] == "pg":
        return [("whole lifecycles/s on PostgreSQL, sustained", "12,000", f"{s['lifecycles_per_s']:,.0f}, {s['lifecycles_per_s'] / b:.0%} of (b)",
                 s["lifecycles_per_s"] >= 12000 and not is_growing(s["backlog"]))]
    accepted, lives, reads = s["accepted_per_s"] / min(a, b), s["lifecycles_per_s"] / b, s["reads"]["rate"] / a
    out = [
        ("orders accepted/s", "50 % of the lower of (a) and (b), and 35,000", f"{accepted:.0%}, {s['accepted_per_s']:,.0f}",
         accepted >= 0.5 and s["accepted_per_s"] >= 35000),
        ("whole lifecycles/s, sustained", "45 % of (b), and 30,000; no growing backlog", f"{lives:.0%}, {s['lifecycles_per_s']:,.0f}",
         lives >= 0.45 and s["lifecycles_per_s"] >= 30000 and not is_growing(s["backlog"])),
        ("order reads/s", "50 % of (a)", f"{reads:.0%}, {s['reads']['rate']:,.0f}", reads >= 0.5),
        ("accept latency at half load", "p99 10 ms, p99.9 25 ms at most", f"{half['p99_ms']:.1f} ms, {half['p999_ms']:.1f} ms",
         half["p99_ms"] <= 10 and half["p999_ms"] <= 25),
    ]
    if "large" in r:
        large = r["large"]["served"]
        shares = [large[k] / s[k] for k in ("accepted_per_s", "lifecycles_per_s")] + [large["reads"]["rate"] / s["reads"]["rate"]]
        memory = max(large["memory_mb"], r["large"]["start_memory_mb"])
        out.append((f"with {r['large']['sims']:,} SIMs and {r['large']['orders']:,} orders", "70 % of the empty store's; 512 MB at most",
                    f"{shares[0]:.0%}, {shares[1]:.0%}, reads {shares[2]:.0%}; {memory:.0f} MB", min(shares) >= WANTED_SHARE_LARGE and memory <= 512))
    t = r["timers"]
    out += [
        ("1,000 idle partners with open event streams", "64 MB more at most", f"{r['idle']['memory_mb']:.1f} MB", r["idle"]["memory_mb"] <= 64),
        (f"orders while {t['subscriptions']:,} subscriptions end at one instant", "p50, p99 at most twice the usual",
         f"p50 {t['meanwhile']['p50_ms'] / t['usual']['p50_ms']:.1f} times, p99 {t['meanwhile']['p99_ms'] / t['usual']['p99_ms']:.1f} times",
         all(t["meanwhile"][k] <= 2 * t["usual"][k] for k in ("p50_ms", "p99_ms"))),
        ("tokens/s", "20,000", f"{s['tokens']['rate']:,.0f}", s["tokens"]["rate"] >= 20000),
    ]
    return out


def plot(r):
    bars = [(f"{title}: {name}" if title.startswith("With") else name, value, title) for title, rows in groups(r) for name, value, _ in rows
            if "/s" in name and value and "fdatasync" not in name and title != "Cost of an order"]
    most = max(value for _, value, _ in bars)
    colours = {"Ceilings": "#b8c4ce", "Served": "#2b6cb0", "Waiting": "#2f855a"}
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="1180" height="{26 * len(bars) + 20}" font-family="sans-serif" font-size="12">']
    for i, (name, value, title) in enumerate(bars):
        y, width = 10 + 26 * i, 520 * value / most
        out.append(f'<text x="550" y="{y + 14}" text-anchor="end">{name}</text>'
                   f'<rect x="560" y="{y}" width="{width:.1f}" height="18" fill="{colours.get(title, "#b7791f")}"/>'
                   f'<text x="{565 + width:.1f}" y="{y + 14}">{number(value)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def table(r):
    rows = "\n".join(f"| {name} | {wanted} | {got} | {'yes' if good else '**no**'} |" for name, wanted, got, good in demands(r))
    return f"| figure | must reach | measured | reached |\n|---|---|---|---|\n{rows}\n"


def where(r):
    m = r["machine"]
    return (f"{m['cores']} cores ({m['cpu']}), {m['memory_gb']} GB of memory, Linux {m['kernel']}, {m['file_system']}, {database(r)}; {r['date']}"
            + (", the quick form" if r["quick"] else ""))


def large_words(r):
    if "large" not in r:
        return ""
    large = r["large"]
    return f"""
The large store is that of an installation that has run for a year (`bench/fill.c`): {large['sims']:,} SIMs and {large['orders']:,} orders with their
subscriptions, of which those of the last month are active, and the events of the 90 days for which a server keeps them. Filling it took
{large['fill']['seconds']:.0f} s.
"""


def document(r, pg):
    postgres = ("" if not pg else f"""
## On PostgreSQL

Two cores shared by PostgreSQL, server and load driver, `synchronous_commit=on`, `fsync=on`. Here (b) is what PostgreSQL allows: the same rows written
straight into the same tables with set-based statements, in batches of 1,000, in the same run (`bench/ceiling_pg.c`). On {where(pg)}.

{table(pg)}
```
{text_page(pg)}```
""")
    return f"""# How fast

Written by `make bench BENCH_FLAGS=--document`, from a run on {where(r)}.
Server and load driver share the cores. Every answer to an order leaves after its commit is on disk (`synchronous=FULL`); nothing is switched off for the
benchmark.

{table(r)}
(a), (b) and (c) are what the HTTP library alone, the same rows written straight through SQLite in batches of 1,000, and the disk allow, in the same run on the
same machine: so the ratios hold on a noisy one.

```
{text_page(r)}```

![the same as bars](performance.svg)
{large_words(r)}{postgres}
What limits these figures, and what it would take to better them: [performance-limits.md](performance-limits.md).

## To repeat it

    make bench             # about a quarter of an hour; 20 GB below $BENCH_DIR (or the system's folder for temporary files)
    make bench QUICK=1     # under two minutes, without the large store
    make bench STORE=pg    # on PostgreSQL, which is started for it

They need nothing but this repository: missing Debian packages are installed, the release build is made in `build-rel`. Results are written to
`build-rel/bench-results` as text, JSON and SVG; with `BENCH_FLAGS=--document` this page is written from them, too. System calls and CPU time by layer are
counted by `perf`, which may ask for root; without it the page says what was not measured.

- The load driver is `bench/load.c`: one thread, keep-alive connections. *At half load* means arrivals at constant intervals, and a latency counts from the
  instant at which a request was due, whether or not a connection was free for it.
- *Sustained*: the backlog of unfinished orders is counted every second; the page shows whether it grows.
- Streams and webhooks are checked while they are measured: no event may be missing, none out of order.
- CPU time by layer is by the folder whose library holds the function that was running (`perf record`), or by the foreign library.
- Instructions per order do not depend on the machine's noise: `make test` compares them with `bench/instructions.txt` and fails when they have grown by more
  than 15 %.
"""


def kept(path):
    return json.loads(path.read_text()) if path.exists() else None


def write(r, results, docs):
    name = "result" if r["store"] == "embedded" else "result-pg"
    (results / f"{name}.json").write_text(json.dumps(r, indent=1) + "\n")
    (results / f"{name}.txt").write_text(text_page(r))
    (results / f"{name}.svg").write_text(plot(r))
    embedded = kept(results / "result.json")
    if docs and embedded:
        (docs / "performance.md").write_text(document(embedded, kept(results / "result-pg.json")))
        (docs / "performance.svg").write_text(plot(embedded))
