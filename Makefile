# The commands of this checkout; `make` alone lists them.

PYTHON ?= python3
BIN := .venv/bin
TRANSLATIONS := shared/translations
LANGUAGES := de fr es hi ar

.DEFAULT_GOAL := help
.PHONY: help up backup restore prometheus test check format lint types imports lock messages-extract messages-update \
	messages-compile conformance edge-errors dashboards dashboard-check openapi contract bench-auth bench-gateway \
	bench-hanging bench-slow test-compose test-faults soak audit sbom clean ready-to-run ready-to-develop

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-24s %s\n", $$1, $$2 }'

# --- Running

up: ready-to-run ## Start everything on PORT (8080) with its data in DATA_DIR (.data), until Ctrl-C
	@exec $(BIN)/python -m tools.up --with-parent

prometheus: ready-to-run ## Run Prometheus on PROMETHEUS_PORT (9090) over what `make up` runs
	@exec $(BIN)/python -m tools.prometheus

backup: ready-to-run ## Write both databases of DATA_DIR into FILE=…
	@$(BIN)/python -m tools.backup backup "$(FILE)"

restore: ready-to-run ## Put both databases of DATA_DIR back from FILE=…, with OPTIONS=--overwrite in place of others
	@$(BIN)/python -m tools.backup restore $(OPTIONS) "$(FILE)"

# --- Checking

test: ready-to-develop ## Run all tests against servers of their own
	$(BIN)/python -m pytest

check: ready-to-develop ## Format, lint, types, import directions, then the tests
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory lint types imports test

format: ready-to-develop ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: ready-to-develop ## Look for mistakes with ruff
	$(BIN)/ruff check .

types: ready-to-develop ## Check the types with mypy
	$(BIN)/mypy

imports: ready-to-develop ## Check who imports whom
	$(BIN)/lint-imports

contract: ready-to-develop ## Run the mobile contract against BASE_URL=https://…
	@test -n "$(BASE_URL)" || { echo "Say which backend: make contract BASE_URL=https://…"; exit 1; }
	BASE_URL=$(BASE_URL) $(BIN)/python -m pytest tests/contract/test_mobile_*.py

dashboard-check: ready-to-develop ## Ask a real Prometheus for every query of the dashboards and alerts
	REQUIRE_PROMETHEUS=1 $(BIN)/python -m pytest tests/e2e/test_dashboard_check.py

bench-auth: ready-to-develop ## Measure auth beside what the machine does without it
	$(BIN)/python -m tests.benchmarks.bench_auth

bench-gateway: ready-to-develop ## Measure the gateway beside gunicorn's limit and other gateways
	@$(PYTHON) -m tools.install requirements-bench.txt
	$(BIN)/python -m tests.benchmarks.bench_gateway

bench-hanging: ready-to-develop ## Measure what a hanging service costs the others
	$(BIN)/python -m tests.benchmarks.bench_hanging

bench-slow: ready-to-develop ## Measure what slow clients cost the others
	@$(PYTHON) -m tools.install requirements-bench.txt
	$(BIN)/python -m tests.benchmarks.bench_slow

soak: ready-to-develop ## Break a stack once a minute for MINUTES (20), and see that nothing grows
	@$(PYTHON) -m tools.install requirements-bench.txt
	$(BIN)/python -m tests.benchmarks.soak $(or $(MINUTES),20)

test-compose: ready-to-develop ## Run the tests that need a Docker engine
	@docker compose version >/dev/null 2>&1 || $(PYTHON) -m tools.install requirements-compose.txt
	$(BIN)/python -m pytest -m compose

audit: ready-to-develop ## Look for known vulnerabilities and licences that are not allowed
	@$(PYTHON) -m tools.install requirements-audit.txt
	$(BIN)/python -m tools.licences
	$(BIN)/python -m tools.audit

sbom: ready-to-develop ## Write what each image is made of into sbom/ (CycloneDX)
	@$(PYTHON) -m tools.install requirements-audit.txt
	@mkdir -p sbom
	@for room in services/auth services/users gateway; do \
		$(BIN)/cyclonedx-py requirements --output-reproducible --pyproject $$room/pyproject.toml \
			-o sbom/latchkey-$${room##*/}.cdx.json $$room/requirements.txt || exit 1; \
	done
	@ls sbom/*

# SIGINT, so that what was started is stopped and what was mounted unmounted.
test-faults: ready-to-develop ## Run the tests that break a stack in every way of docs/reliability.md
	timeout --signal=INT --kill-after=60 900 $(BIN)/python -m pytest -m faults tests/faults

# --- Making files that are kept in the repository

lock: ready-to-develop ## Resolve every lock file anew
	@test -x $(BIN)/uv || $(BIN)/python -m pip install uv
	tools/lock

conformance: ready-to-develop ## Write docs/conformance.md from what a gateway answers
	$(BIN)/python -m tests.support.conformance

edge-errors: ready-to-develop ## Write what the edge answers by itself, from the error catalogue
	$(BIN)/python -m tools.edge_errors

dashboards: ready-to-develop ## Write the dashboards that Grafana reads
	$(BIN)/python -m tools.dashboards

openapi: ready-to-develop ## Write the OpenAPI document
	$(BIN)/python -m tools.openapi

# Neither line numbers, dates nor names, so that only new texts make a difference.
messages-extract: ready-to-develop ## Collect the texts for people into messages.pot
	$(BIN)/pybabel -q extract -k answers:3 -k success:1 --add-location=file --sort-output --no-wrap \
		--project=Latchkey --version=1 --header-comment='# Translations template for Latchkey.' \
		-o $(TRANSLATIONS)/messages.pot.new shared services gateway
	@grep -vE '^(#, fuzzy|"(Report|POT|PO|Last|Language|Generated)-)' $(TRANSLATIONS)/messages.pot.new \
		>$(TRANSLATIONS)/messages.pot
	@rm $(TRANSLATIONS)/messages.pot.new

messages-update: messages-extract ## Bring new texts into every language's catalogue
	@for language in $(LANGUAGES); do \
		$(BIN)/pybabel -q update -i $(TRANSLATIONS)/messages.pot -d $(TRANSLATIONS) -D messages -l $$language \
			--init-missing --no-wrap --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date || exit 1; \
	done

messages-compile: ready-to-develop ## Compile the catalogues (up and test do so by themselves)
	$(BIN)/pybabel -q compile -d $(TRANSLATIONS) -D messages

clean: ## Remove .venv, caches and compiled files; .data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name .git -prune -o \( -name __pycache__ -o -name '*.mo' \) -exec rm -rf {} +

# --- .venv as the lock files say

ready-to-run:
	@$(PYTHON) -m tools.install requirements.txt

ready-to-develop:
	@$(PYTHON) -m tools.install requirements-dev.txt
