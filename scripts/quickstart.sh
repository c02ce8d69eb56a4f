#!/usr/bin/env bash
# The main job end to end. Interrupt it at any time: the same command goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
store=${1:-runs}
crossover=(target/release/crossover --store "$store")

"${crossover[@]}" run sweeps/quickstart.toml
"${crossover[@]}" fit quickstart --x data
"${crossover[@]}" fit quickstart --x compute
"${crossover[@]}" plot quickstart --x data -o "$store/quickstart-data.svg"
"${crossover[@]}" plot quickstart --x data -o "$store/quickstart-data.png"
"${crossover[@]}" plot quickstart --x compute -o "$store/quickstart-compute.svg"
"${crossover[@]}" plot quickstart --x compute -o "$store/quickstart-compute.png"
