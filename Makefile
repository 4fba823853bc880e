# make book   build the book            make test   test the project
#
# Both set up everything they need on a machine with git, make and Python 3.11 or newer: a virtual
# environment in .venv and the locked packages in it. DATASET=/path uses another dataset,
# MODEL=/path another prediction model, SET="name=value ..." other choices of the analysis;
# PROFILE=full makes the synthetic images at the scanner's resolution.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
BOOK   := $(VENV)/.book
READY  := $(VENV)/.installed
UV     := 0.13.9
REST   := r or book or images or browser or slow
FAST   := not ($(REST))
PYTEST := $(RUN) -m pytest -q -n 2 --durations=10

.PHONY: book open lab surrogate solution test test-rest test-slow test-book test-images test-r test-browser lint ci benchmark pdf screenshots accept-screenshots lock hooks clean help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

define install
	@$(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV) 2>/dev/null && \
	  VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(VENV)/bin/uv pip sync --quiet --require-hashes --compile-bytecode $(1) || \
	  $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(RUN) -m compileall -q -j 0 src workflow $(VENV)/lib >/dev/null || true
	@touch $@
endef

$(BOOK): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python"; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || \
	  { echo "no virtual environment could be made (on Debian: apt-get install python3-venv)"; exit 1; }
	@echo "installing the locked packages"
	@sed '/^# Development tools/,$$d' requirements.lock > $(VENV)/book.lock
	$(call install,$(VENV)/book.lock)

$(READY): $(BOOK)
	@echo "installing the development tools"
	$(call install,requirements.lock)

book: $(BOOK)  ## build the book: build/html/index.html, build/values.json
	@$(RUN) workflow/build.py $(if $(DATASET),--dataset "$(DATASET)") \
	  $(if $(MODEL),--model "$(MODEL)") $(if $(PROFILE),--profile "$(PROFILE)") $(foreach pair,$(SET),--set "$(pair)")

open: $(BOOK)  ## open the built book in the default browser
	@$(RUN) workflow/open_book.py

lab: $(READY)  ## open the notebooks in JupyterLab; LAB="..." gives it arguments, such as --no-browser
	@$(RUN) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks $(LAB)

surrogate: $(BOOK)  ## make another synthetic cohort: make surrogate SEED=11
	@$(if $(SEED),,$(error name a seed: make surrogate SEED=11))
	$(RUN) -m cpmsurrogate --seed $(SEED) --recipe data/surrogate_recipe.json \
	  --out build/surrogate-$(SEED) --report build/surrogate-$(SEED)-report

solution: $(READY)  ## after make book: solve the images of the default cohort from the beginning
	$(RUN) workflow/solve_images.py

test: $(READY)  ## the fast tests
	$(PYTEST) -m "$(FAST)"

test-rest: $(READY)  ## all other tests, which need the built default book, Chromium and R
	$(PYTEST) -m "$(REST)"

test-slow: $(READY)  ## of these, the slow ones: they need neither R nor a browser nor a built book
	$(PYTEST) -m slow

test-book: $(READY)  ## of these, those that build books from several datasets and check them
	$(PYTEST) -m book

test-images: $(READY)  ## of these, those of the book that `make book` built from images
	$(PYTEST) -m images

test-browser: $(READY)  ## of these, those that open the built pages in headless Chromium
	$(PYTEST) -m browser

test-r: $(READY)  ## of these, those that run the R scripts behind tests/reference again
	$(PYTEST) -m r

lint: $(READY)  ## formatting, lint and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

ci:  ## what continuous tests run, in a clean clone of the last commit; the ten slowest tests
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && trap 'exit 130' INT TERM && \
	  git clone -q . "$$folder/project" && cd "$$folder/project" && env -u MAKEFLAGS -u MAKELEVEL .ci/run

benchmark: $(READY)  ## after make book: measure again what it says of speed (half an hour)
	OMP_NUM_THREADS=1 $(RUN) benchmarks/bench_statistics.py
	$(RUN) benchmarks/bench_book.py
	OMP_NUM_THREADS=1 $(RUN) benchmarks/bench_roi.py
	OMP_NUM_THREADS=1 $(RUN) benchmarks/bench_perfusion.py
	$(RUN) benchmarks/bench_cpm.py
	$(RUN) benchmarks/bench_pages.py
	$(RUN) benchmarks/bench_surrogate.py --out benchmarks/results/surrogate.json --keep data/cohorts.json

pdf: $(READY)  ## after make book: the whole book as build/book.pdf
	$(RUN) tools/book_pdf.py

screenshots: $(READY)  ## pictures of every page in build/screenshots
	$(RUN) tools/screenshots.py build/screenshots

accept-screenshots: $(READY)  ## take the pages' looks as they are; PAGES="notebooks/NAME.html ..." those alone
	$(RUN) tools/page_pictures.py $(PAGES)

lock: $(READY)  ## resolve the dependencies anew: requirements.lock, environment.yml
	$(RUN) tools/lock.py

hooks: $(READY)  ## check every commit
	$(VENV)/bin/pre-commit install

clean:  ## delete everything generated
	rm -rf build .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis
