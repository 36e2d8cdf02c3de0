# One word does each thing: `make help` lists them. Needs python3 (3.11 or newer) and make; everything else is installed
# below this folder, from requirements files in which every package is pinned by hash.

PYTHON ?= python3

# uv must not fetch a Python of its own from outside the package registries.
export UV_PYTHON_DOWNLOADS := never
# Trust what this machine trusts: behind a proxy of one's own, uv's built-in list is not enough.
export UV_SYSTEM_CERTS := 1
export SAM_CLI_TELEMETRY := 0
# Nothing here talks to AWS, so nothing here gets to see anybody's credentials.
unexport AWS_PROFILE AWS_DEFAULT_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
TOOLS := .tools
SAM := $(TOOLS)/sam/bin/sam
CFN_LINT := $(TOOLS)/sam/bin/cfn-lint
CHECKOV := $(TOOLS)/checkov/bin/checkov
# Tools that pin what we do not, or must not find what we have: each in an environment of its own.
ENVIRONMENTS := sam ministack awscli checkov runtime

# Each environment carries a stamp that is older than its requirements only when it has to be made again.
DEV_READY := $(VENV)/.ready
TOOLS_READY := $(ENVIRONMENTS:%=$(TOOLS)/%/.ready)

TESTS ?=
WORKERS ?= auto
MINUTES ?= 60

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The last lines of `make test` are pytest's own, even under -j.
.NOTPARALLEL:

##@ Start here

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z.\/-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(DEV_READY) $(TOOLS_READY) ## Install everything (demo, test and build do it by themselves)

.PHONY: demo
demo: $(DEV_READY) ## Patch a pretend organisation, with no AWS account
	@$(BIN)/patchtide demo

##@ Check

.PHONY: test
test: setup ## Check format, lint, types and templates, then run the tests (TESTS=tests/core for some)
	@echo "Checking format and lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(MAKE) --no-print-directory types template
	@echo "Running the tests"
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(TESTS)

.PHONY: prove
prove: $(DEV_READY) ## Try to make it patch twice, late or never, in some minutes (out/prove.json)
	@$(BIN)/python -m simulator.proof

.PHONY: prove-long
prove-long: $(DEV_READY) ## The same for as long as there is time (MINUTES=60)
	@$(BIN)/python -m simulator.proof --minutes $(MINUTES)

.PHONY: bench
bench: $(DEV_READY) $(TOOLS)/sam/.ready ## Measure what it costs and how it grows, in some minutes (out/bench.json)
	@$(BIN)/python -m bench

.PHONY: format
format: $(DEV_READY) ## Write the code in the house format
	@$(BIN)/ruff check --select I --fix --quiet .
	@$(BIN)/ruff format .

.PHONY: lint
lint: $(DEV_READY) ## Look for mistakes
	@$(BIN)/ruff check .

.PHONY: types
types: $(DEV_READY) ## Check the types
	@echo "Checking types"
	@$(BIN)/mypy

# A template that checkov cannot read fails none of its checks, so what it says last counts, and not its status alone.
.PHONY: template
template: $(TOOLS)/sam/.ready $(TOOLS)/checkov/.ready ## Check the CloudFormation templates
	@echo "Checking the templates"
	@$(SAM) validate --lint --template-file template.yaml
	@$(CFN_LINT) spoke/template.yaml
	@$(TOOLS)/sam/bin/python -P ship/translate.py template.yaml out/templates/hub.yaml
	@$(CHECKOV) --config-file requirements/checkov.yaml --file out/templates/hub.yaml spoke/template.yaml \
		< /dev/null > out/templates/checkov.txt 2>&1 \
		&& grep -q '^Passed checks: [1-9][0-9]*, Failed checks: 0, Skipped checks: 0$$' out/templates/checkov.txt \
		|| { cat out/templates/checkov.txt >&2; exit 1; }

##@ Ship

.PHONY: build
build: $(DEV_READY) $(TOOLS)/sam/.ready ## Build the layers and functions for Lambda (arm64), without Docker
	@echo "Building for Lambda"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(SAM) build

.PHONY: sbom
sbom: build ## Write the bill of materials of what is built (out/sbom.json)
	@$(BIN)/python -m ship.sbom

##@ Care

.PHONY: runbooks
runbooks: $(DEV_READY) ## Copy the runbooks into the templates that ship them
	@$(BIN)/python -m runbooks.embed

.PHONY: pictures
pictures: $(DEV_READY) ## Draw the pictures in docs from the code, and from docs/bench.json
	@$(BIN)/python -m docs.draw
	@$(BIN)/python -m docs.growth
	@$(BIN)/python -m tests.report.picture

.PHONY: notices
notices: build ## Write the notices of what others wrote and we ship, after a new lock
	@$(BIN)/python -m ship.notices

.PHONY: lock
lock: $(UV) ## Lock the requirements again; UPGRADE=--upgrade moves what is not pinned
	@echo "Locking the requirements"
	@set -e; for file in layers/dependencies/requirements $(addprefix requirements/,uv dev $(ENVIRONMENTS)); do \
		$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
			--custom-compile-command "make lock" $(UPGRADE) --output-file $$file.txt $$file.in; \
	done

.PHONY: clean
clean: ## Remove what was installed, built or cached
	@rm -rf $(VENV) $(TOOLS) .aws-sam out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments. Nobody needs to name these.

.PHONY: $(VENV) $(ENVIRONMENTS:%=$(TOOLS)/%)
$(VENV): $(DEV_READY)
$(ENVIRONMENTS:%=$(TOOLS)/%): %: %/.ready

# pip installs uv and nothing else: from here on uv is faster and checks the same hashes.
$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Patchtide needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Install a newer one, or name it: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@touch $@

# Our own code is not installed but pointed at, so nothing has to be built and an edit counts at once.
# -P keeps the folder people stand in from shadowing the standard library.
$(DEV_READY): requirements/dev.txt $(UV)
	@echo "Installing the development environment into $(VENV)"
	@$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements/dev.txt
	@printf '%s\n' "$(CURDIR)" "$(CURDIR)/layers/patchtide" \
		> "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/patchtide.pth"
	@printf '%s\n' '#!/bin/sh' \
		"exec \"$(CURDIR)/$(BIN)/python\" -P -c 'import sys; sys.argv[0] = \"patchtide\"; from cli.tree import run; run()' \"\$$@\"" \
		> $(BIN)/patchtide
	@chmod +x $(BIN)/patchtide
	@touch $@

$(TOOLS)/%/.ready: requirements/%.txt $(UV)
	@echo "Installing $* into $(TOOLS)/$*"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(TOOLS)/$*
	@$(UV) pip sync --quiet --require-hashes --python $(TOOLS)/$*/bin/python requirements/$*.txt
	@touch $@
