#!/usr/bin/env bash
# Makes target/crossover-VERSION-ARCH-linux.tar.gz: both programs, stripped, without a path of this machine, with man
# pages, completions, licences, docs and sweeps. It runs wherever glibc is as new as here; to train it needs a libtorch:
# beside the programs ('libtorch' in the unpacked folder), in LIBTORCH, or in the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"name":"crossover","version":"\([^"]*\)".*/\1/')
name=crossover-$version-$(uname -m)-linux
CROSSOVER_DIST=1 RUSTFLAGS="--remap-path-prefix=$HOME=~ --remap-path-prefix=$PWD=crossover" \
  CXXFLAGS="${CXXFLAGS:-} -ffile-prefix-map=$HOME=~ -ffile-prefix-map=$PWD=crossover" \
  cargo build --profile dist --locked
work=$(mktemp -d target/dist.XXXXXX)
trap 'rm -rf "$work"' EXIT
scripts/install.sh target/dist "$work/$name"
cp -r README.md CHANGELOG.md CITATION.cff LICENSE-MIT LICENSE-APACHE docs sweeps "$work/$name"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -czf "$work/dist.tar.gz" "$name"
mv "$work/dist.tar.gz" "target/$name.tar.gz"
ls -l "target/$name.tar.gz" >&2
