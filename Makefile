# Everything that is built, checked and tested here. It needs Go, Node 20 and Python 3.10 or newer, and installs the
# rest itself, pinned, into .cache. `make help` lists the targets.

SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CACHE := $(CURDIR)/.cache
BIN := $(CACHE)/bin
NPM_CI := npm ci --no-audit --no-fund --no-update-notifier --loglevel=error

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: generate ## Regenerate the contract's code and build bin/orca
	go build -o bin/orca ./cmd/orca

.PHONY: generate
generate: generators
	@scripts/generate

.PHONY: demo
demo: ## Build bin/orca and watch it work on this machine's telemetry
	go build -o bin/orca ./cmd/orca
	@bin/orca demo

.PHONY: million
million: ## Emit a million windows and say how much memory the core held
	ORCA_TEST_WINDOWS=1000000 go test -count=1 -timeout=2h -v -run=TestManyWindows ./internal/e2e

.PHONY: torture
torture: $(if $(filter Languages,$(WITH)),sdk-python sdk-nodejs) ## Kill a core and its processors under load and check what came of it; FOR=10m, KILLS=1000, WITH=DiskErrors, Cores or Languages, SEED=7, DIR=kept
	ORCA_TORTURE_FOR=$(or $(FOR),5m) ORCA_TORTURE_KILLS=$(KILLS) ORCA_TORTURE_SEED=$(SEED) ORCA_TORTURE_DIR=$(abspath $(DIR)) go test -count=1 -timeout=0 -v -run='^TestTorture$(addprefix With,$(WITH))$$' ./internal/e2e

.PHONY: bench
bench: ## Measure the core beside a ceiling; BENCH="--shape chain --turns 3", SAVE=bench/results
	@mkdir -p $(BIN)
	go build -o bin/orca ./cmd/orca
	go build -o $(BIN)/ceiling ./bench/ceiling
	bin/orca bench --ceiling $(BIN)/ceiling --dir $(CACHE)/bench --commit "$$(git describe --always --dirty --abbrev=12 2>/dev/null)" $(if $(SAVE),--save $(SAVE)) $(BENCH)

# The processors of one language take turns; the first is the one on bare stubs.
OVERHEAD = $(BIN)/overhead --core $(BIN)/orca --dir $(CACHE)/bench --turns $(or $(TURNS),5)

.PHONY: bench-go
bench-go: $(BIN)/orca ## Compare the Go SDK with the bare stubs; TURNS=5
	@go build -o $(BIN)/overhead ./bench/overhead
	@go build -o $(BIN)/bench-go ./bench/processors/go
	@$(OVERHEAD) bare=$(BIN)/orca,bench,processor sdk=$(BIN)/bench-go

.PHONY: bench-python
bench-python: sdk-python $(BIN)/orca ## Compare the Python SDK with the bare stubs; TURNS=5
	@go build -o $(BIN)/overhead ./bench/overhead
	@PYTHONPATH=$(SDK_PYTHON)/src:contract/python $(OVERHEAD) \
		bare=$(CACHE)/sdk/python/bin/python,$(SDK_PYTHON)/bench/bare.py \
		sdk=$(CACHE)/sdk/python/bin/python,$(SDK_PYTHON)/bench/sdk.py \
		async=$(CACHE)/sdk/python/bin/python,$(SDK_PYTHON)/bench/sdk.py,--async

.PHONY: bench-nodejs
bench-nodejs: sdk-nodejs $(CACHE)/bare/nodejs.built $(BIN)/orca ## Compare the TypeScript SDK with the bare stubs; TURNS=5
	@go build -o $(BIN)/overhead ./bench/overhead
	@$(OVERHEAD) bare=node,$(BARE_NODE)/dist/bench.js sdk=node,$(SDK_NODE)/build/programs/sdk/nodejs/bench/sdk.js

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf bin $(CACHE) contract/nodejs/{dist,node_modules} $(BARE_NODE)/{dist,node_modules} $(SDK_PYTHON)/.ruff_cache $(SDK_NODE)/{build,dist,node_modules}

## Checking

.PHONY: check
check: check-format check-modules check-vet check-lint check-python check-nodejs check-generated check-packages ## Check format, lint, generated code and packages

