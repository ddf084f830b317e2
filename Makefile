# storeagent: what can be made here. "make help" explains.

GO            ?= go
STATICCHECK   := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME      ?= 5s
BENCHTIME     ?= 1s

.PHONY: help demo build test usb oracle lint cross fuzz bench ci

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run a whole simulated store, outage and all; needs only Go
	CGO_ENABLED=0 $(GO) run ./cmd/storeagent demo $(ARGS)

build: ## one static binary in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/storeagent

test: ## all tests, with the race detector (installs a C compiler, libusb and fonts where they are missing)
	scripts/need gcc libusb fonts-noto-core fonts-noto-cjk useradd systemd-analyze
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 40m ./...
	CGO_ENABLED=0 $(GO) test -timeout 30m -run ThreeHundredKills ./offline/sqlite
	CGO_ENABLED=0 $(GO) test -timeout 60m -run KillsUnderLoad ./cmd/storeagent -kills 300
	CGO_ENABLED=0 $(GO) test -timeout 30m -run 'ManyShortSimulations|TestCardSimulation' ./offline -seeds 3000 -cardseeds 500

usb: ## test USB on the real USB stack of a Linux kernel in a virtual machine (installs QEMU where it is missing)
	scripts/usb-tests

oracle: ## hold nexo, printing and previews against programs that are not ours (installs them where missing)
	scripts/nexo-oracle
	scripts/printing-oracle

lint: ## gofmt, go vet, staticcheck, golangci-lint
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	scripts/need gcc libusb
	CGO_ENABLED=1 $(GO) vet ./...
	CGO_ENABLED=0 $(GO) vet ./...
	CGO_ENABLED=1 $(GO) vet -tags nolibusb ./cmd/storeagent ./devices/port/usbport
	CGO_ENABLED=1 $(GO) vet -tags usbguest ./devices/port/usbport ./devices/usbtest
	CGO_ENABLED=1 $(GO) run $(STATICCHECK) ./...
	CGO_ENABLED=1 $(GO) run $(STATICCHECK) -tags usbguest ./devices/port/usbport ./devices/usbtest
	CGO_ENABLED=0 $(GO) run $(STATICCHECK) ./devices/port/usbport
	CGO_ENABLED=1 $(GO) run $(GOLANGCI_LINT) run ./...
	CGO_ENABLED=1 $(GO) run $(GOLANGCI_LINT) run --build-tags usbguest ./devices/port/usbport ./devices/usbtest
	CGO_ENABLED=0 $(GO) run $(GOLANGCI_LINT) run ./devices/port/usbport

cross: ## build without cgo for Linux, Linux arm64 and Windows
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build -o /dev/null ./...
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./...
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./...

fuzz: ## every fuzz target for FUZZTIME each
	CGO_ENABLED=0 scripts/fuzz $(FUZZTIME)

bench: ## ratios against baselines measured in the same run
	export CGO_ENABLED=0; { $(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./cmd/storeagent && \
	  $(GO) test -run '^$$' -bench 'AcceptWithRows' -benchtime 2000x ./offline/sqlite && \
	  $(GO) test -run '^$$' -bench 'Drain' -benchtime 1x ./offline/sqlite && \
	  $(GO) test -run '^$$' -bench 'Catalogue' -benchtime $(BENCHTIME) ./offline/sqlite; } | scripts/ratios

ci: ## what .ci/run runs
	.ci/run
