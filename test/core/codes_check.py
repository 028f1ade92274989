# SPDX-License-Identifier: Apache-2.0
"""Holds the country and currency tables of core/codes.c against Debian's iso-codes.

Debian's copy is a snapshot; what the standard has changed around it is listed here with its reason, so that any other difference is a fault.
Whether a listed difference shows depends on the snapshot's age, so each may or may not.
"""
import json
import subprocess
import sys

ISO_CODES = "/usr/share/iso-codes/json/"

OURS_ONLY_COUNTRIES = {"XK"}  # Kosovo: user-assigned, in general use

NO_MINOR_UNIT = {"XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"}
WITHDRAWN = {  # still in older snapshots
    "ANG",  # amendment 176: XCG
    "BGN",  # Bulgaria has the euro since 2026
    "CUC",  # amendment 178
    "HRK",  # Croatia has the euro since 2023
    "SLL",  # SLE
    "ZWL",  # amendment 177: ZWG
}
NEWER = {"XAD", "XCG", "ZWG"}  # amendments 179, 176, 177: not yet in older snapshots

# The standard's minor units other than 2; iso-codes does not have them.
DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


def load(name, key):
    with open(f"{ISO_CODES}iso_{name}.json", encoding="utf-8") as f:
        return {entry[key] for entry in json.load(f)[name]}


def main():
    try:
        theirs_countries = load("3166-1", "alpha_2")
        theirs_currencies = load("4217", "alpha_3")
    except FileNotFoundError as e:
        print(f"not checked, package iso-codes is missing: {e}")
        return 77  # Meson: skipped
    countries, currencies = set(), {}
    for line in subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.splitlines():
        what, code, *rest = line.split()
        if what == "country":
            countries.add(code)
        else:
            currencies[code] = int(rest[0])

    faults = []
    for title, codes in (
        ("countries that are missing", theirs_countries - countries),
        ("countries that do not exist", countries - theirs_countries - OURS_ONLY_COUNTRIES),
        ("currencies that are missing", theirs_currencies - set(currencies) - NO_MINOR_UNIT - WITHDRAWN),
        ("currencies that do not exist", set(currencies) - theirs_currencies - NEWER),
        ("currencies that were withdrawn", set(currencies) & WITHDRAWN),
        ("currencies that no price can be in", set(currencies) & NO_MINOR_UNIT),
    ):
        if codes:
            faults.append(f"{title}: {' '.join(sorted(codes))}")
    expected = {code: n for n, codes in DECIMALS.items() for code in codes.split()}
    faults += [f"{code} has {n} decimals, not {expected.get(code, 2)}" for code, n in currencies.items() if n != expected.get(code, 2)]
    faults += [f"{code} is missing" for code in expected if code not in currencies]

    print("\n".join(faults) or f"{len(countries)} countries, {len(currencies)} currencies agree")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
