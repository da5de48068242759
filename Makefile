# Every command of the project. `make` alone lists them. Works with GNU make 3.81 and later.

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
# Install only from lock files: pip refuses any package whose hash isn't in them. What installers
# print goes to stderr, since programs read the output of some commands, a shell that of `make env`.
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes
RUNTIME := $(VENV)/.runtime-installed
ENGINE := $(VENV)/.engine-installed
TESTING := $(VENV)/.tests-installed
LOCKS := $(wildcard requirements.txt */requirements.txt */*/requirements.txt)
TOOLS := .tools/python
TOOLS_INSTALLED := $(TOOLS)/.installed
STACK ?= dev
export STACK
# A value as one word of a shell command, whatever is in it. ARGS are several words on purpose.
quoted = '$(subst ','\'',$(1))'

.PHONY: help demo up down preview logs status prometheus-files env verify drill soak attacks test \
	test-clients test-agents test-reverse-proxies e2e lint types format render pin-images lock audit sbom clean \
	prometheus node

help: ## List the commands and variables
	@echo 'Commands:'
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables (make demo PROXY_PORT=11500):'
	@awk 'BEGIN { FS = "=  +" } /^#= / { sub(/^#= /, ""); printf "  %-20s %s\n", $$1 "=", $$2 }' $(MAKEFILE_LIST)

#= MODEL=            demo, soak: a Hugging Face id, a local GGUF file or a safetensors folder
#= PROXY_PORT=       demo: port of the Ollama API (11434)
#= ENGINE_PORT=      demo: port of the engine (8080)
#= PROMETHEUS_PORT=  demo: port of Prometheus (9090)
#= STACK=            up, down, preview, logs, status, prometheus-files, verify, drill: the stack (dev)
#= SERVICE=          logs: one of engine, proxy, prometheus, grafana (all)
#= MINUTES=          soak, fuzz: minutes to run (30, 10)
#= SECONDS=          attacks: seconds of each attack (60)
#= ARGS=             verify, drill, soak, attacks, lock, test-agents, test-reverse-proxies: further options, for instance ARGS="--no-traffic --json"
#= PYTHON=           the Python (3.11 or later) to create .venv with

demo: $(ENGINE) ## Run engine, proxy and Prometheus on this machine, without Docker, until Ctrl-C
	@$(RUN) ops.demo

up: $(RUNTIME) ## Start or update the full stack with Pulumi and Docker
	@$(RUN) ops.stack up

down: $(RUNTIME) ## Remove the stack; keep downloaded models and metrics
	@$(RUN) ops.stack down

preview: $(RUNTIME) ## Show what `make up` would change
	@$(RUN) ops.stack preview

logs: $(RUNTIME) ## Follow the logs of the stack's containers (SERVICE= for one)
	@$(RUN) ops.stack logs $(if $(SERVICE),$(call quoted,$(SERVICE)))

status: $(RUNTIME) ## Show the stack's containers, URLs and firing alerts
	@$(RUN) ops.stack status

prometheus-files: $(RUNTIME) ## Write the scrape job and the rules for a Prometheus of your own
	@$(RUN) ops.stack prometheus-files

env: $(RUNTIME) ## Print the variables that `pulumi` needs to use the stack's state: eval "$(make env)"
	@$(RUN) ops.stack env

verify: $(RUNTIME) ## Check a running demo or stack end to end with real traffic
	@$(RUN) ops.verify $(if $(filter file,$(origin STACK)),,--stack $(call quoted,$(STACK))) $(ARGS)

soak: $(ENGINE) prometheus ## Send mixed traffic with faults for MINUTES; account for every request
	@$(RUN) tests.soak $(if $(MINUTES),--minutes $(call quoted,$(MINUTES))) $(if $(MODEL),--model $(call quoted,$(MODEL))) $(ARGS)

attacks: $(TESTING) ## Attack a proxy that ordinary clients use, SECONDS for each way (ARGS=--list for all)
	@$(RUN) tests.attacks $(if $(SECONDS),--seconds $(call quoted,$(SECONDS))) $(ARGS)

drill: $(RUNTIME) prometheus ## Cause each alert's condition on copies; check that the alert fires and resolves
	@$(RUN) ops.drill $(if $(filter file,$(origin STACK)),,--stack $(call quoted,$(STACK))) $(ARGS)

test: node $(TESTING) prometheus lint types ## Run every check that needs neither Docker nor the Pulumi CLI
	@$(RUN) pytest -q -m 'not e2e and not reverse_proxy and not agent'
	@$(RUN) tests.clients

test-clients: $(TESTING) ## Run only the tests with third-party Ollama clients; needs Node.js
	@$(RUN) tests.clients

test-agents: $(TESTING) ## Install coding agents (1.2 GB, Node.js 20) and run them (ARGS="-k codex")
	@$(RUN) tests.agents $(ARGS)

e2e: $(TESTING) ## Run the real `pulumi up` cycle; needs Docker
	@$(RUN) ops.stack check
	@PATH="$(CURDIR)/.tools/pulumi/bin:$$PATH" $(RUN) pytest -q -m e2e

test-reverse-proxies: $(TESTING) ## Run docs/reverse-proxy.md's snippets in nginx, Caddy and Traefik (ARGS="-k nginx")
	@$(RUN) pytest -q -m reverse_proxy tests/reverse_proxies $(ARGS)

lint: $(TESTING) ## Check style
	@$(RUN) ruff check --quiet .
	@$(RUN) ruff format --check --quiet .

types: $(TESTING) ## Check types
	@$(RUN) mypy --no-error-summary

format: $(TESTING) ## Rewrite the sources in the project's style
	@$(RUN) ruff check --fix --quiet .
	@$(RUN) ruff format --quiet .

render: $(RUNTIME) ## Write the generated files: alert rules, dashboard, docs/settings.md
	@$(RUN) alerts
	@$(RUN) dashboards
	@$(RUN) infra.settings.page

.PHONY: bench bench-quick
bench: $(RUNTIME) ## Compare the proxy with nginx and LiteLLM's proxy, in about 15 minutes
	@$(RUN) bench

bench-quick: $(RUNTIME) ## Check that the proxy hasn't become slower than recorded in bench/results
	@$(RUN) bench --quick

.PHONY: fuzz
fuzz: $(TESTING) ## Look for requests, engine replies and model files that break a parser or cost too much, for MINUTES=10
	@$(BIN)/python $(INSTALL) -r tests/fuzz/requirements.txt
	@$(RUN) tests.fuzz $(if $(MINUTES),--minutes $(call quoted,$(MINUTES)))

pin-images: $(RUNTIME) ## Pin the images by digest: read the digests of their tags and record them
	@$(RUN) ops.pin_images

lock: $(RUNTIME) $(TOOLS_INSTALLED) ## Update the lock files from each requirements.in (ARGS=--upgrade: newest releases)
	@$(RUN) ops.locks $(ARGS)

audit: $(TOOLS_INSTALLED) ## Check every locked package against PyPI's security advisories
	@failed=; for lock in $(LOCKS); do echo "$$lock:"; \
		$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
			-r $$lock || failed=1; done; test -z "$$failed"

sbom: $(TOOLS_INSTALLED) ## Write each image's packages to .run/sbom-*.json, as CycloneDX
	@mkdir -p .run
	@for image in proxy_service embedded_engine; do \
		$(TOOLS)/bin/cyclonedx-py requirements --output-reproducible --output-file .run/sbom-$$image.json \
			$$image/requirements.txt || exit 1; echo .run/sbom-$$image.json; done

clean: ## Delete .venv, .tools, .run and caches, but not the stack's state
	@rm -rf $(VENV) .tools .run tests/clients/node/node_modules tests/agents/node/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Checked first, since the tests that need it run last.
node:
	@command -v npm >/dev/null || { \
		echo 'error: the tests run ollama-js, which needs Node.js 18 or later with npm: install it' >&2; exit 1; }

prometheus: $(RUNTIME) ## Fetch Prometheus into .tools unless a supported version is on PATH
	@$(RUN) ops.prometheus

$(RUNTIME): requirements.txt
	@$(make_venv)
	@echo 'Installing requirements.txt into $(VENV) …' >&2
	@$(BIN)/python $(INSTALL) -r requirements.txt >&2
	@touch $@

$(ENGINE): embedded_engine/requirements.txt $(RUNTIME)
	@case "$$(uname -s) $$(uname -m)" in 'Darwin x86_64') \
		echo 'error: Mistral.rs has no Python package for Intel Macs; run `make up` with engine set to external or mistralrs' >&2; \
		exit 1;; esac
	@echo 'Installing embedded_engine/requirements.txt into $(VENV) …' >&2
	@$(BIN)/python $(INSTALL) -r embedded_engine/requirements.txt >&2
	@touch $@

$(TESTING): tests/requirements.txt $(RUNTIME)
	@echo 'Installing tests/requirements.txt into $(VENV) …' >&2
	@$(BIN)/python $(INSTALL) -r tests/requirements.txt >&2
	@touch $@

$(TOOLS_INSTALLED): tools/requirements.txt | $(RUNTIME)
	@echo 'Installing tools/requirements.txt into $(TOOLS) …' >&2
	@$(RUN) venv --clear $(TOOLS) >&2
	@$(TOOLS)/bin/python $(INSTALL) -r tools/requirements.txt >&2
	@touch $@

# Create .venv unless it exists, works and has a recent enough Python; remove an incomplete one.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
define make_venv
asked=$(call quoted,$(PYTHON)); found=; if ! $(BIN)/python -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null; then \
	for python in $(if $(PYTHON),"$$asked",python3 python3.13 python3.12 python3.11 python3.14); do \
		if "$$python" -c '$(NEW_ENOUGH)' 2>/dev/null; then found="$$python"; break; fi; done; \
	if [ -z "$$found" ]; then \
		echo "error: $(if $(PYTHON),$$asked is not Python 3.11 or later,Python 3.11 or later is not on PATH: install it or set PYTHON=/path/to/python3)" >&2; \
		exit 1; fi; \
	echo "Creating $(VENV) with $$found …" >&2; rm -rf $(VENV); \
	"$$found" -m venv $(VENV) >&2 || { rm -rf $(VENV); exit 1; }; fi
endef
