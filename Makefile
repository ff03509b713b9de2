# `make` without a target lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
  --custom-compile-command 'make lock' pyproject.toml --group build
# The extras of the image, 5 MB of wheels.
EXTRAS := --extra redis --extra postgres

# Compiling every test anew would take longer than running the quick ones.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' Makefile)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Dependencies of the service, from the lock file, with verified hashes; and a compiler, unless the machine has one.
$(VENV)/.installed: requirements.txt requirements-compiler.txt pyproject.toml setup.py $(wildcard pipeline/kernel/*.[ch]) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	command -v $(firstword $(CC)) >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-compiler.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## create .venv and install the service from the lock file

dev: $(VENV)/.installed-dev ## install the service, and the dependencies of tests and checks

run: install ## start the service on port 8080 with the defaults
	@UI=$${UI-true} $(BIN)/gf-images serve --hints

demo: $(if $(filter s3,$(STORE)),dev,install) ## render one photo by job and by page view; PHOTO=path for your own, STORE=s3 for a real SeaweedFS
	@$(BIN)/python -m loadtest.demo $(if $(PHOTO),--photo "$(PHOTO)") $(if $(filter command,$(origin STORE)),--store "$(STORE)")

test: dev ## run every test that this machine can run, in CI with coverage; THOROUGH=true kills, floods and repeats more often
	$(BIN)/python -m pytest -n auto --junit-xml=build/tests.xml $(if $(CI),--cov --cov-report=)

# Slow tests alone use the plugins that are left out here.
quick-test: dev
	$(BIN)/python -m pytest -q -n auto -m "not slow" -p no:schemathesis -p no:locust -p no:faker

quick: ## run format, lint, types, layers and the tests that are not slow, in parallel; under a minute
	@$(MAKE) --no-print-directory dev
	@$(MAKE) --no-print-directory --jobs --output-sync=target format lint types layers quick-test CHECK=true

check: format lint types layers test ## run everything that must pass before a merge
	$(if $(CI),$(BIN)/python -m coverage report --fail-under=90)

bench-pipeline: dev ## compare the pipeline with sharp, Pillow and Jimp, into docs/benchmarks.md; a quarter of an hour
	$(BIN)/python -m tests.benchmarks.pipeline $(OPTIONS)

bench-before: dev ## compare CPU, scores and bytes with another checkout's; OPTIONS='--base ../other'
	$(BIN)/python -m tests.benchmarks.pipeline.before $(OPTIONS)

bench-chromium: dev ## compare derivatives with Chromium, into docs/benchmarks-chromium.md; requires chromium and libheif-examples (apt-get install)
	$(BIN)/python -m tests.benchmarks.chromium $(OPTIONS)

bench-page: dev ## measure a page of 40 photographs in Chromium on 3G, into docs/benchmarks-page.md; requires chromium (apt-get install)
	$(BIN)/python -m tests.benchmarks.page $(OPTIONS)

bench-first-view: dev ## measure the first view of 40 photographs in 256 MB; requires root and chromium; OPTIONS='--base ../other'
	$(BIN)/python -m tests.benchmarks.page.first_view $(OPTIONS)

poster: dev ## draw docs/four-sizes.png, the picture of the README; requires chromium (apt-get install chromium)
	$(BIN)/python -m tests.benchmarks.poster $(OPTIONS)

fuzz: dev ## render 20,000 mutated files with every recipe; OPTIONS="--seed 2"
	$(BIN)/python -m tests.pipeline.fuzz $(OPTIONS)

bench-memory: dev ## compare predicted with measured peak memory, for every photograph
	$(BIN)/python -m tests.benchmarks.memory

bench-jobs: dev ## measure the latency of posting jobs during renders, against a bare route; half a minute
	$(BIN)/python -m tests.benchmarks.jobs $(OPTIONS)

bench-budget: dev ## render many large photographs beside page views in a control group of 256 MB; requires root
	$(BIN)/python -m tests.benchmarks.budget $(OPTIONS)

bench-sandbox: dev ## measure what the sandbox and the fork server cost, and look for leaks in 10,000 renders; ten minutes
	$(BIN)/python -m tests.benchmarks.sandbox $(OPTIONS)

bench-attacks: dev ## attack the socket of a service in 256 MB, and measure what others notice; requires root
	$(BIN)/python -m tests.benchmarks.attacks $(OPTIONS)

bench-redirect: dev ## measure known page views a second on one core, against a bare ASGI application; requires wrk (apt-get install wrk)
	$(BIN)/python -m tests.benchmarks.redirect $(OPTIONS)

bench-stream: dev ## measure the CPU time of a streamed derivative, against another checkout; requires wrk; OPTIONS='--base ../other'
	$(BIN)/python -m tests.benchmarks.stream $(OPTIONS)

bench-peers: dev ## compare with sharp, ipx, thumbor, nginx and PEERS='imgproxy=http://...', into docs/benchmarks-peers.md; half an hour
	$(BIN)/python -m tests.benchmarks.peers $(OPTIONS)

bench-reprocess: dev ## reprocess 20,000 originals in 512 MB with kills, into docs/benchmarks-reprocess.md; hours
	$(BIN)/python -m tests.benchmarks.reprocess $(OPTIONS)

loadtest: dev ## run a load test with locust on a service in 256 MB, or on URL=...; OPTIONS='webhook_burst --megapixels 24 --jobs 1000'
	@$(BIN)/python -m loadtest $(if $(URL),--url "$(URL)") $(OPTIONS)

rehearse-cutover: dev ## rehearse the cut-over with two old backends and 200 photographs; report in var/rehearsal
	$(BIN)/python -m tests.main_site.rehearsal $(OPTIONS)

wheels: dev ## build wheels for x86-64 and arm64 into build/wheels, the same bytes each time
	rm -rf build/lib.* build/bdist.* build/wheels
	$(foreach cpu,x86_64 aarch64,KERNEL_TARGET=$(cpu)-linux-gnu SOURCE_DATE_EPOCH=1780000000 \
	  $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w build/wheels . &&) true

dist: dev ## build the sdist and the wheel into build/dist, and check what a package index would show of them
	rm -rf build/lib.* build/bdist.* build/dist
	for kind in sdist wheel; do $(BIN)/python -c "from setuptools.build_meta import build_$$kind; build_$$kind('build/dist')" >/dev/null || exit 1; done
	$(BIN)/twine check --strict build/dist/*

image: ## build the image with docker, podman or buildah into build/image
	.ci/image/build gallformers-images build/image $(BUILD)

image-test: dev ## run a job inside the built image, and check its size, start time and memory; requires root; OPTIONS="--photo phone.heic"
	$(BIN)/python -m loadtest.image build/image $(OPTIONS)

format: dev
	$(BIN)/ruff format $(if $(or $(CI),$(CHECK)),--check) .

lint: dev
	$(BIN)/ruff check .

types: dev
	$(BIN)/mypy

layers: dev
	$(BIN)/lint-imports

house: dev ## report folder sizes, names, lengths and unused code; fails if a rule is broken
	$(BIN)/python -m tests.house --check $(OPTIONS)

lock: dev ## update the lock files to the newest dependencies
	$(UV) --upgrade $(EXTRAS) -o requirements.txt
	$(UV) --upgrade --all-extras --group dev -c requirements.txt -o requirements-dev.txt
	$(filter-out --group build,$(UV)) --group compiler -c requirements-dev.txt -o requirements-compiler.txt

docs: dev ## build the documentation site into build/docs; fails if a link or an anchor is broken
	$(BIN)/python -m tests.documents.site

reference: dev ## write what docs/reference has from the code: settings, routes, problems, commands, metrics, events, alerts
	$(BIN)/python -m tests.documents.reference

licences: dev ## check that NOTICE lists every installed package with its licence
	$(BIN)/python -m pytest -q tests/test_licences.py

audit: dev ## check the locked dependencies for known advisories; requires the network
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements.txt
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements-dev.txt

# From an environment with only the run-time dependencies, so that every component is listed with its supplier.
sbom: dev ## write a CycloneDX bill of materials to build/sbom.cdx.json
	rm -rf build/sbom && $(PYTHON) -m venv --without-pip build/sbom
	$(BIN)/python -m pip --python build/sbom install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
	  --output-file build/sbom.cdx.json build/sbom

fresh: ## run demo, run and test on a new Debian with python3, python3-venv and make; requires root
	tests/fresh/run demo run test

clean: ## remove everything that the targets above create
	rm -rf $(VENV) build var .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
