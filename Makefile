# SPDX-License-Identifier: Apache-2.0
# The few words people type. Meson does the building; this file only says what each word means.
#   make run     what is missing is installed, the server is built, the demo starts
#   make test    the same, then every quick test (minutes)
#   make sim     random lives of the whole server in one thread; SEED and ROUNDS choose which
#   make bench   the benchmark; QUICK=1 takes under two minutes, STORE=pg measures on PostgreSQL
#   make torture kill -9 at random moments under load; ROUNDS, SEED and FROM choose which
#   make cluster-test  load on three nodes of everything while they are killed, frozen and cut off; SEED, ONLY choose (docs/cluster.md)
#   make check   the long ones: sanitizers, torture, fuzzers, real peers (tens of minutes)
#   make guard   instructions per order against the recorded figure (bench/instructions.txt)
BUILD ?= build
MESON = /usr/bin/meson

.PHONY: bench help run test check sim torture cluster-test guard build deps install format tidy clean

help:
	@sed -n 's/^#   //p' Makefile

deps:
	@tools/install-packages

$(BUILD)/build.ninja:
	@CI= $(MESON) setup $(BUILD) $(MESON_FLAGS) >/dev/null

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

run: deps
	@$(MAKE) --no-print-directory build
	@$(BUILD)/topupd demo $(DEMO_FLAGS)

test: deps
	@$(MAKE) --no-print-directory build
	@tools/test

check: deps
	@$(MAKE) --no-print-directory build
	@tools/check

guard: deps
	@bench/instructions

sim: $(BUILD)/build.ninja
	@ninja -C $(BUILD) test/sim/sim >/dev/null
	@$(BUILD)/test/sim/sim $(if $(SEED),--seed $(SEED)) --rounds $(or $(ROUNDS),1000) --jobs $(or $(JOBS),$(shell nproc))

bench: deps
	@bench/run $(if $(QUICK),--quick) $(if $(STORE),--store $(STORE)) $(BENCH_FLAGS)

torture: build
	@/usr/bin/python3 test/it/torture.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(FROM),--from $(FROM))

cluster-test: deps
	@tools/install-packages tools/packages-cluster.txt
	@$(MAKE) --no-print-directory build
	@/usr/bin/python3 test/cluster/cluster_test.py $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(CLUSTER_FLAGS)

install: build
	@$(MESON) install -C $(BUILD)

format:
	@git ls-files 'src/*.[ch]' 'test/*.[ch]' 'bench/*.[ch]' | xargs clang-format -i

tidy: build
	@tools/tidy

clean:
	@rm -rf $(BUILD) build-*
