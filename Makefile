# Two commands matter: `make run` and `make test`. A fresh machine needs a Rust toolchain, a C compiler, make and
# Python 3; `make test` fetches the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

# Where cargo puts what it builds; the end-to-end tests and `make run` take the programs from there.
TARGET := $(or $(CARGO_TARGET_DIR),target)
PYTEST := .venv/bin/python -m pytest

.PHONY: help run release test setup fmt lint build rust instructions clients bench

help: ## Says what there is to type.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: ## Gateway and mock model endpoints on loopback, until Ctrl-C.
	@deploy/dev/run.sh

release: ## The gateway as it is meant to be run, into target/release: two builds and a training between them.
	@deploy/release/build.sh

test: setup fmt lint build rust instructions clients ## Everything that must be green before a change lands.

setup: ## Fetches what the tests need; does nothing when it is there.
	@tests/clients/setup.sh

fmt: ## Is everything formatted?
	cargo fmt --all --check

lint: ## Clippy, warnings as errors.
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p gateway-tests --test instructions --locked -- -D warnings

build: ## The programs the end-to-end tests drive.
	cargo build --locked -p pangu-gateway -p pangu-loadtest

# cargo-nextest is faster and tells which test hangs; plain cargo runs the same tests.
rust: build ## Unit, property, golden and end-to-end tests in Rust.
	@if cargo nextest --version >/dev/null 2>&1; \
	then set -x; cargo nextest run --workspace --locked --no-fail-fast; \
	else set -x; cargo test --workspace --locked --lib --bins --tests --no-fail-fast; fi

# Instructions, not time: the same on a busy machine. UPDATE_GOLDEN=1 writes the new counts down.
instructions: setup build ## What a request costs, in instructions under callgrind, against what it did.
	cargo build --profile instructions --locked -p pangu-gateway
	PANGU_INSTRUCTIONS_OF=$(abspath $(TARGET))/instructions/pangu-gateway \
	    cargo test --locked -p gateway-tests --test instructions -- --nocapture

clients: setup build ## End-to-end tests with the real SDKs.
	PANGU_BIN_DIR=$(abspath $(TARGET))/debug $(PYTEST) -q tests/clients

bench: release ## The gateway against nginx, haproxy, envoy and pingora, its footprint, and the load generator against wrk and h2load, written into the documents; benches of the walk's steps.
	@loadtest/peers/setup.sh
	$(TARGET)/release/pangu-loadtest compare --write
	$(TARGET)/release/pangu-loadtest footprint --write
	$(TARGET)/release/pangu-loadtest agree --write
	cargo bench --locked -p pangu-gateway --bench route_find --bench framing --bench auth_verify
	cargo bench --locked -p pangu-gateway --bench limit_admit -- --write
