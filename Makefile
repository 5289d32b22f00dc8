# What is done to this tree, by name. CI calls the same names (.ci/run), so there is one way to do each.
#
# Rule: a target works on a fresh machine with git, make, Python >= 3.11 and cargo; what else it needs it makes, or
# says in one line what is missing. It is not the place for logic: that is in tools/ and in the programs themselves.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests are run in as many processes as the machines that judge them have cores.
JOBS ?= 2
# What one extension is built from: when none of it is newer, `make develop` has nothing to do.
EXTENSION := python/pymta/_core.abi3.so
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml | grep -v /target/) Cargo.toml Cargo.lock .cargo/config.toml

# The stamp says when it was built and installed; without the file itself that says nothing.
ifeq ($(wildcard $(EXTENSION)),)
.PHONY: $(VENV)/.developed
endif

.PHONY: help
help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: run
run: develop ## Build all that is needed and start a server on loopback, its data in ./.run
	@exec $(BIN)/pymta serve $(if $(PYMTA_CONFIG),,--no-config)

.PHONY: venv
venv: $(VENV)/.locked ## Make the virtual environment with the locked dependencies

$(VENV)/.locked: requirements/dev.txt
	@$(PYTHON) tools/machine.py
	@$(PYTHON) tools/make_venv.py $(VENV) requirements/dev.txt
	@touch $@

.PHONY: develop
develop: $(VENV)/.developed ## Build the extension (release profile) into the source tree

$(VENV)/.developed: $(VENV)/.locked pyproject.toml $(RUST_SOURCES)
	PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) \
		$(BIN)/maturin develop --release --strip --locked
	@touch $@

.PHONY: test
test: export PYO3_PYTHON = $(CURDIR)/$(BIN)/python
test: partners develop ldap ## Run every test (at most 10 minutes on two cores)
	cargo test --locked --workspace
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: ldap
ldap: venv # the extra that needs a library of the system to be built; without it its tests are skipped
	@test ! -e /usr/include/ldap.h || $(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/ldap.txt

.PHONY: partners
partners: ## Install the Debian packages that tests talk to, or name those that are missing
	@$(PYTHON) tools/partners.py

.PHONY: fuzz
fuzz: ## Fuzz every parser and both sessions, each for SECONDS (60); needs a nightly Rust
	@rustc +nightly --version >/dev/null 2>&1 || { echo "fuzzing needs a nightly Rust: rustup toolchain install nightly"; exit 1; }
	rust/fuzz/all $(or $(SECONDS),60)

.PHONY: soak
soak: partners develop fuzz ## Run what takes long: crash loops, long fuzzing, big queues
	PYMTA_SOAK=1 cargo test --locked --release --workspace
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m soak --timeout 3600

.PHONY: lint
lint: export PYO3_PYTHON = $(CURDIR)/$(BIN)/python
lint: develop ## Check form: fmt, clippy, ruff, mypy, the stub, the import contract, licences
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=python $(BIN)/python -m mypy.stubtest pymta._core --allowlist tools/stubtest_allowlist.txt
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/licences.py

.PHONY: wheel
wheel: venv ## Build the abi3 wheel into dist/
	rm -rf dist
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin build --release --strip --locked --out dist

.PHONY: bench
bench: partners develop floor peers ## Compare pymta with other servers and a floor, at most 15 minutes; tables go to bench/out/
	$(BIN)/python -m bench

.PHONY: bench-imap
bench-imap: partners develop ## IMAP and POP3 beside Dovecot with 100,000 messages, at most 20 minutes
	$(BIN)/python -m bench.imap --messages 100000

.PHONY: bench-quick
bench-quick: partners develop floor peers ## The same with few messages: a look, not a figure
	$(BIN)/python -m bench.relay --quick
	$(BIN)/python -m bench.aims --quick

.PHONY: instructions
instructions: partners develop ## How many instructions a message costs, against its limit (needs valgrind)
	$(BIN)/python -m bench.instructions

.PHONY: boundary
boundary: partners develop ## What crosses between Python and Rust for a message, against its budget
	$(BIN)/python -m bench.boundary

.PHONY: peers
peers: venv ## Fetch the servers that the bench compares with and that are not installed
	@$(BIN)/python tools/bench_peers.py .peers

.PHONY: floor
floor: bench/floor/relay_floor

bench/floor/relay_floor: bench/floor/relay_floor.c
	cc -std=c11 -O2 -Wall -Wextra -o $@ $<

.PHONY: format
format: venv ## Let the formatters have their way
	cargo fmt --all
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: lock
lock: venv ## Resolve the dependencies anew into requirements/
	$(BIN)/python tools/lock.py

.PHONY: clean
clean: ## Remove all that was made, but neither the virtual environment nor ./.run
	rm -rf target dist bench/out bench/floor/relay_floor .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f $(EXTENSION) $(VENV)/.developed
	find python tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +
