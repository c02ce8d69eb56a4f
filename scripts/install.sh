#!/usr/bin/env bash
# Puts both programs of folder $1, their man pages and completions below $2. Nothing is left half-written: 'install'
# writes beside and renames.
set -euo pipefail
built=$1 prefix=$2
install -Dt "$prefix/bin" "$built/crossover" "$built/crossover-worker"
"$built/crossover" man "$prefix/share/man/man1"
pages() { "$built/crossover" completions "$1" | install -Dm644 /dev/stdin "$prefix/share/$2"; }
pages bash bash-completion/completions/crossover
pages zsh zsh/site-functions/_crossover
pages fish fish/vendor_completions.d/crossover.fish
printf 'install: crossover and crossover-worker are in %s\n' "$prefix/bin" >&2
case ":$PATH:" in *":$prefix/bin:"*) ;; *) printf 'install: %s is not on PATH\n' "$prefix/bin" >&2 ;; esac
