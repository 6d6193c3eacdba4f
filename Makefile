# `make demo` trains SCFT on OpenMoji and shows the result; `make studio` serves a page on which trained systems are used
# by hand; `make test` runs the tests, `make test-slow` those that take minutes, `make mutants` plants faults that tests
# must notice. All make .venv first. Needs Python 3.11 or newer, git and make.
PYTHON ?= python3
.PHONY: demo studio test test-slow mutants clean

demo: .venv/installed
	.venv/bin/python train.py --config=configs/scft_demo.py --workdir=runs/demo
	.venv/bin/python eval.py --workdir=runs/demo --checkpoint=last

studio: .venv/installed-studio
	.venv/bin/python -m vision_gen.studio

test: .venv/installed-test
	.venv/bin/python -m pytest -n 2 --dist=loadfile

test-slow: .venv/installed-test
	.venv/bin/python -m pytest -m slow -n 2

mutants: .venv/installed-test
	.venv/bin/python -m tests.mutants --jobs=2

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vision_gen needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python setup.cfg
	.venv/bin/python -m pip install --quiet --editable .
	touch $@

.venv/installed-studio: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[studio]'
	touch $@

# torch is a reference for the parity tests; they skip, and say so, where this release is not to be had.
.venv/installed-test: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[test]'
	.venv/bin/python -m pip install --quiet --editable '.[parity]' || echo 'no torch: parity tests will be skipped'
	touch $@

clean:
	rm -rf .venv runs build *.egg-info
