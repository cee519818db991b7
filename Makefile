# Two commands do all the set-up on a fresh machine: make install, make test. Each target brings the tools that it needs.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VERSION ?= 0.1.0
RESULTS := dist/tests
GO      ?= go
# Packages whose tests run with the race detector: those with goroutines that share something.
CONCURRENT := /internal/(connector|control|degraded|monitor|scan|scan/(engine|quarantine|queue|schedule|supervise|verdicts))$$

.PHONY: help install uninstall test test-short packages release-check lint lab bench generate \
	format vet shellcheck licences native race guests deps-build deps-test deps-lab deps-generate

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

install: deps-build ## build this machine's package and install it with its package manager, hooks and all; then show the status
	@packaging/install.sh install $(VERSION)

uninstall: ## take the package away: account, policy module, state and logs go with it
	@packaging/install.sh uninstall $(VERSION)

packages: deps-build ## all packages into dist/
	$(GO) run ./packaging --version $(VERSION) --out dist

# These two stand beside `make test`, not in it: the tools are built from source, once a machine, and goreleaser alone takes up to nine
# minutes of two cores. VULNDB is another vulnerability database, a URL or file://, where the Go project's cannot be reached.
release-check: deps-build ## a release without publishing, and that its packages are those of make packages (builds goreleaser once: up to 9 min)
	@tools/release-check.sh $(VERSION)

lint: deps-build ## golangci-lint by .golangci.yaml, and govulncheck where it reaches its database (builds both once: 4 min)
	@status=0; "$$(tools/tool.sh golangci-lint)" run ./... || status=1; tools/vulncheck.sh $(VULNDB) || test $$? -eq 3 || status=1; exit $$status

# The guests' images are built beside the native tests, the longest of which keep one core busy; those with the race detector want the machine
# for themselves. Why an image cannot be built is told when its guest is to boot.
test: deps-test ## everything that CI runs, guests included
	@rm -rf $(RESULTS); mkdir -p $(RESULTS)
	@$(MAKE) --no-print-directory format vet shellcheck licences
	@$(MAKE) --no-print-directory packages
	@$(GO) build -o bin/lab ./vagrant/cmd/lab; nice bin/lab image > dist/images.log 2>&1 & images=$$!; \
		$(MAKE) --no-print-directory native; wait $$images || true
	@$(MAKE) --no-print-directory race guests; $(GO) run ./vagrant/cmd/summary --junit dist/junit.xml $(RESULTS)/*.json

test-short: deps-build ## what needs no guest, under two minutes
	@rm -rf $(RESULTS); mkdir -p $(RESULTS)
	@$(MAKE) --no-print-directory format vet
	@$(GO) test -short -json ./... > $(RESULTS)/short.json || true
	@$(GO) run ./vagrant/cmd/summary $(RESULTS)/*.json

# run-guests ARGUMENTS,STREAM runs the guest tests. Failed tests (exit status 1) are in the stream; a lab that could not do its work is
# a failed test too. The program is built first, since go run has only one exit status for all of its program's.
define run-guests
$(GO) build -o bin/lab ./vagrant/cmd/lab; status=0; bin/lab test $(1) > $(2) || status=$$?; \
	test $$status -le 1 || echo '{"Action":"fail","Package":"vagrant/lab","Test":"Guests","Elapsed":0}' >> $(2)
endef

# Those that follow leave their verdict to the summary, so that one failure does not hide another. They run one after the other: each keeps
# two cores busy, and a guest that gets half of one does not answer in time.
# The longest ones begin first, so that none of them is left alone at the end.
native:
	@echo "== native tests"
	@packages=$$($(GO) list ./packaging ./installer ./selinux ./... | grep -vE '$(CONCURRENT)'); \
		$(GO) test -json -timeout 45m $$packages > $(RESULTS)/native.json || true

# One package after the other: a fork bomb beside the daemon is none of what the degraded source is asked about.
race:
	@echo "== native tests with the race detector"
	@packages=$$($(GO) list ./... | grep -E '$(CONCURRENT)'); \
		$(GO) test -json -race -p 1 -timeout 45m $$packages > $(RESULTS)/race.json || true

guests:
	@echo "== guest tests"
	@$(call run-guests,,$(RESULTS)/guests.json)

lab: deps-lab packages ## guest tests: make lab [GUEST=name] [RUN=regexp], or make lab ALL=1
	@mkdir -p dist/lab
	@$(call run-guests,$(if $(ALL),--all) $(if $(GUEST),--guest $(GUEST)) $(if $(RUN),--run '$(RUN)'),dist/lab/tests.json)
	@$(GO) run ./vagrant/cmd/summary dist/lab/tests.json

format:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "gofmt would change:" $$bad >&2; exit 1; }

vet:
	$(GO) vet ./...
	$(GO) vet -tags killpoints ./installer/

shellcheck:
	shellcheck $$(git ls-files '*.sh' 'packaging/scripts/*' 'packaging/files/kernel.*' 'vagrant/*/sbin/*' .ci/run)

licences:
	@$(GO) run ./packaging/licences

bench: deps-test packages ## the benchmarks, with peers, against docs/benchmarks.json: make bench [RENEW=1 writes it anew] [MONITOR=amp]
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./vagrant/cmd/lab exec debian12-enforcing-el vagrant/bench/remedy19.sh
	$(GO) run ./vagrant/cmd/lab exec --counted debian12-plain vagrant/bench/daemon.sh
	$(GO) run ./vagrant/cmd/lab scans $(if $(RENEW),--renew)
	nice -n 5 $(GO) run ./vagrant/cmd/lab bench $(if $(RENEW),--renew) $(if $(MONITOR),--monitor $(MONITOR))

generate: deps-generate ## BPF objects, shell completions
	$(GO) generate ./bpf ./packaging/completions

deps-build deps-test deps-lab deps-generate:
	@./vagrant/deps.sh $(@:deps-%=%)
