# The thin front door. Every target does its own set-up (tools/setup); a second run does nothing twice.
#   make demo    a real model on a real photograph, split over three nodes of this machine
#   make test    builds and runs every test
#   make bench   prints the benchmark tables of docs/benchmarks.md
#   make fuzz    every fuzz target for FUZZ_SECONDS (60) each
#   make dev     debug build with sanitizers, and its unit tests
#   make fmt     formats the sources;  make tidy  checks the rules of CONTRIBUTING.md
# Without training (and its libtorch): make test CMAKE_ARGS=-DTIDELINE_TRAIN=OFF
# A user's own ONNX Runtime: make build CMAKE_ARGS=-DONNXRUNTIME_ROOT=/opt/onnxruntime
.PHONY: build demo test bench fuzz dev tsan fmt tidy clean setup
.DEFAULT_GOAL := build

CMAKE_ARGS ?=
FUZZ_SECONDS ?= 60
JOBS ?= $(shell nproc)

setup:
	@tools/setup

build: setup
	@cmake --preset release -Wno-dev $(CMAKE_ARGS) >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS)

demo: build
	@tools/demo

# Training needs libtorch, which nothing else does: the tests want it unless CMAKE_ARGS leaves training out.
test:
	@tools/setup $(if $(findstring TIDELINE_TRAIN=OFF,$(CMAKE_ARGS)),,test)
	@cmake --preset release -Wno-dev -DTIDELINE_TRAIN=ON $(CMAKE_ARGS) >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS)
	@ctest --preset release -j $(JOBS) --output-on-failure --no-tests=error

bench:
	@tools/setup bench
	@cmake --preset bench -Wno-dev $(CMAKE_ARGS) >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build --preset bench -j $(JOBS)
	@bench/run

fuzz:
	@tools/setup fuzz
	@cmake --preset fuzz -Wno-dev $(CMAKE_ARGS) >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build --preset fuzz -j $(JOBS)
	@fuzz/run $(FUZZ_SECONDS)

dev tsan: setup
	@cmake --preset $@ -Wno-dev $(CMAKE_ARGS) >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build --preset $@ -j $(JOBS)
	@ctest --preset $@ -j $(JOBS)

fmt: setup
	@git ls-files '*.h' '*.cpp' | xargs clang-format-14 -i

tidy: setup
	@tools/tidy

clean:
	rm -rf build/release build/dev build/tsan build/bench build/fuzz
