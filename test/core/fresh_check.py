# SPDX-License-Identifier: Apache-2.0
"""Fails when a generated page is not what its generator says now: fresh_check.py PAGE GENERATOR."""
import difflib
import pathlib
import subprocess
import sys

page = pathlib.Path(sys.argv[1])
now = subprocess.run([sys.argv[2]], check=True, capture_output=True, text=True).stdout
kept = page.read_text(encoding="utf-8") if page.exists() else ""
sys.stdout.writelines(difflib.unified_diff(kept.splitlines(True), now.splitlines(True), str(page), "what the tables say"))
sys.exit(kept != now)
