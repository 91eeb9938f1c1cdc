# make demo: ten seconds of market data, from a simulated exchange through shared memory to a reader.
# make test: everything that can be checked. Both set up what they need in .venv; nothing else is touched.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready

.PHONY: demo test tested soaked checked lint ctest autobahn fuzz fuzz-corpus mutants bench stress kills soak coverage sanitize analyze analyze-core instructions wheel clean check-tools

demo: $(READY)
	$(BIN)/k4 codegen
	$(BIN)/python examples/demo.py

# What only computes runs at low priority beside the tests, which wait much of their time; what judges by the clock, alone at the end.
test: $(READY)
	$(BIN)/k4 codegen
	$(MAKE) --no-print-directory --jobs=3 tested soaked checked
	$(BIN)/python -m pytest -m alone

# Side by side on all processors.
tested: $(READY)
	$(BIN)/python -m pytest -n logical --dist worksteal -m "not alone and not soak" $(addprefix --ignore=,$(SANITIZED) $(COVERED_ONLY))

soaked: $(READY)
	$(BIN)/python -m pytest -q -m soak tests/test_soak.py

checked: $(READY)
	nice $(MAKE) --no-print-directory --output-sync=target lint ctest analyze-core instructions sanitize coverage fuzz SECONDS=30

# Looks for inputs that break framing or decoding, SECONDS in all; what it finds is kept in fuzz-found.
SECONDS ?= 300
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz.fuzz run --seconds $(SECONDS)

# Autobahn's 301 cases against a real link and the core's framing; needs a Python 2.7 besides, and says so.
autobahn: $(READY)
	$(BIN)/python -m tests.autobahn.run

# Writes the kept inputs of tests/fuzz/corpus anew.
fuzz-corpus: $(READY)
	$(BIN)/python -m tests.fuzz.fuzz corpus --seconds $(SECONDS)

# Takes one guard away at a time and expects the test named for it to fail; a build and a test for each of about two hundred.
mutants: $(READY)
	$(BIN)/python -m tests.mutants

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/mypy

ctest: $(READY)
	$(BIN)/python tests/c/run.py

# Every table of bench/README.md. The sources of two peers come from PyPI; without them, their rows are left out.
bench: $(READY)
	$(BIN)/k4 codegen
	-$(BIN)/python -m bench peers
	$(BIN)/python -m bench all

# Instructions per message against bench/instructions.json; what costs over 3 % more fails.
instructions: $(READY)
	$(BIN)/python bench/instructions.py

# A reader in a process of its own against a writer at full speed, READS in all.
READS ?= 100000000
stress: $(READY)
	$(BIN)/python -m tests.stress.run --reads $(READS)

# A worker killed under load, KILLS times; four exchanges at once for SOAK_SECONDS at SOAK_RATE messages a second.
KILLS ?= 50
kills: $(READY)
	$(BIN)/k4 codegen
	$(BIN)/python -m tests.kills --kills $(KILLS)
SOAK_SECONDS ?= 3600
SOAK_RATE ?= 50000
soak: $(READY)
	$(BIN)/k4 codegen
	$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS) --rate $(SOAK_RATE)

# Lines and branches of C, the core's and generated, that the tests reach; below its floor it fails. In `make test` those of COVERED_ONLY run nowhere
# else, for what they drive was compiled by themselves; the others of COVERED meet races, and run optimised, too.
COVERED_ONLY := $(addprefix tests/,test_venues_mutated.py test_decode_language.py test_framing.py test_inflate.py test_fuzz.py test_books.py \
	codegen/test_books.py codegen/test_tolerant.py codegen/test_sbe_decode.py)
COVERED := $(COVERED_ONLY) tests/test_segment.py tests/test_reader.py
coverage: $(READY)
	$(BIN)/python tests/c/coverage.py $(COVERED)

# Tests of pytest that drive the extension, with all of its C under sanitizers; in `make test` they run nowhere else. By hand also others, as in
# make sanitize SANITIZED="tests/test_books.py tests/test_connection.py tests/test_link.py tests/test_segment.py tests/test_reader.py".
SANITIZED := tests/test_venues_hostile.py
sanitize: $(READY)
	$(BIN)/python tests/c/sanitize.py $(SANITIZED)

# gcc's analyzer over the core and generated C: any warning, and any file that takes too long, fails. The core alone is part of `make test`.
analyze: $(READY)
	$(BIN)/python tests/c/analyze.py

analyze-core: $(READY)
	$(BIN)/python tests/c/analyze.py core

wheel: $(READY)
	$(BIN)/python -m build --wheel --no-isolation

# Each tool is named with the Debian package that brings it.
check-tools:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON); apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "missing: Python 3.11 or newer; apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "missing: venv; apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig; open(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null \
		|| { echo "missing: Python.h; apt-get install python3-dev" >&2; exit 1; }
	@command -v gcc >/dev/null || { echo "missing: gcc; apt-get install gcc" >&2; exit 1; }
	@command -v g++ >/dev/null || { echo "missing: g++; apt-get install g++" >&2; exit 1; }

$(READY): requirements.lock pyproject.toml setup.py | check-tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
