# What people type. The stamps in .venv say what is installed, so that a second run is immediate.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000

BIN := .venv/bin
SERVE := .venv/installed
DEV := .venv/installed-dev
SCRIPTS := node_modules/installed

# the build backend is pinned too, and uv trusts the certificates that this machine trusts
export UV_BUILD_CONSTRAINT := constraints.txt
export UV_SYSTEM_CERTS := 1
# where Python is told to keep no bytecode, each start compiles torch anew, for ten seconds
unexport PYTHONDONTWRITEBYTECODE

# uv hard-links from its cache: seconds where pip takes minutes. Where it cannot be had, pip does.
install = $(BIN)/uv pip install --python $(BIN)/python -c constraints.txt $(1) || \
	$(BIN)/pip install -c constraints.txt $(1)

# a program of Debian's: its name, its package, and what is said where it cannot be had
package = @command -v $(1) >/dev/null || { echo "installing $(2) ..."; { apt-get update && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(2); \
	} >/dev/null 2>&1; } || echo "NO $(1): $(3)" >&2

# two at a time, and then, with nothing beside them, those that load the machine or compare times
SUITE = $(BIN)/pytest -n 2 --dist loadfile -m 'not alone and not soak and not ecosystem'; beside=$$?; \
	$(BIN)/pytest -m 'alone and not soak and not ecosystem' && exit $$beside

.PHONY: help install serve test bench engine networks serving red verdicts gpu gpu-bundle ecosystem lint scripts reference docs drawing browser node wrk redis graphviz versions release audit pins clean

help:  ## this list (the default)
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

install: $(SERVE)  ## make .venv with the service and its client

serve: $(SERVE)  ## start the service; HOST, PORT and LRPSERVE_* are honoured
	@exec $(BIN)/lrpserve serve --host $(HOST) --port $(PORT)

test: $(DEV) browser wrk redis graphviz  ## run the whole suite; ARGS='-k name' for a part
	$(if $(ARGS),$(BIN)/pytest $(ARGS),$(SUITE))

ecosystem: $(DEV)  ## run the tests with clients and systems of others: a few minutes
	$(BIN)/pytest -m ecosystem $(ARGS)

versions: $(DEV)  ## run the core of the suite with the lowest, then with the newest versions
	.ci/versions $(ARGS)

bench: engine serving  ## measure all, as ratios: half an hour

engine: $(DEV)  ## measure the engine beside zennit
	$(BIN)/python -m benchmarks.attribution $(ARGS)

networks: $(DEV)  ## measure larger networks through the service, beside zennit
	$(BIN)/python -m benchmarks.networks $(ARGS)

serving: $(DEV) wrk  ## measure the service beside its peers, and under too much load
	@$(BIN)/python -c 'import litserve' 2>/dev/null || { $(call install,-e '.[bench]'); }
	$(BIN)/python -m benchmarks.serving $(ARGS)
	$(BIN)/python -m benchmarks.overload $(ARGS)

red: $(DEV)  ## measure whether red speaks for the class; ARGS=folder of <class>/*.jpg
	$(BIN)/python -m benchmarks.red $(ARGS)

verdicts: $(DEV)  ## count what evidence says of true and of broken maps; ARGS=folder of <class>/*.jpg
	$(BIN)/python -m benchmarks.verdicts $(ARGS)

gpu: $(DEV)  ## on a machine with CUDA: the tests and benchmarks that need a GPU, in 8 minutes
	$(BIN)/python -m benchmarks.gpu $(ARGS)

gpu-bundle: $(DEV)  ## make gpu-bundle/: what `make gpu` needs, for a machine without a network
	$(BIN)/python -m tools.gpu_bundle $(ARGS)

lint: $(DEV) scripts  ## check format, style, types, the Dockerfile and the tables of docs/
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m tools.reference --check

scripts:  ## check the page's JavaScript, where npm can fetch what checks it; part of lint
	@if $(MAKE) --silent $(SCRIPTS); then set -e; \
		node_modules/.bin/biome check --error-on-warnings; \
		for project in tsconfig.json tests/web/js/tsconfig.json; do node_modules/.bin/tsc --project $$project; done; \
	else echo "NO NPM: the page's JavaScript is NOT CHECKED; make node" >&2; test -z "$$CI"; fi

reference: $(DEV)  ## write the generated tables of docs/ anew: after a change of what they describe
	$(BIN)/python -m tools.reference

docs: $(DEV)  ## build the site of docs/ into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

drawing: graphviz  ## draw docs/explanation/architecture.svg anew, of its text
	dot -Tsvg docs/explanation/architecture.dot -o docs/explanation/architecture.svg

browser:  ## Chromium for the tests, where apt-get may install it
	$(call package,chromium,chromium,the tests that need a browser are skipped)

node:  ## Node.js and npm for the page's checks, where apt-get may install them
	$(call package,npm,npm,the checks of JavaScript are skipped)

wrk:  ## what puts load on servers, where apt-get may install it
	$(call package,wrk,wrk,what needs it is skipped)

redis:  ## a Redis for the tests of rate limits, where apt-get may install it
	$(call package,redis-server,redis-server,the tests that need it are skipped)

graphviz:  ## dot, which draws the architecture, where apt-get may install it
	$(call package,dot,graphviz,the test that needs it is skipped)

release: $(DEV)  ## build a release into dist/: packages, chart, SBOMs, checksums, and the image
	$(BIN)/python -m tools.release $(ARGS)

audit: $(DEV)  ## look for known vulnerabilities of the pinned packages; needs the public package index
	$(BIN)/pip-audit --strict --progress-spinner off --disable-pip --no-deps -r constraints.txt

pins: $(DEV)  ## make constraints.txt anew with the newest versions
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --extra dev --extra bench --no-annotate \
		--custom-compile-command 'make pins' -o constraints.txt pyproject.toml client/pyproject.toml

clean:  ## remove .venv and all caches
	rm -rf .venv .venv-* node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site
	find service training client tests benchmarks tools -name __pycache__ -prune -exec rm -rf {} +

$(SERVE): pyproject.toml client/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"error: Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	-$(BIN)/pip install --quiet -c constraints.txt uv
	$(call install,-e . -e client)
	@touch $@

$(DEV): $(SERVE)
	$(call install,-e '.[dev]')
	@touch $@

# package.json pins exact versions
$(SCRIPTS): package.json .npmrc
	@npm install --silent
	@touch $@
