# SPDX-License-Identifier: GPL-2.0
# What every part of the lab needs: words for the user, and a cache of made things.

cache=${SYSINFO_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sysinfo-lab}

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 125; }

# key WORDS...: a short name for all that an entry is made of.
key() { printf '%s\n' "$@" | sha256sum | cut -c1-16; }

# Passes a step's own progress lines on, with the seconds since it began.
progress() {
	local start=$SECONDS line
	while IFS= read -r line; do
		printf 'lab:   %4ds  %.100s\n' $((SECONDS - start)) "$line" >&2
	done
}

# entry NAME TITLE MAKER [ARGS...]: sets $entry to the cache folder NAME, made by
# `MAKER FOLDER ARGS` if it isn't there.  Two that want the same wait for one.  A
# folder appears under its name only when it is whole.
entry() {
	local name=$1 title=$2 maker=$3 lock start=$SECONDS
	shift 3
	entry=$cache/$name
	[ ! -d "$entry" ] || { touch "$entry"; return 0; }
	mkdir -p "$cache"
	exec {lock}>"$cache/$name.lock"
	if ! flock -n "$lock"; then
		say "waiting for another run that builds: $title"
		flock "$lock"
	fi
	if [ ! -d "$entry" ]; then
		local made=$cache/$name.making
		remove_tree "$made"
		mkdir -p "$made"
		say "building: $title"
		# A subshell with -e of its own: one called from an `if` would lose it.
		local status=0
		set +e
		(set -e; "$maker" "$made" "$@") {lock}>&-
		status=$?
		set -e
		[ $status = 0 ] || die "could not build: $title"
		mv "$made" "$cache/$name"
		say "built in $((SECONDS - start)) s: $title"
	fi
	entry=$cache/$name
	exec {lock}>&-
}

# Files made by mapped users can't be removed by rm alone.
remove_tree() {
	[ -e "$1" ] || return 0
	rm -rf "$1" 2>/dev/null || unshare --map-root-user --map-auto rm -rf "$1"
}
