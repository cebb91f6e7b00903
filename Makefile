PYTHON ?= python3
VENV ?= .venv
DB ?=
PORT ?=
RESET ?=
T ?=

python = $(VENV)/bin/python
pip_options = --disable-pip-version-check --retries 2 --timeout 30

.PHONY: help demo test bench docs lint translations clean

help:
	@echo "make demo [DB=postgresql]  serve a company to try the modules with,"
	@echo "  [PORT=8001] [RESET=yes]  on another port, with its data anew"
	@echo "make test [T=expression]   run the tests, or those that match"
	@echo "make bench                 compare the speed with stock Tryton"
	@echo "make docs                  build the documentation"
	@echo "make lint                  check the style of the code"
	@echo "make translations          bring the translation files up to date"
	@echo "make clean                 remove what was generated"

demo: $(VENV)/.installed-demo
	@$(python) -m demo $(if $(DB),--database $(DB)) \
		$(if $(PORT),--port $(PORT)) $(if $(RESET),--reset)

test: $(VENV)/.installed-all
	@$(python) -m tests $(if $(T),-k "$(T)")

bench: $(VENV)/.installed-all
	@$(python) -m benchmarks

docs: $(VENV)/.installed-all
	@$(python) -m tools.requirements
	@$(python) -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "==> docs/_build/html/index.html"

lint: $(VENV)/.installed-all
	@$(python) -m ruff check
	@$(python) -m isort --check --diff --quiet .

translations: $(VENV)/.installed-all
	@$(python) -m tools.translations

clean:
	rm -rf build dist docs/_build *.egg-info
	rm -f $(VENV)/.installed-*

# Set up what the targets need, again when the requirements change

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "Python 3.10 or later is needed and '$(PYTHON)' is not:" \
			"try make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "The Python module 'venv' is missing:" \
			"on Debian and Ubuntu install python3-venv" >&2; \
		exit 1; }
	@echo "==> Create $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Cannot create $(VENV)" >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.installed-%: setup.cfg constraints.txt | $(VENV)/bin/python
	@echo "==> Install the packages into $(VENV)," \
		"this takes some minutes the first time"
	@$(python) -m pip install $(pip_options) \
		--constraint constraints.txt --editable '.[$*]' || { \
		echo "Cannot install the packages:" \
			"see above and check that there is a network" >&2; \
		exit 1; }
	@touch $@
