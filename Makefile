# Every target does its own set-up, so that any of them works first on a fresh machine with Rust, a C++ compiler, make
# and Python's pip.
.PHONY: quickstart test libtorch data build check install dist coverage fuzz torture slurm-packages bench bench-pytorch bench-sweep gpu gpu-pack clean
SHELL := /bin/bash
store := runs
prefix := $(HOME)/.local

quickstart: build data                ## set up, train sweeps/quickstart.toml, fit it, draw it
	scripts/quickstart.sh $(store)

test: libtorch                        ## set up, check formatting and lints, run every quick test
	cargo fmt --all --check
	cargo clippy --release --all-targets --locked -- -D warnings
	cargo build --release --locked
	cargo test --release --locked

libtorch:                             ## libtorch 2.11.0 into the shared cache folder (about 545 MB, once)
	scripts/libtorch.sh

data: build                           ## Fashion-MNIST into the shared cache folder (about 31 MB, once)
	scripts/data.sh

build: libtorch                       ## both programs, in target/release
	cargo build --release --locked

check:                                ## licences, advisories and sources of every dependency (installs cargo-deny, once)
	cargo deny --version || cargo install --locked cargo-deny
	cargo deny check

install: build                        ## both programs, man pages and bash's completions into $(prefix)
	scripts/install.sh target/release '$(DESTDIR)$(prefix)'

dist: libtorch                        ## one archive that runs on another machine with a libtorch
	scripts/dist.sh

coverage:                             ## how often intervals and verdicts hold, over 30,000 experiments
	cargo test --release --locked -p crossover --no-default-features --lib -- --ignored --nocapture \
	    --test-threads 1 fit::tests::

fuzz:                                 ## ten minutes of mutated CSV and sweep files (needs rustup's nightly toolchain)
	cargo fuzz --version || cargo install --locked cargo-fuzz
	cd fuzz && cargo +nightly fuzz run --sanitizer none csv -- -max_total_time=300 -max_len=4096
	cd fuzz && cargo +nightly fuzz run --sanitizer none sweep corpus/sweep ../sweeps -- -max_total_time=300 -max_len=4096

faults := 2000
seed := $(shell date +%s)
torture: libtorch                     ## kills, hang-ups, power cuts, full disks, flipped bits (root for some; faults=2000 seed=N)
	CROSSOVER_TORTURE_FAULTS=$(faults) CROSSOVER_TORTURE_SEED=$(seed) \
	    cargo test --release --locked --test cli -- --include-ignored --nocapture --test-threads 1 torture:: power:: pilots::

slurm-packages:                       ## Slurm and munge from the system's packages, for tests of pilots (root, once)
	scripts/slurm.sh packages

bench: libtorch                       ## side-by-side ratios and rates, PyTorch's among them; no pass or fail
	cargo bench --locked
	$(MAKE) bench-pytorch

bench-pytorch: libtorch               ## our training step beside PyTorch's, in fp32 and bf16 (fetches PyTorch, once)
	cargo bench --locked --no-run -p crossover-worker --bench step
	python=$$(scripts/pytorch.sh) && "$$python" benches/step.py

bench-sweep: build data               ## a sweep by us, by multiprocessing and by Ray Tune with PyTorch (fetches both, once)
	python=$$(scripts/pytorch.sh --with-ray) && "$$python" benches/sweep.py

DEVICE := cuda:0
PYTHON := python3
gpu:                                  ## every check that needs a GPU, into docs/gpu.md (DEVICE=cpu PARTS="facts agree" OUTPUT=FILE)
	$(PYTHON) benches/gpu.py --device $(DEVICE) $(if $(OUTPUT),--output $(OUTPUT)) $(PARTS)

gpu-pack: dist                        ## the programs that 'make gpu' takes, stripped, into target/gpu: for a machine without Rust
	install -Dt target/gpu target/dist/crossover target/dist/crossover-worker

clean:                                ## build outputs; runs and the cache folder stay
	cargo clean
