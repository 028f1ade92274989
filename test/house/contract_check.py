# SPDX-License-Identifier: Apache-2.0
"""The routes table and the two contracts name the same operations, with the same access and bodies; errors have the contract's types."""
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(sys.argv[1])
DOCUMENTS = {"openapi.yaml": "partner", "admin.yaml": "operator"}  # each with the security scheme of its calls
ROW = re.compile(r'^\s*\{HTTP_(\w+),\s*"([^"]+)",\s*ACCESS_(\w+),\s*"\w+",\s*WORK_\w+,\s*BODY_(\w+),', re.M)
BODIES = {"NONE": None, "JSON": True, "RAW": True, "FORM": True, "JSON_OPTIONAL": False}  # required?

routes = {}
text = (ROOT / "src/api/routes.c").read_text()
for method, path, access, body in ROW.findall(text):
    routes[method.lower(), path] = (access, BODIES[body])
assert len(routes) == text.count("    {HTTP_"), "a row of src/api/routes.c has a form that this test does not know"

documents = {name: yaml.safe_load((ROOT / "api" / name).read_text()) for name in DOCUMENTS}


def resolved(node, home):
    while "$ref" in node:
        name, pointer = node["$ref"].split("#")
        home = name or home
        node = documents[home]
        for key in pointer.strip("/").split("/"):
            node = node[key]
    return node


faults, seen, ids = [], set(), set()
for name, document in documents.items():
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, operation in item.items():
            if method == "parameters":
                continue
            what = f"{method.upper()} {path}"
            if (method, path) in seen:
                faults.append(f"{what}: is in both documents")
            seen.add((method, path))
            if (method, path) not in routes:
                faults.append(f"{what}: is in api/{name}, but no row of src/api/routes.c")
                continue
            access, body = routes[method, path]
            scheme = None if operation.get("security") == [] else DOCUMENTS[name]
            if (scheme or "public").upper() != ("PARTNER" if access == "SANDBOX" else access):
                faults.append(f"{what}: api/{name} says {scheme or 'public'}, src/api/routes.c {access}")
            request = operation.get("requestBody")
            said = None if request is None else resolved(request, name).get("required", False)
            if said != body:
                faults.append(f"{what}: api/{name} says of the body {said}, src/api/routes.c {body} (None: there is none; else: required?)")
            if operation["operationId"] in ids:
                faults.append(f"{what}: operationId {operation['operationId']} is taken")
            ids.add(operation["operationId"])
            parameters = [resolved(p, name) for p in shared + operation.get("parameters", [])]
            if {p["name"] for p in parameters if p["in"] == "path"} != set(re.findall(r"\{(\w+)\}", path)):
                faults.append(f"{what}: api/{name} does not describe its path parameters")
faults += [f"{method.upper()} {path}: is a row of src/api/routes.c, but in no document under api/" for method, path in routes.keys() - seen]

types = set(re.findall(r'^ *\[ERR_\w+\] = \{\d+, "([^"]+)"', (ROOT / "src/api/problem.c").read_text(), re.M))
said = set(documents["openapi.yaml"]["components"]["schemas"]["ErrorType"]["enum"])
if types != said:
    faults.append(f"error types: src/api/problem.c and api/openapi.yaml differ in {sorted(types ^ said)}")

if faults:
    sys.exit("\n".join(faults))
print(f"{len(routes)} operations, {len(types)} types of error")
