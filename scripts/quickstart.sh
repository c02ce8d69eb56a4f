#!/usr/bin/env bash
# The main job end to end. Interrupt it at any time: the same command goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
store=${1:-runs}
crossover=(target/release/crossover --store "$store")

# A store of an earlier release may have other runs under the name: they are kept as quickstart@1.
"${crossover[@]}" run sweeps/quickstart.toml --replace
"${crossover[@]}" fit quickstart --x data
"${crossover[@]}" fit quickstart --x compute
"${crossover[@]}" plot quickstart --x data -o "$store/quickstart-data.svg"
"${crossover[@]}" plot quickstart --x data -o "$store/quickstart-data.png"
"${crossover[@]}" plot quickstart --x compute -o "$store/quickstart-compute.svg"
"${crossover[@]}" plot quickstart --x compute -o "$store/quickstart-compute.png"
