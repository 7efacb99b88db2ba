# Two commands set everything up: `make run` and `make test`. `make help` lists
# the rest. What a target needs it installs or builds itself.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN   := bin/statuswire
TOOLS := $(CURDIR)/.tools/bin
STAMP := .tools/stamp

NATS_CLI_VERSION    := v0.5.0
STATICCHECK_VERSION := v0.8.2
CENTRIFUGO_VERSION  := v6.9.1

GO_FILES  := $(wildcard $(shell git ls-files '*.go' 2>/dev/null)) go.mod go.sum nats.conf statuswire.conf
WEB_FILES := $(shell git ls-files web/src web/public 2>/dev/null) web/index.html web/vite.config.js web/tsconfig.json
CLIENT_FILES := $(shell git ls-files client/src client/scripts 2>/dev/null) client/package.json client/tsconfig.json LICENSE
E2E_TAG   := e2e
# Beside the one it is built on; what runs where stands in docs/operate.md.
SYSTEMS   := linux-arm64 darwin-arm64 windows-amd64 freebsd-amd64
FUZZTIME  ?= 30s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## the server with its page and a demo conversation
	$(BIN) serve --demo --data data

.PHONY: build
build: $(BIN) ## bin/statuswire, page included

$(BIN): $(GO_FILES) web/dist/index.html
	go build -o $@ ./cmd/statuswire

web/dist/index.html: $(WEB_FILES) $(STAMP)/web
	cd web && npm run --silent build

.PHONY: test
test: lint test-go test-web test-client test-e2e ## everything: lint, unit tests with the race detector, page, client, real clients
	@echo "all tests passed"

.PHONY: lint
lint: $(TOOLS)/staticcheck $(STAMP)/web $(STAMP)/client $(SYSTEMS:%=$(STAMP)/vet-%) ## gofmt, go vet for each system, staticcheck, tsc --strict
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not formatted, run gofmt -w on:"; echo "$$out"; exit 1; }
	go vet ./...
	go vet -tags $(E2E_TAG) ./test/...
	$(TOOLS)/staticcheck ./...
	$(TOOLS)/staticcheck -tags $(E2E_TAG) ./test/...
	cd web && npm run --silent check
	cd client && npm run --silent check

# What does not build for one of them shows here. It runs when a Go file has changed;
# the first time compiles everything for each system, some minutes in all.
$(STAMP)/vet-%: $(GO_FILES)
	GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) CGO_ENABLED=0 go vet -tags $(E2E_TAG) ./...
	@mkdir -p $(STAMP) && touch $@

.PHONY: test-go
test-go: ## unit tests with the race detector; needs Go alone
	go test -race -timeout 20m ./...

.PHONY: test-web
test-web: $(STAMP)/web ## the page's own tests
	cd web && npm test --silent

.PHONY: test-client
test-client: $(STAMP)/client ## the npm package's own tests: its rules and its size
	cd client && npm test --silent

.PHONY: test-e2e
test-e2e: build node-deps chromium $(TOOLS)/nats ## the built binary with real clients, Chromium and the nats CLI
	STATUSWIRE_BIN=$(CURDIR)/$(BIN) NATS_CLI=$(TOOLS)/nats go test -tags $(E2E_TAG) -count=1 -timeout 25m ./test/...

.PHONY: test-chaos
test-chaos: build node-deps ## cut sockets, killed servers, retried publishes: 5 minutes of them; a short form is in test-e2e
	STATUSWIRE_BIN=$(CURDIR)/$(BIN) go test -tags $(E2E_TAG) -count=1 -v -timeout 15m -run "^TestChaos" ./test -chaos.full

.PHONY: bench
bench: build ## CPU per delivery beside write(2) and nats-server: about 10 minutes
	go run ./bench/cmd/deliver -statuswire $(BIN)

.PHONY: bench-reconnect
bench-reconnect: build $(TOOLS)/centrifugo ## 2,000 browsers come back at once, beside Centrifugo: about 6 minutes
	go run ./bench/cmd/reconnect -statuswire $(BIN) -centrifugo $(TOOLS)/centrifugo

.PHONY: bench-idle
bench-idle: build $(TOOLS)/centrifugo ## memory of idle sockets, 2,000 and 10,000, beside Centrifugo: about 11 minutes
	go run ./bench/cmd/idle -statuswire $(BIN) -centrifugo $(TOOLS)/centrifugo

.PHONY: bench-latency
bench-latency: build $(TOOLS)/centrifugo ## how long lone messages take, beside Centrifugo: about 2 minutes
	go run ./bench/cmd/latency -statuswire $(BIN) -centrifugo $(TOOLS)/centrifugo

.PHONY: fuzz
fuzz: ## fuzz every parser of untrusted bytes, FUZZTIME=30s each
	@set -e; for pkg in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: client
client: $(STAMP)/client ## bin/statuswire-client-VERSION.tgz, which `npm install` takes
	@mkdir -p $(dir $(BIN))
	@cd client && npm pack --silent --pack-destination $(CURDIR)/$(dir $(BIN))

.PHONY: node-deps
node-deps: $(STAMP)/web $(STAMP)/test-node $(STAMP)/test-page client/dist/mod.js ## npm packages of the page and of the tests; the client

client/dist/mod.js: $(CLIENT_FILES) $(STAMP)/client
	cd client && npm run --silent build

$(STAMP)/client: client/package-lock.json
	cd client && npm ci --silent
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/web: web/package-lock.json
	cd web && npm ci --silent
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/test-node: test/node/package-lock.json
	cd test/node && npm ci --silent
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/test-page: test/page/package-lock.json
	cd test/page && npm ci --silent
	@mkdir -p $(STAMP) && touch $@

.PHONY: chromium
chromium: ## Debian's Chromium, if there is none
	@command -v chromium >/dev/null || { \
		as=; test "$$(id -u)" = 0 || as=sudo; \
		$$as apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

$(TOOLS)/nats:
	GOBIN=$(TOOLS) go install github.com/nats-io/natscli/nats@$(NATS_CLI_VERSION)

$(TOOLS)/staticcheck:
	GOBIN=$(TOOLS) go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)

# To compare with, nothing of it is in the program: some minutes to build.
$(TOOLS)/centrifugo:
	GOBIN=$(TOOLS) go install github.com/centrifugal/centrifugo/v6@$(CENTRIFUGO_VERSION)

# So that a tool can be named as one types it.
.tools/bin/%: $(TOOLS)/% ;

.PHONY: clean
clean: ## what was built; not the data
	rm -rf bin .tools web/dist/assets web/dist/index.html client/dist
