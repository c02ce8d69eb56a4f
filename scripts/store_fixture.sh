#!/usr/bin/env bash
# Makes a store that every later release has to open and to reproduce: tests/cli/older.rs reads all of tests/cli/older. At
# a release: scripts/store_fixture.sh target/release tests/cli/older/VERSION.tar.zst. A file that is there is never made
# again. Takes some seconds, zstd, and the right to name a host (root, or user namespaces).
set -euo pipefail
[ $# = 2 ] || { echo "usage: $0 FOLDER-OF-THE-PROGRAMS NEW.tar.zst" >&2; exit 2; }
[ ! -e "$2" ] || { echo "error: $2 is there, and what a release wrote is never made again" >&2; exit 2; }
programs=$(realpath "$1") made=$(realpath -m "$2")
if [ -z "${STORE_FIXTURE_INSIDE:-}" ]; then      # events name their host: it is to be nobody's
  STORE_FIXTURE_INSIDE=1 exec unshare --user --map-root-user --uts "$0" "$programs" "$made"
fi
hostname somewhere
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PATH=$programs:$PATH CROSSOVER_WORKER=$programs/crossover-worker
unset CROSSOVER_STORE

# Four data sizes, a tuned learning rate, two budgets that share a trunk.
cat >trained.toml <<'TOML'
# Trained by libtorch.
name = "trained"
task = { name = "mnist1d", validation = 500, test = 500 }
[axes]
examples = [50, 100, 200, 400]
[tuned]
lr = [3e-3, 3e-2]
[budget]
steps = [30, 60]
[train]
batch = 16
schedule = "wsd"
warmup_steps = 5
evals = 2
[[model]]
arch = "mlp"
width = 4
depth = 1
TOML
cat >long.toml <<'TOML'
# Trained by libtorch, and stopped with a checkpoint.
name = "long"
task = { name = "mnist1d", validation = 500, test = 500 }
[axes]
examples = 400
[budget]
steps = 5000
[train]
batch = 16
evals = 3
[[model]]
arch = "mlp"
width = 4
depth = 1
TOML
# By the worker that trains nothing: done, and diverged for seed 2. (With one evaluation: where it had several, it had them
# at other steps than they are due.)
cat >planned.toml <<'TOML'
name = "planned"
question = "Are lists and \"quotes\" kept?"
task = { name = "mnist1d", augment = "none" }
[axes]
examples = [100, 200, 400, 800, 1600]
seed = [0, 1, 2]
shuffle = [false, true]
[budget]
epochs = 4
[train]
evals = 1
[[model]]
name = "Größe 小"
arch = "convnet"
width = 8
depths = [1, 1]
[[model]]
arch = "vit"
patch = 5
width = 16
depth = 1
heads = 2
TOML
noop() { printf 'name = "%s"\ntask = { name = "mnist1d" }\n[axes]\nexamples = [100, 200]\n[budget]\nexamples = %s\n[train]\nevals = 1\n[[model]]\narch = "mlp"\n' "$@"; }
noop failing 3200 >failing.toml
noop stopped 32000 >stopped.toml
{
  echo arch,examples,loss,seed
  for row in 250,1.765,0 250,1.771,1 1000,1.131,0 1000,1.134,1 4000,0.817,0 4000,0.816,1 16000,0.657,0 16000,0.659,1; do
    echo "vit,$row"
  done
} >others.csv

crossover run trained.toml --slots 1
CROSSOVER_NOOP="diverge_from_seed=2 step_millis=0" crossover run planned.toml --slots 1
CROSSOVER_NOOP="fail=9:3" crossover run failing.toml --slots 1 || [ $? = 1 ]
CROSSOVER_NOOP="step_millis=20 checkpoint_every=10" timeout --foreground -s INT 3 crossover run stopped.toml --slots 1 || [ $? = 124 ]
timeout --foreground -s INT 1.6 crossover run long.toml --slots 1 || [ $? = 124 ]
[ "$(ls runs/*/checkpoint*.safetensors | wc -l)" -ge 1 ] || { echo "error: long was not stopped in its middle" >&2; exit 1; }
crossover import others.csv

# What it says of it. Exports of before times were in them have none to leave out.
export_of() { crossover "${@:2}" export "$1" --format csv --no-times 2>/dev/null || crossover "${@:2}" export "$1" --format csv; }
mkdir said
for sweep in trained planned; do
  export_of "$sweep" >"said/$sweep.csv"
  crossover fit "$sweep" --x data --bootstrap 0 --json >"said/$sweep.json"
done
crossover fit others --x data --bootstrap 0 --json >said/others.json
crossover --store whole run long.toml --slots 1
export_of long --store whole >said/long.csv

rm -rf whole runs/workers runs/writer.lock runs/crossover.db-wal runs/crossover.db-shm
mkdir -p "$(dirname "$made")"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=2026-01-01 -c . | zstd -q -19 -o "$made"
ls -l "$made" >&2
