# `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
  --custom-compile-command 'make lock' pyproject.toml --group build
# What the image carries beside the embedded defaults: 5 MB of wheels. HEIC would be 13 MB more.
EXTRAS := --extra redis --extra postgres

# Compiling every test anew would take longer than running the quick ones.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' Makefile)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What the service needs, from the lock file, every file checked against its hash.
$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## make .venv and install the service from the lock file

dev: $(VENV)/.installed-dev ## the same, with everything that tests and checks need

run: install ## start the service on port 8080 with the embedded defaults
	@$(BIN)/gf-images serve --hints

demo: $(if $(filter s3,$(STORE)),dev,install) ## one photo through the whole main job; PHOTO=path for yours, STORE=s3 for a real SeaweedFS
	@$(BIN)/python -m loadtest.demo $(if $(PHOTO),--photo "$(PHOTO)") $(if $(STORE),--store "$(STORE)")

test: dev ## every test that this machine can run; in CI with coverage
	$(BIN)/python -m pytest -n auto $(if $(CI),--cov --cov-report=)

# Slow tests alone use the plugins that are left out here.
quick-test: dev
	$(BIN)/python -m pytest -q -n auto -m "not slow" -p no:schemathesis -p no:locust -p no:faker

quick: ## format, lint, types, layers and the tests that are not slow, at once; under a minute
	@$(MAKE) --no-print-directory dev
	@$(MAKE) --no-print-directory --jobs --output-sync=target format lint types layers quick-test CI=true

check: format lint types layers test ## everything that must be green before a change lands
	$(if $(CI),$(BIN)/python -m coverage report --fail-under=90)

bench-pipeline: dev ## the pipeline beside sharp, Pillow and Jimp, into docs/benchmarks.md; a quarter of an hour
	$(BIN)/python -m tests.benchmarks.pipeline $(OPTIONS)

bench-memory: dev ## predicted against measured peak memory, for every photograph
	$(BIN)/python -m tests.benchmarks.memory

bench-jobs: dev ## how long a sender of jobs waits while photographs are rendered, beside a bare route; half a minute
	$(BIN)/python -m tests.benchmarks.jobs $(OPTIONS)

bench-budget: dev ## a crowd of large photographs beside page views, in a memory control group of 256 MB; it takes root
	$(BIN)/python -m tests.benchmarks.budget $(OPTIONS)

bench-redirect: dev ## known page views a second on one core, beside a bare ASGI application; needs wrk (apt-get install wrk)
	$(BIN)/python -m tests.benchmarks.redirect $(OPTIONS)

bench-reprocess: dev ## 20,000 originals reprocessed within 512 MB, killed on the way, into docs/benchmarks-reprocess.md; hours
	$(BIN)/python -m tests.benchmarks.reprocess $(OPTIONS)

loadtest: dev ## locust's load on a service in 256 MB, or on URL=...; OPTIONS='webhook_burst --megapixels 24 --jobs 1000'
	@$(BIN)/python -m loadtest $(if $(URL),--url "$(URL)") $(OPTIONS)

rehearse-cutover: dev ## old backend, shadow, comparison, promotion and its undoing on 200 photographs; report in var/rehearsal
	$(BIN)/python -m tests.main_site.rehearsal $(OPTIONS)

image: ## build the image with docker, podman or buildah into build/image; BUILD='--build-arg HEIC=1' for more
	.ci/image/build gallformers-images build/image $(BUILD)

image-test: dev ## the main job inside the image that was built; how large it is, how fast it starts, what it holds; it takes root
	$(BIN)/python -m loadtest.image build/image

format: dev
	$(BIN)/ruff format $(if $(CI),--check) .

lint: dev
	$(BIN)/ruff check .

types: dev
	$(BIN)/mypy

layers: dev
	$(BIN)/lint-imports

lock: dev ## resolve the dependencies anew and write the lock files
	$(UV) --upgrade $(EXTRAS) -o requirements.txt
	$(UV) --upgrade $(EXTRAS) --extra heic -c requirements.txt -o requirements-heic.txt
	$(UV) --upgrade --all-extras --group dev -c requirements.txt -o requirements-dev.txt

licences: dev ## NOTICE names all that is installed, with its licence
	$(BIN)/python -m pytest -q tests/test_licences.py

audit: dev ## ask which advisories are known for what is locked; it takes the network
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements.txt
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements-dev.txt

# Of an environment that holds what runs and nothing else, so that it says of each part whose it is.
sbom: dev ## what the service is made of, in CycloneDX, into build/sbom.cdx.json
	rm -rf build/sbom && $(PYTHON) -m venv --without-pip build/sbom
	$(BIN)/python -m pip --python build/sbom install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
	  --output-file build/sbom.cdx.json build/sbom

fresh: ## demo, run and test on a new Debian that has python3, python3-venv and make; it takes root
	tests/fresh/run demo run test

clean: ## remove what the targets above made
	rm -rf $(VENV) build var .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
