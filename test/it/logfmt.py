# SPDX-License-Identifier: Apache-2.0
"""Reads the daemon's log lines and holds them against what must be true of every line, whatever was sent."""
import re

FIELD = re.compile(r' ?([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^ "]*))')
DATE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")
LINE_MAX = 4096
# What looks like a secret or like somebody's name, whoever sent it: a JWT, an email address, credentials in an address.
PRIVATE = re.compile(r"eyJ[A-Za-z0-9_-]{16,}|[\w.+-]+@[\w-]+\.[\w.]+|://[^/\s]*:[^/\s]*@")


class Bad(AssertionError):
    """A log line that breaks a rule."""


def parsed(text, whole=True):
    """A dictionary a line. `whole` is false when the process was killed, perhaps in the middle of one."""
    lines = text.split("\n")
    last = lines.pop()
    if whole and last:
        raise Bad(f"the log ends in the middle of a line: {last!r}")
    return [parsed_line(line) for line in lines]


def parsed_line(line):
    fields, at = {"text": line}, 0
    while at < len(line):
        m = FIELD.match(line, at)
        if not m or m.end() == at or m[1] in fields:
            raise Bad(f"not logfmt at column {at}: {line!r}")
        fields[m[1]] = m[2] if m[2] is not None else m[3]
        at = m.end()
    if not DATE.match(fields.get("ts", "")) or fields.get("level") not in ("debug", "info", "warn", "error") or not fields.get("event"):
        raise Bad(f"without ts, level or event: {line!r}")
    return fields


def check(lines, secrets):
    for line in lines:
        text = line["text"]
        if len(text.encode()) >= LINE_MAX:
            raise Bad(f"too long: {text!r}")
        found = PRIVATE.search(text)
        if found:
            raise Bad(f"{found[0]!r} in the log: {text!r}")
        if line["level"] == "error":
            raise Bad(f"an error that no test asked for: {text!r}")
    everything = "\n".join(line["text"] for line in lines)
    for secret in secrets:
        if secret in everything:
            raise Bad(f"the secret {secret!r} is in the log")
