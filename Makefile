# What people run. Every target does the set-up that it needs; `make` alone lists them.
SHELL := /bin/bash
setup := tests/lab/setup
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/keylime-attestor

# A checkout in CI is always new: cargo's folder is kept with the cache, so that not everything is
# built again. What is built step by step is found again in the same checkout only.
ifeq ($(CI),true)
export CARGO_TARGET_DIR ?= $(cache)/target
export CARGO_INCREMENTAL ?= 0
endif
target := $(or $(CARGO_TARGET_DIR),target)

# Sources come through the tools that are set up on a machine, wherever they get them from: no file
# names the hosts.
hosts := '(deb|ftp|security|snapshot)[.]debian[.]org|(proxy|sum)[.]golang[.]org|(pypi|pythonhosted)[.]org|registry[.]npmjs|(static|index)[.]crates[.]io'

benches := --bench parse --bench quote --bench attestation --bench scale

# Where a release will be pulled from: one on this machine, where nothing else is given.
REGISTRY ?= localhost:5000
export REGISTRY SIGN

.PHONY: help setup image demo demo-local test test-fast lint bench reproduce release publish release-test fresh clean build packages

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## install what the lab needs: Debian packages, SPIRE, Keylime, Kubernetes (cached)
	@$(setup)/all.sh $(target)/lab lab

image: packages ## make the image, target/image/keylime-attestor.oci.tar
	operator/image/image.sh

demo: ## see it on a real Kubernetes: one resource, all nodes are attested, and one that fails loses its identity
	@$(setup)/all.sh $(target)/lab demo
	@$(target)/debug/demo

demo-local: setup build ## see one node attested by a SPIRE and a Keylime that are processes; PUSH=1: in push mode
	@$(target)/debug/demo-local $(if $(PUSH),--push)

test: ## run all tests
	@$(setup)/all.sh $(target)/lab test
	tests/run.sh

test-fast: build ## run the tests that need nothing but cargo and git: no Go, no set-up, no root
	RUST_TEST_THREADS=$$(($$(nproc) * 4)) cargo test --workspace -- --skip reference:: # they wait, most of the time

lint: packages ## check formatting, clippy, licences, advisories, workflows, shell and Go code
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --workspace --test real --test apiserver --test cluster -- -D warnings # not among all targets
	$$($(setup)/cargo-tool.sh cargo-deny) --log-level error check licenses bans sources
	$(setup)/advisories.sh
	git ls-files '*.sh' .ci/run | xargs shellcheck --external-sources --source-path SCRIPTDIR --enable check-extra-masked-returns,check-set-e-suppressed
	! git grep --line-number --extended-regexp $(hosts)
	$$($(setup)/tool.sh actionlint)/actionlint -color .github/workflows/*.yaml
	gofmt -l tests | (! grep .)
	cd tests/lab/hclref && go vet . # the other Go programs are what is around Kubernetes, which vet would compile

bench: setup ## measure the plugins and the operator
	ln -sfn "$$($(setup)/tool.sh kwok)" $(target)/lab/kwok
	cargo build --release --workspace --bins $(benches)
	cargo bench --workspace $(benches)

reproduce: image ## make the image once more elsewhere, and compare
	cargo test --workspace --test real image -- --ignored

release: packages ## make the files of a release: VERSION=1.2.3 REGISTRY=registry.example.org/keylime, localhost:5000 if not given
	PATH="$$(dirname "$$($(setup)/cargo-tool.sh cargo-cyclonedx)"):$$PATH" operator/release/release.sh $(VERSION) $(PROGRAMS)

publish: packages ## push that release, signed as SIGN says: the file of a key of cosign, keyless, or no
	PATH="$$($(setup)/tool.sh crane):$$($(setup)/tool.sh cosign):$$PATH" HELM="$$(command -v helm || echo "$$($(setup)/cluster-tools.sh)/helm4")" \
	  operator/release/publish.sh $(VERSION)

release-test: setup ## release the image to a registry here, sign it, and verify it
	ln -sfn "$$($(setup)/tool.sh cosign)" $(target)/lab/cosign
	cargo test --workspace --test apiserver released:: -- --include-ignored
	cargo test --workspace --test cluster released:: -- --include-ignored

fresh: ## run targets (RUN="setup build image" if not given) on a fresh Debian 12 in a folder; names packages that miss
	$(setup)/fresh.sh $(target)/fresh $(or $(RUN),setup build image)

clean: ## remove all that was built or fetched, the cache too
	rm -rf $(target) $(cache)

build:
	cargo build --workspace --bins

packages:
	@$(setup)/packages.sh
