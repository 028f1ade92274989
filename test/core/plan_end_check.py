# SPDX-License-Identifier: Apache-2.0
"""Compares the ends of plans with Python's own calendar: every day of 2020 to 2032, 1 to 90 days and 1 to 24 months."""
import calendar
import datetime
import subprocess
import sys

FIRST, LAST = datetime.date(2020, 1, 1), datetime.date(2032, 12, 31)
TIMES = ("00:00:00", "23:59:59", "12:34:56")


def after_months(day, months):
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return datetime.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def cases():
    for ordinal in range(FIRST.toordinal(), LAST.toordinal() + 1):
        day, time = datetime.date.fromordinal(ordinal), TIMES[ordinal % len(TIMES)]
        for n in range(1, 91):
            yield f"{day}T{time}Z {n} DAYS", f"{day + datetime.timedelta(days=n)}T{time}Z"
        for n in range(1, 25):
            yield f"{day}T{time}Z {n} MONTHS", f"{after_months(day, n)}T{time}Z"


def main():
    questions, expected = zip(*cases())
    run = subprocess.run([sys.argv[1]], input="\n".join(questions) + "\n", check=True, capture_output=True, text=True)
    answers = run.stdout.splitlines()
    if len(answers) != len(expected):
        print(f"{len(answers)} answers to {len(expected)} questions")
        return 1
    wrong = [f"{q}: {a}, not {e}" for q, a, e in zip(questions, answers, expected) if a != e]
    print("\n".join(wrong[:20]) or f"{len(expected)} ends agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
