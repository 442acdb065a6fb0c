# `make up` starts everything, `make test` checks everything. Each sets itself up: in .venv, from the hashed lock files.
# GNU make 3.81 is enough, since macOS has no newer one.

.DEFAULT_GOAL := help
.PHONY: help up test chaos lint types format bench oldest programs bench-programs lock clean

# Where a Python of 3.11 or newer is looked for, in this order; `make up PYTHON=/path/to/python3` names one.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
WORKERS ?= 2

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-input

# A killed make cannot pass its end on; where the kernel can do that for it, the server ends with it.
WITH_MAKE := $(shell setpriv --pdeathsig TERM true 2>/dev/null && echo setpriv --pdeathsig TERM)

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' Makefile

up: .venv/runtime  ## Start Postgres, the server and the page at http://127.0.0.1:8642 (STABILITY_* and DATABASE_URL apply)
	@exec $(WITH_MAKE) $(BIN)/stability up

test: .venv/dev programs lint  ## Run every check: formatter, linters, types, and the Python, SQL, JavaScript and browser tests
	$(BIN)/pytest -n $(WORKERS)

chaos: .venv/dev programs  ## Run what takes long: every fault, every interleaving of more writers and servers, a thousand histories
	$(BIN)/pytest -s -m '' tests/chaos
	$(BIN)/pytest -s -m chaos --ignore=tests/chaos

lint: .venv/dev types  ## Check style and types only
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: .venv/dev
	$(BIN)/mypy

format: .venv/dev  ## Put the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: .venv/dev bench-programs  ## Measure everything beside its peers, PARTS="fanout writers" for some, and print the figures
	$(BIN)/python -m bench $(PARTS)

oldest: .venv/dev  ## Check the oldest uvicorn that pyproject.toml allows, beside the newest in `make test`
	rm -rf build/oldest && $(PIP) install --no-deps --target build/oldest "uvicorn==$$(sed -n 's/.*"uvicorn>=\([0-9.]*\),.*/\1/p' pyproject.toml)"
	PYTHONPATH=build/oldest $(BIN)/pytest -q tests/test_uvicorn.py

# What no wheel brings, by package. Without root or apt, the tests that miss a program are skipped and say so; in CI they
# fail, and the bench leaves out the peer.
programs:
	@$(call provide,chromium curl faketime firefox-esr pgbouncer podman runc)
	@{ command -v WebKitWebDriver && command -v Xvfb; } >/dev/null || $(call apt,webkit2gtk-driver xvfb)
	@[ -e /usr/lib/podman/netavark ] || command -v netavark >/dev/null || $(call apt,netavark)
	@command -v busybox >/dev/null || $(call apt,busybox-static)
	@command -v ip >/dev/null || $(call apt,iproute2)
	@[ -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] || $(call apt,fonts-noto-color-emoji)
	@command -v consul >/dev/null || [ -x .programs/usr/bin/consul ] || { $(fetch_consul); } || \
		{ rm -rf .programs; echo "Consul could not be fetched."; }

bench-programs:
	@command -v cc >/dev/null || $(call apt,gcc libc6-dev)
	@$(call provide,nginx)
	@[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || $(call apt,libnginx-mod-nchan)

# RUNLEVEL keeps apt from starting what it installs.
apt = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing $(1)" && \
	apt-get -qq update && \
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $(1) >/dev/null || \
	echo "They could not be installed: see above."; \
	fi

# Debian's last Consul is that of Debian 11. It is fetched from where this machine gets its packages, and not installed.
define fetch_consul
command -v dpkg >/dev/null && echo "Fetching Consul into .programs" && \
[ "$$(id -u)" != 0 ] || [ "$$(ls /var/lib/apt/lists/*_Packages* 2>/dev/null)" ] || apt-get -qq update && \
mirror=$$(apt-get indextargets --format '$$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1) && [ "$$mirror" ] && \
mkdir -p .programs/lists/partial .programs/cache/archives/partial && chmod 755 .programs && cd .programs && \
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $$mirror bullseye main" >sources.list && \
set -- -qq -o Dir::Etc::sourcelist=$$PWD/sources.list -o Dir::Etc::sourceparts=/dev/null \
	-o Dir::State::lists=$$PWD/lists -o Dir::Cache=$$PWD/cache -o APT::Sandbox::User=root && \
apt-get "$$@" update && apt-get "$$@" download consul && dpkg -x consul_*.deb . && rm -rf lists cache consul_*.deb sources.list
endef

define provide
for program in $(1); do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
if [ "$$missing" ]; then $(call apt,$$missing); fi
endef

lock: .venv/dev  ## Write both lock files anew, with the newest of everything that pyproject.toml allows
	rm -rf build/lock && $(BIN)/python -m venv build/lock
	build/lock/bin/python -m pip --quiet install uv
	build/lock/bin/uv lock --quiet --upgrade
	$(EXPORT) --no-default-groups --group build -o requirements.lock
	$(EXPORT) --all-groups -o requirements-dev.lock

EXPORT := build/lock/bin/uv export --quiet --frozen --no-emit-project --no-annotate --no-header --format requirements.txt

clean:  ## Remove what make made; the database in .stability stays
	rm -rf .venv .programs .mypy_cache .pytest_cache .ruff_cache .hypothesis artifacts build dist tests/web/node_modules

.venv/runtime: requirements.lock pyproject.toml $(BIN)/python
	$(call install,$<)
	@touch $@

.venv/dev: requirements-dev.lock pyproject.toml $(BIN)/python
	$(call install,$<)
	@touch $@ .venv/runtime

# It is a link, and gone as soon as the Python that it leads to is: then everything is installed anew.
$(BIN)/python: ;

# An installation that was cut off is begun anew, since pip takes half a package for a whole one.
define install
	@if [ -e .venv/unfinished ] || ! $(BIN)/python -c '' 2>/dev/null; then rm -rf .venv; fi
	@mkdir -p .venv && touch .venv/unfinished
	@[ -e $(BIN)/pip ] || { $(make_venv); }
	@echo "Installing $(1) into .venv"
	@$(PIP) install --require-hashes --only-binary :all: -r $(1)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@rm .venv/unfinished
endef

define make_venv
	for python in $(PYTHON); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		$$python -c 'import ensurepip, venv' 2>/dev/null && exec $$python -m venv .venv; \
		found=$$python; \
	done; \
	if [ "$$found" ]; \
	then echo "$$found cannot make virtual environments: install its venv module (apt-get install $${found##*/}-venv)."; \
	else echo "Python 3.11 or newer is needed and none of these is one: $(PYTHON) (install it, or name it: make up PYTHON=/path/to/python3)."; \
	fi >&2; exit 1
endef
