# Everything a person or CI does here. Each verb sets up what it needs and may be repeated.
PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell command -v python$(v))) python3)
# PyTorch's own package index for the small CPU-only build; empty takes what the default index has.
TORCH_INDEX ?=
EXTRAS ?= demo,dev
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
export HF_HUB_DISABLE_TELEMETRY = 1
export TOKENIZERS_PARALLELISM = false
# A process for every core; whoever is done first takes over what another one has left.
WORKERS := --numprocesses auto --dist worksteal
# The slower tests of a file stay with one process: what several of them share (an export, a trained student) takes up to
# a minute, and is made once.
WORKERS_BY_FILE := --numprocesses auto --dist loadscope

# command:Debian package, of what emulates a phone, compiles for one, and opens apps and pages.
TOOLS := adb:adb qemu-aarch64:qemu-user mmdebstrap:mmdebstrap cmake:cmake g++:g++ aarch64-linux-gnu-g++:g++-aarch64-linux-gnu \
  javac:default-jdk-headless aapt2:aapt zipalign:zipalign apksigner:apksigner node:nodejs npm:npm chromium:chromium
# Packages without a command: JUnit, Android's own resources, and what TFLite Task Library loads.
TOOL_FILES := /usr/share/java/junit4.jar:junit4 /usr/share/android-framework-res/framework-res.apk:android-framework-res \
  /usr/lib/$(shell uname -m)-linux-gnu/libusb-1.0.so.0:libusb-1.0-0

.DEFAULT_GOAL := help
.PHONY: help setup tools demo test test-slow test-all test-long test-clients check format docs clean

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: $(STAMP)  ## create .venv and install edgedistill with everything the demo and the tests need

$(STAMP): pyproject.toml constraints.txt
	@echo "== setting up $(VENV) with $(PYTHON) (about two minutes, 3 GB) =="
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "edgedistill needs Python 3.11, 3.12 or 3.13. Run: make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

tools:  ## install the compilers, emulator, JDK, adb and browser that the phone and app tests use (Debian, as root)
	@missing=""; for t in $(TOOLS); do command -v $${t%%:*} >/dev/null || missing="$$missing $${t##*:}"; done; \
	  for f in $(TOOL_FILES); do test -e $${f%%:*} || missing="$$missing $${f##*:}"; done; \
	  if [ -z "$$missing" ]; then echo "== tools: all there =="; else echo "== tools: installing$$missing =="; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } || \
	  echo "These could not be installed:$$missing. The tests that need them are skipped and say so."; fi

demo: setup  ## the whole road on the embedded task: teacher, student, exports, gate, bench, report
	@echo "== the whole road on the embedded task (about seven minutes on two cores) =="
	@$(BIN)/edgedistill run demo --out runs/demo --overwrite

test: setup  ## the fast tests
	@echo "== fast tests =="
	@$(BIN)/python -m pytest $(WORKERS) -m "not slow and not long and not gpu and not network and not device"

test-slow: setup  ## the tests that take more than a few seconds each
	@echo "== slower tests =="
	@$(BIN)/python -m pytest $(WORKERS_BY_FILE) --durations 15 -m "slow and not long and not gpu and not network and not device"

test-all: test test-slow  ## every test that needs no phone, GPU or network: what CI runs

test-long: setup  ## the tests that take minutes; writes docs/results/test-long.txt
	@echo "== long tests =="
	@mkdir -p docs/results
	@$(BIN)/python -m pytest $(WORKERS_BY_FILE) -m "long" --no-header --timeout 3600 > docs/results/test-long.txt 2>&1; status=$$?; \
	  date -u +"run on %Y-%m-%d" >> docs/results/test-long.txt; tail -n 15 docs/results/test-long.txt; exit $$status

test-clients: setup  ## other people's runtimes and libraries on our folders; installs each under ~/.cache/edgedistill
	@echo "== clients =="
	@$(BIN)/python -m pytest -m "clients" --timeout 3600

check: setup  ## formatting, lint, types, generated docs
	@echo "== format, lint, types, generated docs =="
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python docs/generate.py --check

format: setup  ## rewrite the code in the house's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: setup  ## regenerate docs/schemas and docs/cli.md
	@$(BIN)/python docs/generate.py

clean:  ## remove the environment, caches and runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist runs
