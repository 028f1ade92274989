# SPDX-License-Identifier: Apache-2.0
"""A cluster's tables, read in one transaction and put down as a SQLite database, as an embedded store has them: for checker.py."""
import csv
import io
import sqlite3

KINDS = {"bigint": "INTEGER", "integer": "INTEGER", "smallint": "INTEGER", "text": "TEXT", "bytea": "BLOB", "boolean": "INTEGER"}
OURS = ["meta", "partner", "partner_sequence", "cap", "product", "sim", "orders", "task", "subscription", "usage_record", "usage_booking", "event", "idempotency"]
NULL = "\\N"


def take(cluster, path):
    """Copies the tables that checks speak of, as one moment shows them."""
    columns = {}
    names = ", ".join(f"'{name}'" for name in OURS)
    for table, column, kind in cluster.psql("SELECT table_name, column_name, data_type FROM information_schema.columns"
                                            f" WHERE table_name IN ({names}) AND table_schema = 'public' ORDER BY ordinal_position"):
        columns.setdefault(table, []).append((column, KINDS[kind]))
    assert sorted(columns) == sorted(OURS), f"tables are missing: {sorted(set(OURS) - set(columns))}"
    script = cluster.folder / "snapshot.sql"
    files = {table: cluster.folder / f"snapshot-{table}.csv" for table in OURS}
    script.write_text("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSET LOCAL bytea_output = 'hex';\n" + "".join(
        f"\\copy {table} TO '{files[table]}' WITH (FORMAT csv, NULL '{NULL}')\n" for table in OURS) + "COMMIT;\n")
    cluster.psql("-f", script)
    db = sqlite3.connect(path)
    for table in OURS:
        kinds = [kind for _, kind in columns[table]]
        db.execute(f"CREATE TABLE {table} (" + ", ".join(f"{name} {kind}" for name, kind in columns[table]) + ")")
        rows = csv.reader(io.StringIO(files[table].read_text(), newline=""))
        db.executemany(f"INSERT INTO {table} VALUES (" + ", ".join("?" * len(kinds)) + ")",
                       ([value(text, kind) for text, kind in zip(row, kinds)] for row in rows))
        files[table].unlink()
    for table, key in (("orders", "id"), ("subscription", "id"), ("event", "order_id"), ("task", "order_id"), ("task", "iccid"), ("orders", "iccid"),
                       ("usage_booking", "usage_id")):
        db.execute(f"CREATE INDEX {table}_{key} ON {table} ({key})")
    db.commit()
    return db


def value(text, kind):
    if text == NULL:
        return None
    if kind == "INTEGER":
        return {"t": 1, "f": 0}[text] if text in "tf" else int(text)
    return bytes.fromhex(text.removeprefix("\\x")) if kind == "BLOB" else text
