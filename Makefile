# Trunkline. `make` builds both daemons, `make test` is the whole gate, `make lab` makes a call.
GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# How many inputs each fuzzer tries in `make test`. Not a time: `go test` now and then fails when a time is over.
FUZZTIME ?= 10000x
# How many worlds `make sim` plays.
SEEDS   ?= 1000
# How long each scenario of `make soak` makes calls, which ones, and their seed (0: a new one).
DURATION ?= 30m
SCENARIO ?= .
SEED     ?= 0
UNIT    := $(shell $(GO) list ./... 2>/dev/null | grep -v -e /test/e2e -e /test/usb -e /test/soak)

.PHONY: all build test setup lint unit fuzz sim e2e soak usb bench microbench lab install clean

all: build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test: setup lint unit fuzz e2e
	@echo "make test: everything passed"

# Debian's packages that the tests need; needs root, says so otherwise.
setup:
	@test/setup

lint:
	@test/lint

unit:
	$(GO) run ./test/gate -race $(UNIT)
	$(GO) run ./test/gate -C plugins/example -race ./...

fuzz:
	@test/fuzz $(FUZZTIME)

# The simulation of many PACs and PNSes, longer than in `make test`.
sim:
	$(GO) test -count=1 -timeout 60m -v ./test/sim -run 'TestSim$$' -seeds $(SEEDS)

# Real peers against both daemons, built with the race detector.
e2e:
	$(GO) build -race -o bin/race/ ./cmd/...
	$(GO) run ./test/gate -count=1 -timeout 40m -parallel 2 ./test/e2e/...
	$(GO) run ./test/gate -count=1 -timeout 10m ./test/soak
	$(GO) run ./test/gate -count=1 -timeout 15m -run TestCallsByRealPorts ./test/usb

# Thousands of calls in a row while everything goes wrong, longer than in `make test` (docs/soak.md). PLAIN=1: without the race detector.
soak:
	$(GO) test -count=1 -timeout 0 -v ./test/soak -run '$(SCENARIO)' -duration $(DURATION) -seed $(SEED) $(if $(PLAIN),-plain)

# Modems that are plugged and unplugged during calls, in a machine that QEMU emulates, longer than in `make test`: some four minutes. Root.
usb:
	$(GO) run ./test/gate -count=1 -timeout 20m ./test/usb

# The table, the goals and the plots of docs/performance.md, into bin/bench. Root, and Debian's packages that the page names for a guest; under
# fifteen minutes on a machine that does nothing else.
bench:
	$(GO) run ./test/figures --save bin/bench

# The benchmarks of single packages.
microbench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# One call from dial tone to ping, then a lab for your own calls until Ctrl-C. ONCE=1: exit after that call.
lab: build
	@exec bin/pac lab --with-parent $(if $(ONCE),--once)

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)/etc/trunkline $(DESTDIR)/usr/lib/systemd/system $(DESTDIR)/usr/lib/udev/rules.d
	install -m 755 bin/pac bin/pns $(DESTDIR)$(PREFIX)/bin/
	install -m 644 etc/70-trunkline-modems.rules $(DESTDIR)/usr/lib/udev/rules.d/
	for f in pac.toml pns.toml; do \
		test -e $(DESTDIR)/etc/trunkline/$$f || install -m 640 etc/$$f $(DESTDIR)/etc/trunkline/$$f; done
	for f in pac.service pns.service; do \
		sed 's,/usr/local/bin/,$(PREFIX)/bin/,' etc/$$f > $(DESTDIR)/usr/lib/systemd/system/$$f; \
		chmod 644 $(DESTDIR)/usr/lib/systemd/system/$$f; done

clean:
	rm -rf bin
