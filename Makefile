# Everything a person does with a clone. `make demo` needs Python 3.11 or newer and a network the first time, no more.

.PHONY: demo test check chaos pictures lock clean base dev local
.NOTPARALLEL:
.DEFAULT_GOAL := demo

# Which Python makes .venv; the first that is new enough where it is empty.
PYTHON ?=

ours := limner blocks tasks flows deployments
run := .venv/bin/python -m
pip := $(run) pip install -qq --disable-pip-version-check

# Whether .venv holds what a lock names, and Limner itself, as they are now and at this place.
stamped = { pwd; cat $(1) pyproject.toml; } | cmp -s - .venv/installed-$(1) 2>/dev/null
install = $(pip) -r $(1) && $(pip) --no-deps --editable . && { pwd; cat $(1) pyproject.toml; } > .venv/installed-$(1)

# A torch that somebody chose themselves, for their GPU; it stays.
has_own_torch = { test ! -e .venv/installed-requirements-local-cpu.lock && $(run) pip show --quiet torch 2>/dev/null; }

demo: base
	@.venv/bin/limner demo

test: dev
	@$(MAKE) --no-print-directory local || \
		echo "No build of torch for any processor is to be had here: the tests of a local model are left out." >&2
	@$(run) pytest -n 2 --dist loadfile

check: dev
	@$(run) ruff check --quiet
	@$(run) ruff format --check --quiet || { echo "Run .venv/bin/ruff format." >&2; exit 1; }
	@$(run) mypy
	@.venv/bin/python -c 'from importlinter.cli import lint_imports_command as run; run()' --no-logo

# The long kill tests; minutes.
chaos: dev
	@$(run) pytest -m chaos

# The README's pictures, made anew by the demo's own flow.
pictures: base
	@.venv/bin/python docs/make_pictures.py

# The locks, for every platform at once. Pins stay as they are where pyproject.toml still allows them.
lock: .venv/bin/pip
	@$(pip) --target build/uv --upgrade uv
	@for name in "" cluster dev local; do \
		build/uv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --no-header --no-annotate \
			$${name:+--extra} $$name --output-file "requirements$${name:+-}$$name.lock" || exit 1; \
	done
	@grep -vxFf requirements.lock requirements-local.lock | grep -vE '^(nvidia-|cuda-|triton=)' | \
		sed "/^torch==/ { s/$$/ ; sys_platform != 'linux'/p; s/ ;.*/+cpu ; sys_platform == 'linux'/; }" \
		> requirements-local-cpu.lock

clean:
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find $(ours) tests benchmarks docs -name __pycache__ -prune -exec rm -rf {} +

# The dev lock holds everything of the base lock, in the same versions.
base: .venv/bin/pip
	@$(call stamped,requirements-dev.lock) || $(call stamped,requirements.lock) || { \
		echo "Installing Limner into .venv; the first time takes about a minute."; \
		$(call install,requirements.lock); }

dev: .venv/bin/pip
	@$(call stamped,requirements-dev.lock) || { \
		echo "Installing Limner and what checks it into .venv."; \
		$(call install,requirements-dev.lock); }

# What a local model needs on top, with the torch that has no GPU's libraries, which are gigabytes. No such build, no torch.
local: dev
	@$(call stamped,requirements-local-cpu.lock) || $(has_own_torch) || { \
		echo "Installing what runs a local model into .venv; half a minute more."; \
		$(call install,requirements-local-cpu.lock); }

# A Python that went away, or that was never whole, is made anew.
ifneq ($(shell .venv/bin/python -c 'print(1)' 2>/dev/null),1)
.PHONY: .venv/bin/pip
endif
.venv/bin/pip:
	@for one in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$one; break; fi; \
	done; \
	test -n "$$python" || { \
		echo "Limner needs Python 3.11 or newer; install it, or name it: make demo PYTHON=/path/to/python3" >&2; \
		exit 1; }; \
	"$$python" -m venv --clear .venv || { \
		rm -rf .venv; \
		echo "$$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
