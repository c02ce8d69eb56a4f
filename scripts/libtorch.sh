#!/usr/bin/env bash
# Puts libtorch 2.11.0 into a cache folder that all checkouts share and links it as ./.libtorch, where
# .cargo/config.toml points. Safe against interruption (work happens in a temporary folder that is renamed
# when whole) and against two at once (a lock). CROSSOVER_LIBTORCH=cpu|cuda overrides the choice.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.11.0
cache=${CROSSOVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/crossover}
say() { printf 'libtorch: %s\n' "$*" >&2; }
die() { printf 'error: libtorch: %s\n' "$1" >&2; [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2; exit 1; }

if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
  say "LIBTORCH_USE_PYTORCH is set: the PyTorch of your Python is used"; exit 0
elif [ -n "${LIBTORCH:-}" ]; then
  [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] ||
    die "LIBTORCH=$LIBTORCH has no lib/libtorch_cpu.so" "unset LIBTORCH and run 'make libtorch' again to fetch it"
  say "LIBTORCH is set: $LIBTORCH is used"; exit 0
fi

kind=${CROSSOVER_LIBTORCH:-}
if [ -z "$kind" ]; then
  kind=cpu
  if [ -e /proc/driver/nvidia/version ] || nvidia-smi -L >/dev/null 2>&1; then kind=cuda; fi
fi
case "$kind" in
  cpu) fetch_mb=545 disk_mb=2000 ;;
  cuda) fetch_mb=3000 disk_mb=12000 ;;
  *) die "CROSSOVER_LIBTORCH=$kind is neither cpu nor cuda" "CROSSOVER_LIBTORCH=cpu make libtorch" ;;
esac
home=$cache/libtorch-$version-$kind

mkdir -p "$cache"
exec 9>"$cache/libtorch.lock"
flock -n 9 || { say "another set-up holds $cache/libtorch.lock; waiting for it"; flock 9; }

link() { ln -sfn "$home" .libtorch; }
if [ -e "$home/build-version" ]; then link; exit 0; fi
rm -rf "$cache"/libtorch-partial.*                 # left by an interrupted set-up; the lock says nobody uses it

free_mb=$(df -Pm "$cache" | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge "$disk_mb" ] ||
  die "$cache has $free_mb MB free, and setting up libtorch takes $disk_mb MB" \
      "free some space, or set CROSSOVER_CACHE to a folder on a larger disk"

work=$(mktemp -d "$cache/libtorch-partial.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

official_zip() {
  local variant=cpu; [ "$kind" = cpu ] || variant=cu130
  local url="https://download.pytorch.org/libtorch/$variant/libtorch-shared-with-deps-$version%2B$variant.zip"
  say "no Python with pip here: fetching the official libtorch zip ($variant)"
  command -v curl >/dev/null || die "neither pip nor curl is here" "install python3-pip, or curl and unzip"
  command -v unzip >/dev/null || die "unzip is not here" "install unzip, or python3-pip"
  curl -fL --retry 3 -o "$work/libtorch.zip" "$url"
  unzip -q "$work/libtorch.zip" -d "$work/unzipped"
  mv "$work/unzipped/libtorch" "$work/home"
}

# Only the libraries that a CPU process loads: the wheel's libtorch_cpu still names the CUDA runtime and CUPTI.
from_wheel_cpu() {
  pip_download torch==$version nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
  python3 - "$work" <<'PY'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
wanted = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
lib = work / "home/lib"
lib.mkdir(parents=True)
for wheel in (work / "wheels").glob("*.whl"):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            path = pathlib.PurePosixPath(name)
            if path.name in wanted and "lib" in path.parts:
                target = lib / path.name
            elif name.startswith("torch/include/") and not name.endswith("/"):
                target = work / "home" / path.relative_to("torch")
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with z.open(name) as src, open(target, "wb") as dst:
                while chunk := src.read(1 << 20):
                    dst.write(chunk)
missing = wanted - {p.name for p in lib.iterdir()}
sys.exit(f"error: libtorch: the wheels lack {sorted(missing)}" if missing else 0)
PY
  ln -s libtorch_cpu.so "$work/home/lib/libtorch.so"
}

# The wheel and its CUDA dependencies, each library in torch/lib's own relative layout, so that its RPATHs hold.
from_wheel_cuda() {
  python3 -m pip install --quiet --no-compile --target "$work/site" torch==$version
  mkdir "$work/home"
  mv "$work/site" "$work/home/site"
  ln -s site/torch/include "$work/home/include"
  ln -s site/torch/lib "$work/home/lib"
}

pip_download() {
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d "$work/wheels" "$@"
}

say "fetching libtorch $version ($kind), about $fetch_mb MB, into $home"
if ! python3 -m pip --version >/dev/null 2>&1; then official_zip
elif [ "$kind" = cpu ]; then from_wheel_cpu
else from_wheel_cuda
fi
[ -e "$work/home/lib/libtorch_cpu.so" ] || die "the set-up produced no libtorch_cpu.so" "remove $cache and try again"
echo $version >"$work/home/build-version"
sync -f "$work/home" 2>/dev/null || true
mv -T "$work/home" "$home"
link
say "ready: $home"
