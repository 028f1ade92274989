#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Both stores have the same tables with the same columns: schema_check.py ROOT. What PostgreSQL alone needs is named here."""
import pathlib
import re
import sys

ONLY_PG = {"turn", "writer"}  # whose turn it is to write (src/store/db_pg.c)


def tables(folder):
    found = {}
    for path in sorted(folder.glob("*.sql")):
        text = re.sub(r"--.*", "", path.read_text())
        for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", text, re.S):
            found[name] = set(re.findall(r"^    (\w+) ", body, re.M)) - {"PRIMARY", "FOREIGN"}
        for name, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", text):
            found[name].add(column)
    return found


sql = pathlib.Path(sys.argv[1]) / "sql"
sqlite, pg = tables(sql / "sqlite"), tables(sql / "pg")
if not sqlite:
    sys.exit("no tables were found in sql/sqlite")
faults = [f"table {name}: is in one of sql/sqlite and sql/pg only" for name in sorted((set(sqlite) ^ set(pg)) - ONLY_PG)]
for name in sorted(set(sqlite) & set(pg)):
    for column in sorted(sqlite[name] ^ pg[name]):
        faults.append(f"column {name}.{column}: is in one of sql/sqlite and sql/pg only")
print("\n".join(faults))
sys.exit(1 if faults else 0)
