# SPDX-License-Identifier: GPL-2.0
# What every part of the lab needs: words for the user, and a cache of made things.

cache=${SYSINFO_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}/sysinfo-lab}
unused_days=14 # after which an entry is removed

making=  # the process group of a maker

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 125; }

# key WORDS...: a short name for all that an entry is made of.
key() { printf '%s\n' "$@" | sha256sum | cut -c1-16; }

# Whatever ends the lab ends what it has started.  TERM and HUP are not trapped: bash
# leaves by way of EXIT on its own, at once.
end_well() {
	trap lab_end EXIT
	trap 'exit 130' INT
}

lab_end() {
	if [ -n "$making" ]; then
		kill -- "-$making" 2>/dev/null || true
		wait "$making" 2>/dev/null || true
	fi
	machine_end
}

cache_check() {
	[ -n "${SYSINFO_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-}}}" ] ||
		die "nowhere to keep the guests: set SYSINFO_LAB_CACHE, or HOME"
	# It becomes part of shell lines and of QEMU's options.
	[[ $cache = /* && $(printf %q "$cache") = "$cache" ]] ||
		die "the cache must be an absolute path of plain letters, not '$cache': set SYSINFO_LAB_CACHE"
	mkdir -p "$(dirname "$cache")"
	# Beside the cache, for it outlives that.
	exec {cache_lock}>"$cache.lock"
}

# cache_use: until its end nobody removes anything.  Who is alone tidies up first.
cache_use() {
	cache_check
	if flock -n -x "$cache_lock" && [ -d "$cache" ]; then
		find "$cache" -mindepth 1 -maxdepth 1 ! -name 'containers*' -mtime +$unused_days |
			while read -r old; do remove_tree "$old"; done
	fi
	flock -s "$cache_lock"
}

cache_clean() {
	cache_check
	flock -n -x "$cache_lock" || die "somebody uses $cache: clean it when they have ended"
	remove_tree "$cache"
}

# Passes a step's own progress lines on, with the seconds since it began.
progress() {
	local start=$SECONDS line
	while IFS= read -r line; do
		printf 'lab:   %4ds  %.100s\n' $((SECONDS - start)) "$line" >&2
	done
}

# entry NAME TITLE MAKER [ARGS...]: sets $entry to the cache folder NAME, made by
# `MAKER FOLDER ARGS` if it isn't there.  Two that want the same wait for one.  A
# folder appears under its name only when it is whole.  Its date is that of its last use.
entry() {
	local name=$1 title=$2 maker=$3 lock start=$SECONDS status=0 made
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
		made=$entry.making
		remove_tree "$made"
		mkdir -p "$made"
		say "building: $title"
		# In a condition bash takes no notice of -e, even of a subshell's own.
		set +e
		(set -e; false; exit 99)
		[ $? != 99 ] || die "entry called in a condition, where its maker's errors would be lost"
		set -e
		end_well
		# A process group of its own, so that all of it can be ended.
		set -m
		(set +m; set -e; "$maker" "$made" "$@") {lock}>&- </dev/null &
		making=$!
		set +m
		wait "$making" || status=$?
		making=
		[ $status = 0 ] || die "could not build: $title"
		mv "$made" "$entry"
		say "built in $((SECONDS - start)) s: $title"
	fi
	exec {lock}>&-
}

# Files made by mapped users can't be removed by rm alone.
remove_tree() {
	[ -e "$1" ] || return 0
	rm -rf "$1" 2>/dev/null || unshare --map-root-user --map-auto rm -rf "$1"
}
