# SPDX-License-Identifier: Apache-2.0
"""Plants one fault of every kind in a small tree: tools/layers must name each, at its line, and nothing else."""
import pathlib
import subprocess
import sys
import tempfile

LAYERS = sys.argv[1]
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
HASH = "# SPDX-License-Identifier: Apache-2.0\n"

GOOD = {
    "ARCHITECTURE.md": "x\n", "STYLE.md": "x\n", "README.md": "x\n", "LICENSE": "x\n",
    "src/base/meson.build": HASH + "files('a.c')\nforeach name : ['a']\n  f(name + '_test.c')\nendforeach\n",
    "src/base/a.h": SPDX + "#ifndef BASE_A_H\n#define BASE_A_H\n#include <stdint.h>\n#endif\n",
    # Words in strings and comments are not calls, members are not functions, and other names may contain theirs.
    "src/base/a.c": SPDX + '#include "base/a.h"\n// time(NULL) and strcpy(a, b)\nstatic const char *s = "system(1)";\n'
                    "int x = c->time(1) + runtime(2) + c.sleep(3);\n",
    "src/base/a_test.c": SPDX + '#include <cmocka.h>\n#include "base/a.h"\n',
    "src/base/clock.c": SPDX + "int f(void) { return clock_gettime(0, 0); }\n",
    "src/core/meson.build": HASH + "files('b.c')\n",
    "src/core/b.c": SPDX + '#include "base/a.h"\n#include <string.h>\n',
    "tools/run": "#!/bin/sh\n" + HASH,
}

# path, its text, what the tool must say of it
BAD = [
    ("src/core/b.c", SPDX + '#include "store/s.h"\n', "src/core/b.c:2: core must not include store/s.h"),
    ("src/core/b.c", SPDX + "#include <time.h>\n", "src/core/b.c:2: core is pure"),
    ("src/core/b.c", SPDX + "#include <sys/socket.h>\n", "src/core/b.c:2: core is pure"),
    ("src/core/b.c", SPDX + '#include "base/log.h"\n', "src/core/b.c:2: core is pure"),
    ("src/core/b.c", SPDX + "int t = clock_wall(c).ms;\n", "src/core/b.c:2: core is pure and must not use clock_wall"),
    ("src/core/b.c", SPDX + "\n  # include <sqlite3.h>\n", "src/core/b.c:3: sqlite3.h is included outside its place"),
    ("src/core/b.c", SPDX + "#include <openssl/evp.h>\n", "src/core/b.c:2: openssl/evp.h is included outside its place"),
    ("src/core/b.c", SPDX + "#include <cmocka.h>\n", "src/core/b.c:2: cmocka.h is included outside its place"),
    ("src/core/b.c", SPDX + "#include <zstd.h>\n", "src/core/b.c:2: zstd.h is neither the system's nor"),
    ("src/core/b.c", SPDX + '#include "b.h"\n', 'src/core/b.c:2: "b.h" is not a header under src/'),
    ("src/base/a.c", SPDX + '#include "base/testing.h"\n', "src/base/a.c:2: base/testing.h is for TESTS only"),
    ("src/base/a.c", SPDX + "/* a\n comment */ int t = time(NULL);\n", "src/base/a.c:3: time is banned"),
    ("src/base/a.c", SPDX + "char *p = strcpy (a, b);\n", "src/base/a.c:2: strcpy is banned"),
    ("src/base/a.c", SPDX + "int t = clock_gettime(0, 0);\n", "src/base/a.c:2: clock_gettime is called outside src/base/clock.c"),
    ("src/base/a.c", SPDX + "int t = atoi(s);\n", "src/base/a.c:2: atoi is banned outside tests"),
    ("src/base/a.c", SPDX + "typedef struct { int x; } y;\n", "src/base/a.c:2: a typedef for a struct"),
    ("src/base/a.c", SPDX + "// TODO: more\n", "src/base/a.c:2: a leftover (TODO)"),
    ("src/base/a.c", SPDX + "/* x\n * FIXME */\n", "src/base/a.c:3: a leftover (FIXME)"),
    ("src/base/a.c", SPDX + "\tint x;\n", "src/base/a.c:2: a tab"),
    ("src/base/a.c", SPDX + "int x; \n", "src/base/a.c:2: blanks at the end"),
    ("src/base/a.c", SPDX + "int x;\r\n", "src/base/a.c:2: a carriage return"),
    ("src/base/a.c", SPDX + "int x;", "src/base/a.c:2: the last line has no end"),
    ("src/base/a.c", "int x;\n", "src/base/a.c:1: no SPDX line"),
    ("src/base/dead.c", SPDX, "src/base/dead.c:1: nothing builds this file"),
    ("src/base/dead_test.c", SPDX, "src/base/dead_test.c:1: nothing builds this file"),
    ("src/base/a_fuzz.c", SPDX, "src/base/a_fuzz.c:1: nothing builds this file"),
    ("src/core/meson.build", HASH + "# files('b.c')\n", "src/core/b.c:1: nothing builds this file"),
    ("src/base/dead.h", SPDX + "#ifndef BASE_DEAD_H\n#define BASE_DEAD_H\n#endif\n", "src/base/dead.h:1: nothing includes this header"),
    ("src/base/a.h", SPDX + "#ifndef A_H\n#define A_H\n#endif\n", "src/base/a.h:1: the include guard"),
    ("src/new/c.c", SPDX + '#include "base/a.h"\n', "src/new/c.c:2: the layer new is not known"),
    ("tools/run", "#!/bin/sh\n", "tools/run:1: no SPDX line"),
    ("tools/run", "#!/bin/sh\n" + HASH + "true # HACK\n", "tools/run:3: a leftover (HACK)"),
    ("README.md", None, "README.md:1: is missing"),
]

# Files that a fault needs beside it, or that have another fault by nature.
EXTRA = {
    "src/store/s.h": SPDX + "#ifndef STORE_S_H\n#define STORE_S_H\n#endif\n",
    "src/base/log.h": SPDX + "#ifndef BASE_LOG_H\n#define BASE_LOG_H\n#endif\n",
    "src/base/testing.h": SPDX + "#ifndef BASE_TESTING_H\n#define BASE_TESTING_H\n#endif\n",
    "src/new/meson.build": HASH + "files('c.c')\n",
}


def run(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            if text is not None:
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
        done = subprocess.run([LAYERS, root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()


GOOD["src/base/meson.build"] = GOOD["src/base/meson.build"].replace("'a.c'", "'a.c', 'clock.c'")
code, lines = run(GOOD)
assert (code, lines) == (0, []), f"a good tree has faults: {lines}"

for path, text, expected in BAD:
    files = dict(GOOD)
    files[path] = text
    for name, body in EXTRA.items():
        if body is not None and text is not None and (name[4:] in text or name.startswith(path.rsplit("/", 1)[0] + "/meson")):
            files.setdefault(name, body)
    code, lines = run(files)
    assert code == 1, f"not found: {expected}"
    assert len(lines) == 1 and lines[0].startswith(expected) and "; " in lines[0], f"wanted {expected!r}, got {lines}"

assert run({})[0] == 1, "an empty tree passes"
print(f"{len(BAD)} planted faults found")
