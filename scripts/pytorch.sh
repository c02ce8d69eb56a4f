#!/usr/bin/env bash
# A scratch environment with PyTorch 2.11.0 in the cache folder, for what is measured beside ours; prints its Python. One of
# your own is used when CROSSOVER_PYTORCH names its Python. With --with-ray it prints that of another one beside it, which has
# Ray Tune too.
set -euo pipefail
version=2.11.0 ray=2.60.0
cache=${CROSSOVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/crossover}
say() { printf 'pytorch: %s\n' "$*" >&2; }
die() { printf 'error: pytorch: %s\n' "$1" >&2; [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2; exit 1; }

if [ -n "${CROSSOVER_PYTORCH:-}" ]; then
  "$CROSSOVER_PYTORCH" -c 'import torch' || die "CROSSOVER_PYTORCH=$CROSSOVER_PYTORCH cannot import torch" "name a Python that can"
  echo "$CROSSOVER_PYTORCH"; exit 0
fi
home=$cache/pytorch-$version
mkdir -p "$cache"
exec 9>"$cache/pytorch.lock"
flock -n 9 || { say "another set-up holds $cache/pytorch.lock; waiting for it"; flock 9; }
if [ ! -e "$home/ready" ]; then
  free_mb=$(df -Pm "$cache" | awk 'NR == 2 { print $4 }')
  [ "$free_mb" -ge 12000 ] ||
    die "$cache has $free_mb MB free, and PyTorch with its libraries takes up to 12000 MB" "set CROSSOVER_CACHE to a folder on a larger disk"
  say "installing PyTorch $version into $home (up to 3 GB to fetch)"
  rm -rf "$home"
  python3 -m venv "$home" || die "no virtual environment can be made" "apt-get install python3-venv"
  "$home/bin/python" -m pip install --quiet torch==$version numpy >&2
  touch "$home/ready"
fi
[ "${1:-}" = --with-ray ] || { echo "$home/bin/python"; exit 0; }

beside=$cache/pytorch-$version-ray-$ray
if [ ! -e "$beside/ready" ]; then
  say "installing Ray Tune $ray into $beside (about 400 MB)"
  rm -rf "$beside"
  python3 -m venv "$beside"
  packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
  packages "$home" >"$(packages "$beside")/pytorch.pth"
  "$beside/bin/python" -m pip install --quiet "ray[tune]==$ray" >&2
  touch "$beside/ready"
fi
echo "$beside/bin/python"
