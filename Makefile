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
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Building

.PHONY: build
build: generate ## Regenerate the contract's code and build bin/orca
	$(if $(wildcard cmd/orca/*.go),go build -o bin/orca ./cmd/orca,@echo "no cmd/orca to build yet")

.PHONY: generate
generate: generators
	@scripts/generate

## Tools: each is rebuilt or reinstalled when the file that pins it changes.

.PHONY: generators
generators: $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc $(BIN)/pypackage $(CACHE)/npm/.installed $(CACHE)/python/.installed

GO_TOOLS := tools/go.mod tools/go.sum
build_tool = go build -C tools -o $@ $(1)

$(BIN)/protoc-gen-go: $(GO_TOOLS)
	$(call build_tool,google.golang.org/protobuf/cmd/protoc-gen-go)

$(BIN)/protoc-gen-go-grpc: $(GO_TOOLS)
	$(call build_tool,google.golang.org/grpc/cmd/protoc-gen-go-grpc)

$(BIN)/pypackage: $(GO_TOOLS) $(wildcard tools/pypackage/*.go)
	$(call build_tool,./pypackage)

$(CACHE)/npm/.installed: tools/package.json tools/package-lock.json
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && $(NPM_CI)
	@touch $@

$(CACHE)/python/.installed: tools/requirements.txt scripts/venv
	scripts/venv $(@D) -r tools/requirements.txt
	@touch $@
