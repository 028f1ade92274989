# SPDX-License-Identifier: Apache-2.0
"""Fails when what a generator prints now does not stand in a page, line by line as it is: part_check.py PAGE GENERATOR."""
import pathlib
import subprocess
import sys

page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
now = subprocess.run([sys.argv[2]], check=True, capture_output=True, text=True).stdout
if not now.strip() or now not in page:
    sys.exit(f"{sys.argv[1]} does not hold this:\n{now}")