.PHONY: check-format
check-format:
	@unformatted=$$(git ls-files --cached --others --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

.PHONY: check-modules
check-modules:
	go mod tidy -diff
	go -C tools mod tidy -diff

.PHONY: check-vet
check-vet:
	go vet ./...
	go -C tools vet ./...

.PHONY: check-lint
check-lint: $(BIN)/golangci-lint
	$(BIN)/golangci-lint run ./...
	cd tools && $(BIN)/golangci-lint run --config ../.golangci.yml ./...

RUFF = $(CACHE)/sdk/python/bin/ruff --config pyproject.toml
PYTHON_FOLDERS := . ../../examples/python ../../conformance/processors/python ../../internal/torture/processor/python
.PHONY: check-python
check-python: sdk-python
	cd $(SDK_PYTHON) && $(RUFF) format --check --quiet $(PYTHON_FOLDERS) && $(RUFF) check --quiet $(PYTHON_FOLDERS)
	cd $(SDK_PYTHON) && $(CACHE)/npm/node_modules/.bin/pyright --pythonpath $(CACHE)/sdk/python/bin/python

.PHONY: check-nodejs
check-nodejs: sdk-nodejs
	cd $(SDK_NODE) && node_modules/.bin/biome check --error-on-warnings . $(SDK_NODE_PROGRAMS)

.PHONY: check-generated
check-generated: generators
	scripts/generate --check

# The packages install as users would install them, import in Python and compile in strict TypeScript. The SDK gets along
# with the contract's package in one process.
.PHONY: check-packages
check-packages: bare sdk-nodejs $(CACHE)/sdk/wheel/.installed
	@cd $(SDK_NODE) && node check-package.mjs
	@$(CACHE)/sdk/wheel/bin/python -c 'import orca_contract.service_pb2_grpc, orca, orca.testing, importlib.metadata as m; assert m.files("orca-sdk") and any(f.name == "py.typed" for f in m.files("orca-sdk"))'
	@for python in $(BARE_PYTHONS); do \
		$(CACHE)/$$python/bin/python -c 'import orca_contract.service_pb2_grpc, orca_contract.console_pb2_grpc'; \
	done

## Testing

# The race detector needs a C compiler on most systems; Go says whether it found one.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
REPORTS := $(CACHE)/reports

# The largest registrations are tested once more at their full size, without the race detector. Some tests of whole cores
# run once more on PostgreSQL, and so do random histories.
ON_POSTGRES := ORCA_TEST_STORE=postgres go test -count=1
CORE_ON_POSTGRES := '^Test(Shapes|IdempotencyKeys|RepeatsAtOnce|Failures|InputsAreTheRowsThatWereGiven|Restart.*|AbsentProcessorTakesNoPlaces|Retry.*|Reprocess.*|Cancel|ForgetProcessor|ResultsComeBackAsTheyWere)$$'
.PHONY: test
test: bare sdk-python sdk-nodejs $(BIN)/gotestsum $(BIN)/tally ## Run all tests, and say how many
	@rm -rf $(REPORTS) && mkdir -p $(REPORTS)
	@$(if $(RACE),,echo "no C compiler: the tests run without the race detector")
	@failed=0; \
	ORCA_HISTORY_FOR=$(or $(ORCA_HISTORY_FOR),60s) $(GOTESTSUM) --junitfile $(REPORTS)/go.xml -- $(RACE) -shuffle=on ./... || failed=1; \
	(cd tools && $(GOTESTSUM) --junitfile $(REPORTS)/tools.xml -- -shuffle=on ./...) || failed=1; \
	go test -run='^TestLargeRegistrations$$' ./internal/app || failed=1; \
	$(ON_POSTGRES) -run=$(CORE_ON_POSTGRES) ./internal/app || failed=1; \
	ORCA_HISTORY_FOR=20s $(ON_POSTGRES) -run=HistoryDecides ./internal/e2e || failed=1; \
	scripts/fuzz || failed=1; \
	$(MAKE) --no-print-directory check-python test-python check-nodejs test-nodejs || failed=1; \
	$(BIN)/tally $(REPORTS)/*.xml || failed=1; \
	exit $$failed

# Twice: on the newest grpcio and protobuf, and on the oldest that the package names with Python 3.10, where there is one.
.PHONY: test-python
test-python: sdk-python $(BIN)/orca ## Test the Python SDK alone
	@mkdir -p $(REPORTS)
	@failed=0; cd $(SDK_PYTHON); for python in $(SDK_PYTHONS); do \
		ORCA_BIN=$(BIN)/orca $(CACHE)/$$python/bin/python -m pytest --quiet -o junit_suite_name=$$python --junitxml=$(REPORTS)/$${python//\//-}.xml $(PYTEST) || failed=1; \
	done; exit $$failed

.PHONY: test-nodejs
test-nodejs: sdk-nodejs $(BIN)/orca ## Test the TypeScript SDK alone
	@mkdir -p $(REPORTS)
	@cd $(SDK_NODE) && ORCA_BIN=$(BIN)/orca node --test --test-timeout=120000 --test-reporter=dot --test-reporter-destination=stdout \
		--test-reporter=junit --test-reporter-destination=$(REPORTS)/sdk-nodejs.xml $(NODE_TEST) build/tests/test/*.test.js build/programs/examples/typescript/*/*.test.js

.PHONY: fuzz
fuzz: ## Run every fuzz target for a moment; FUZZ_SECONDS says how long all of them take
	@scripts/fuzz

# Tests of PostgreSQL start the server that is installed, or else this one.
.PHONY: postgres
postgres: $(CACHE)/postgres/.installed ## Install a PostgreSQL server for the tests, where there is none

$(CACHE)/postgres/.installed: scripts/postgres tools/postgres/package.json tools/postgres/package-lock.json
	scripts/postgres $(@D)
	@mkdir -p $(@D) && touch $@

GOTESTSUM := $(BIN)/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --hide-summary skipped

# Environments with the oldest packages have the oldest Python too, where there is one.
PYTHON_OLDEST ?= $(shell scripts/python-oldest)

## Packages of the contract, and the programs in conformance/bare that use nothing but them

BARE_PYTHONS := bare/python bare/python-oldest

.PHONY: bare
bare: $(patsubst %,$(CACHE)/%/.installed,$(BARE_PYTHONS)) $(CACHE)/bare/nodejs.built

PYTHON_CONTRACT := $(CACHE)/wheels/.built
$(PYTHON_CONTRACT): $(CACHE)/python/.installed contract/python/pyproject.toml contract/python/README.md $(wildcard contract/python/orca_contract/*.py contract/python/orca_contract/*.pyi)
	rm -rf $(@D)
	$(CACHE)/python/bin/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir $(@D) ./contract/python
	@touch $@

$(CACHE)/bare/python/.installed: conformance/bare/python/requirements.txt $(PYTHON_CONTRACT) scripts/venv
	scripts/venv $(@D) -r $< $(CACHE)/wheels/*.whl
	@touch $@

$(CACHE)/bare/python-oldest/.installed: conformance/bare/python/requirements-oldest.txt $(PYTHON_CONTRACT) scripts/venv scripts/python-oldest
	PYTHON=$(PYTHON_OLDEST) scripts/venv $(@D) -r $< $(CACHE)/wheels/*.whl
	@touch $@

NODE_CONTRACT := $(CACHE)/contract-nodejs.built
$(NODE_CONTRACT): $(addprefix contract/nodejs/,package.json package-lock.json tsconfig.json README.md) $(shell find contract/nodejs/src -name '*.ts')
	@mkdir -p $(@D)
	cd contract/nodejs && $(NPM_CI)
	@touch $@

BARE_NODE := conformance/bare/nodejs
$(CACHE)/bare/nodejs.installed: $(BARE_NODE)/package.json $(BARE_NODE)/package-lock.json $(NODE_CONTRACT)
	@mkdir -p $(@D)
	cd $(BARE_NODE) && $(NPM_CI)
	@touch $@

$(CACHE)/bare/nodejs.built: $(CACHE)/bare/nodejs.installed $(BARE_NODE)/tsconfig.json $(wildcard $(BARE_NODE)/src/*.ts)
	cd $(BARE_NODE) && npm run --silent build
	@touch $@

## The Python SDK

SDK_PYTHON := sdk/python
SDK_PYTHONS := sdk/python sdk/python-oldest

.PHONY: sdk-python
sdk-python: $(patsubst %,$(CACHE)/%/.installed,$(SDK_PYTHONS)) $(CACHE)/npm/.installed

$(CACHE)/sdk/python/.installed: $(SDK_PYTHON)/requirements.txt scripts/venv
	@mkdir -p $(dir $(@D))
	scripts/venv $(@D) -r $<
	@touch $@

$(CACHE)/sdk/python-oldest/.installed: $(SDK_PYTHON)/requirements-oldest.txt scripts/venv scripts/python-oldest
	@mkdir -p $(dir $(@D))
	PYTHON=$(PYTHON_OLDEST) scripts/venv $(@D) -r $<
	@touch $@

$(CACHE)/sdk/wheels/.built: $(CACHE)/python/.installed $(SDK_PYTHON)/pyproject.toml $(SDK_PYTHON)/README.md $(shell find $(SDK_PYTHON)/src -name '*.py' -o -name '*.pyi' -o -name py.typed)
	rm -rf $(@D)
	$(CACHE)/python/bin/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir $(@D) ./$(SDK_PYTHON)
	@touch $@

$(CACHE)/sdk/wheel/.installed: conformance/bare/python/requirements.txt $(CACHE)/sdk/wheels/.built $(PYTHON_CONTRACT) scripts/venv
	scripts/venv $(@D) -r $< $(CACHE)/wheels/*.whl $(CACHE)/sdk/wheels/*.whl
	@touch $@

## The TypeScript SDK

SDK_NODE := sdk/nodejs
# Programs that are made with it, as its own tools find them.
SDK_NODE_PROGRAMS := ../../conformance/processors/nodejs ../../examples/typescript ../../internal/torture/processor/nodejs

.PHONY: sdk-nodejs
sdk-nodejs: $(CACHE)/sdk/nodejs.built

$(CACHE)/sdk/nodejs.installed: $(addprefix $(SDK_NODE)/,package.json package-lock.json .npmrc)
	@mkdir -p $(@D)
	cd $(SDK_NODE) && $(NPM_CI)
	@touch $@

$(CACHE)/sdk/nodejs.built: $(CACHE)/sdk/nodejs.installed $(wildcard $(SDK_NODE)/*.json $(SDK_NODE)/*.mjs) $(shell find $(SDK_NODE)/src $(SDK_NODE)/test $(SDK_NODE)/bench conformance/processors/nodejs examples/typescript internal/torture/processor/nodejs -name '*.ts')
	cd $(SDK_NODE) && npm run --silent build && npm run --silent build-tests
	@touch $@

# What the SDKs' tests run beside. Go knows whether it is up to date.
.PHONY: $(BIN)/orca
$(BIN)/orca:
	go build -o $@ ./cmd/orca

## Tools: each is rebuilt or reinstalled when the file that pins it changes.

.PHONY: generators
generators: $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc $(BIN)/pypackage $(CACHE)/npm/.installed $(CACHE)/python/.installed

GO_TOOLS := tools/go.mod tools/go.sum
build_tool = go build -C tools -o $@ $(1)

$(BIN)/protoc-gen-go: $(GO_TOOLS)
	$(call build_tool,google.golang.org/protobuf/cmd/protoc-gen-go)

$(BIN)/protoc-gen-go-grpc: $(GO_TOOLS)
	$(call build_tool,google.golang.org/grpc/cmd/protoc-gen-go-grpc)

$(BIN)/golangci-lint: $(GO_TOOLS)
	$(call build_tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

$(BIN)/gotestsum: $(GO_TOOLS)
	$(call build_tool,gotest.tools/gotestsum)

$(BIN)/benchstat: $(GO_TOOLS)
	$(call build_tool,golang.org/x/perf/cmd/benchstat)

$(BIN)/pypackage: $(GO_TOOLS) $(wildcard tools/pypackage/*.go)
	$(call build_tool,./pypackage)

$(BIN)/tally: $(GO_TOOLS) $(wildcard tools/tally/*.go)
	$(call build_tool,./tally)

$(CACHE)/npm/.installed: tools/package.json tools/package-lock.json
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && $(NPM_CI)
	@touch $@

$(CACHE)/python/.installed: tools/requirements.txt scripts/venv
	scripts/venv $(@D) -r $<
	@touch $@
