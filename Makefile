# Everything that a developer types. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# One at a time, also where `make -j` makes several targets.
PIP = $(if $(shell command -v flock),flock $(VENV)/pyvenv.cfg) $(BIN)/python -m pip install --quiet

# Kernels for one architecture are in a folder of its own.
KERNELS_x86_64 = csrc/core/kernels/x86
CORE = $(wildcard $(addsuffix /*.c,csrc/core csrc/core/kernels $(KERNELS_$(shell uname -m))))
CORE_HEADERS = $(wildcard csrc/core/*.h csrc/core/kernels/*.h)
CORE_TESTS = $(wildcard tests/core/*.c)
FUZZERS = $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
NOTEBOOKS = $(patsubst notebooks/%.ipynb,notebook-%,$(wildcard notebooks/*.ipynb))
FUZZ_SECONDS ?= 30
FUZZ_EXAMPLES ?= 300
C_FILES = $(wildcard $(addsuffix /*.[ch],csrc/* csrc/core/kernels csrc/core/kernels/* tests/core tests/fuzz))
# As in setup.py; the standard alone would turn off what fuses products with sums.
LANGUAGE = -std=c11 -ffp-contract=fast
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion
WRAPPED = malloc calloc realloc strdup mmap pthread_mutex_init
WRAP = $(foreach name,$(WRAPPED),-Wl,--wrap=$(name))

.DEFAULT_GOAL := help
.PHONY: help build demo test test-core test-threads test-train sanitize fuzz notebooks docs wheel \
	bench bench-peers check-torchvision format lint types layers check clean \
	fuzz-readers $(addprefix fuzz-,$(FUZZERS)) $(NOTEBOOKS)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The package is built again when something that it is built from has changed.
$(VENV)/built: $(BIN)/python pyproject.toml setup.py $(wildcard csrc/*/*.[ch] csrc/core/kernels/*.[ch] csrc/core/kernels/*/*.c)
	$(PIP) --upgrade "pip>=25.1"
	$(PIP) --editable .
	@touch $@

$(VENV)/tested: $(VENV)/built
	$(PIP) --group test
	@touch $@

$(VENV)/checked: $(VENV)/built
	$(PIP) --group test --group check
	@touch $@

$(VENV)/documented: $(VENV)/tested
	$(PIP) --group docs
	@touch $@

$(VENV)/trained: $(VENV)/tested
	$(PIP) --editable ".[train,evaluate,onnx]" onnxruntime \
	  torch==2.13.0
	@touch $@

build: $(VENV)/built ## make the environment and build the package in it

demo: build ## predict on the bundled image with the embedded model
	$(BIN)/busnet predict tests/data/phantom.png --out demo --overlay
	@cat demo/predictions.csv
	@echo "outlined lesion: demo/overlays/phantom_overlay.png"

# One process a core; a process without work takes over tests of another. WORKERS=0: none.
WORKERS ?= $(shell nproc)
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test: $(VENV)/tested ## run the tests that need no PyTorch
	$(PYTEST) --ignore=tests/training

test-train: $(VENV)/trained ## run the tests that need PyTorch
	$(PYTEST) tests/training tests/export/test_onnx.py

# oneDNN for the C tests lies in the environment, headers and library.
$(VENV)/onednn: $(BIN)/python
	$(PIP) onednn-devel-cpu-gomp==2023.2.0
	@touch $@

ONEDNN = -I$(VENV)/include -I$(VENV)/include/oneapi/dnnl $(VENV)/lib/libdnnl.so.3 \
	-Wl,-rpath,$(abspath $(VENV)/lib)
COMPILE_TESTS = $(CC) $(LANGUAGE) $(WARNINGS) -Werror -g -O1 -fopenmp -fno-omit-frame-pointer \
	-fno-sanitize-recover=undefined -Icsrc/core $(CORE) $(CORE_TESTS) $(WRAP) $(ONEDNN) -lm
CORE_SOURCES = $(CORE) $(CORE_TESTS) $(CORE_HEADERS) $(wildcard tests/core/*.h)

build/test-core: $(VENV)/onednn $(CORE_SOURCES)
	@mkdir -p build
	$(COMPILE_TESTS) -fsanitize=address,undefined -o $@

build/test-core-threads: $(VENV)/onednn $(CORE_SOURCES)
	@mkdir -p build
	$(COMPILE_TESTS) -fsanitize=thread -o $@

test-core: build/test-core ## run the C tests under sanitizers
	build/test-core

# The thread sanitizer cannot see how libgomp's threads wait for each other: with teams
# of one it watches the callers' threads, which is what the locks are for.
test-threads: build/test-core-threads ## run the C tests under the thread sanitizer
	OMP_THREAD_LIMIT=1 TSAN_OPTIONS=halt_on_error=1 build/test-core-threads

# The extension, built with sanitizers beside the other, under the tests that try it.
build/sanitized/busnet/_core.abi3.so: $(VENV)/tested $(VENV)/onednn $(wildcard csrc/*/*.[ch] csrc/core/kernels/*.[ch] csrc/core/kernels/*/*.c)
	BUSNET_SANITIZE=address,undefined $(BIN)/python setup.py --quiet build \
	  --build-base build/sanitized-objects --build-lib build/sanitized

sanitize: test-core test-threads build/sanitized/busnet/_core.abi3.so ## sanitizers, all
	cd build && PYTHONPATH=sanitized ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	  $(abspath $(BIN))/pytest -q -n $(WORKERS) --dist worksteal \
	  --rootdir=.. -c ../pyproject.toml \
	  $(addprefix ../tests/,engine/test_operators.py engine/test_hard_use.py test_weights.py \
	  test_model.py test_lesions.py) -k "not memory and not leak and not gives_memory_back"

build/fuzz-%: tests/fuzz/fuzz_%.c tests/fuzz/input.h $(VENV)/onednn $(CORE) $(CORE_HEADERS)
	@mkdir -p build
	clang $(LANGUAGE) -g -O1 -fsanitize=fuzzer,address,undefined -Wno-unknown-pragmas \
	  -fno-sanitize-recover=undefined -Icsrc/core $< $(CORE) $(ONEDNN) \
	  $(shell $(CC) -print-file-name=libgomp.so) -lm -o $@

fuzz: $(addprefix fuzz-,$(FUZZERS)) fuzz-readers ## fuzz the core and the readers

# What is found anew goes to .fuzz, which git ignores; the corpus that is kept is small.
$(addprefix fuzz-,$(FUZZERS)): fuzz-%: build/fuzz-%
	mkdir -p .fuzz/$*
	build/fuzz-$* -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 -timeout=20 \
	  -print_final_stats=1 -artifact_prefix=.fuzz/$*- .fuzz/$* tests/fuzz/corpus/$*

fuzz-readers: $(VENV)/tested
	BUSNET_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(PYTEST) -q tests/fuzz

format: $(VENV)/checked ## format C and Python
	$(BIN)/clang-format -i $(C_FILES)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/checked layers ## check formatting, style, layers and vocabulary
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tools/check_vocabulary.py

# The first three: C, and imports that import-linter cannot tell from the extension's.
layers: $(VENV)/checked ## check that the layers of the code point one way
	! grep -rln 'Python\.h\|numpy/' csrc/core
	! grep -ln 'dnnl' csrc/python/*.c csrc/python/arrays.h csrc/python/module.h
	! grep -rnE --include='*.py' '^ *(import busnet$$|from busnet import .*__)' busnet
	$(BIN)/lint-imports --no-logo

types: $(VENV)/trained $(VENV)/checked ## check types, and the stub against the extension
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/public.py
	$(BIN)/stubtest --mypy-config-file pyproject.toml busnet._core

check: lint types test sanitize fuzz test-train notebooks docs wheel ## all of the checks

notebooks: $(NOTEBOOKS) ## execute the notebooks

$(NOTEBOOKS): notebook-%: notebooks/%.ipynb $(VENV)/checked $(VENV)/trained
	$(BIN)/jupyter nbconvert --to notebook --execute --output-dir build/notebooks $<

docs: $(VENV)/documented ## build the documentation, warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --config-file docs/mkdocs.yml

# A wheel for any Linux of its age carries the OpenMP library that it was built with.
wheel: $(VENV)/checked ## build the wheel, check it, and try it in an empty environment
	rm -rf build/wheel build/empty
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	PATH="$(abspath $(BIN)):$$PATH" auditwheel repair --wheel-dir build/wheel/repaired \
	  build/wheel/*.whl
	test "$$(stat --format %s build/wheel/repaired/*.whl)" -lt 100000000
	$(BIN)/auditwheel show build/wheel/repaired/*.whl | grep -A1 consistent | grep manylinux
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet build/wheel/repaired/*.whl
	cd build && empty/bin/python -c "import busnet, numpy as np; \
	  print(busnet.classify(np.zeros((300, 400), 'uint8')))"
	cd build && empty/bin/busnet info

bench: $(VENV)/tested ## time the forward passes
	$(BIN)/python benchmarks/forward.py

PEERS = .venv-peers
PEERS_onnxruntime = onnxruntime==1.32.0
PEERS_openvino = openvino==2026.4.1
PEERS_ncnn = ncnn==1.0.20261020 pnnx
PEERS_mnn = MNN==3.6.1

$(PEERS)/%/ready:
	$(PYTHON) -m venv $(PEERS)/$*
	$(PEERS)/$*/bin/python -m pip install --quiet numpy $(PEERS_$*)
	@touch $@

bench-peers: $(VENV)/trained $(addprefix $(PEERS)/,$(addsuffix /ready,onnxruntime openvino ncnn mnn)) ## time other engines beside busnet
	$(BIN)/python benchmarks/peers.py --json build/peers.json

# Some 5.5 GB, which is why it is no part of `make check`.
TORCHVISION = .venv-torchvision

$(TORCHVISION)/ready: pyproject.toml
	$(PYTHON) -m venv $(TORCHVISION)
	$(TORCHVISION)/bin/python -m pip install --quiet torch==2.14.1 torchvision==0.29.1 \
	  timm==1.0.31 .
	@touch $@

check-torchvision: $(TORCHVISION)/ready ## compare with the real torchvision and timm
	$(TORCHVISION)/bin/python tools/check_torchvision.py

clean: ## remove what was built
	rm -rf build $(VENV) $(PEERS) $(TORCHVISION) demo *.egg-info busnet/_core*.so busnet/_libs
