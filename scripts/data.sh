#!/usr/bin/env bash
# Puts Fashion-MNIST into the data folder that all checkouts share: from the Debian package where apt is there (no root:
# the package is downloaded and unpacked, not installed), else by 'crossover task fetch'. Done twice it does nothing;
# interrupted, it leaves nothing half-written under a final name; a lock keeps two from doing it at once.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${CROSSOVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/crossover}
data=${CROSSOVER_DATA:-$cache/data}
home=$data/fashion-mnist
package=dataset-fashion-mnist
say() { printf 'data: %s\n' "$*" >&2; }

# Of the content, unpacked: Debian packs the same content differently.
sums='c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888 train-images-idx3-ubyte
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9 train-labels-idx1-ubyte
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b t10k-images-idx3-ubyte
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34 t10k-labels-idx1-ubyte'

whole() {                                          # are all files in folder $1, as published?
  local sum name
  while read -r sum name; do
    [ -s "$1/$name.gz" ] && [ "$(gzip -dc "$1/$name.gz" 2>/dev/null | sha256sum | cut -d' ' -f1)" = "$sum" ] || return 1
  done <<<"$sums"
}

mkdir -p "$home"
exec 9>"$home/.lock"
flock -n 9 || { say "another set-up holds $home/.lock; waiting for it"; flock 9; }
for folder in "$home" /usr/share/datasets/fashion-mnist; do
  if whole "$folder"; then say "ready: $folder"; exit 0; fi
done

rm -rf "$home"/partial.*                           # left by an interrupted set-up; the lock says nobody uses it
work=$(mktemp -d "$home/partial.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

from_debian() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  if ! apt-cache show "$package" >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] || return 1
    say "fetching apt's package lists"
    apt-get update -qq >/dev/null 2>&1 || return 1
  fi
  say "fetching the Debian package $package (31 MB) and unpacking it into $home"
  (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package" >/dev/null 2>&1) || return 1
  dpkg-deb -x "$work"/$package*.deb "$work/unpacked" && whole "$work/unpacked/usr/share/datasets/fashion-mnist"
}

if from_debian; then
  mv -f "$work"/unpacked/usr/share/datasets/fashion-mnist/*.gz "$home"
else
  say "no usable Debian package: fetching from the public address"
  flock -u 9                                       # crossover takes the same lock
  target/release/crossover task fetch fashion-mnist
fi
whole "$home" || { printf 'error: data: %s is not as published\nhint: remove it and try again\n' "$home" >&2; exit 1; }
say "ready: $home"
