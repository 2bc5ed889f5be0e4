# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Sourced by suite and full. search NAME FLAGS: one search of kill.pml, or of queue.pml if NAME
# begins with "queue", in $work/NAME. Sets verdict to "complete" (searched to the end, no error),
# "P<n>" (this property is violated), or what else happened; and states and seconds.
# OPTIMIZE, MEMORY (MiB) and LIMIT (seconds) may be set.
models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# shellcheck disable=SC2034,SC2086,SC2154
search() {
	local name=$1 flags=$2 model=kill.pml cc=-DSAFETY pan='' out=$work/$1/out
	case $name in queue*) model=queue.pml cc=-DNFAIR=3 pan="-a -f" ;; esac
	verdict="spin failed" states=0 seconds=0
	rm -rf "${work:?}/$name"
	mkdir -p "$work/$name"
	cp "$models/$model" "$work/$name/"
	(
		cd "$work/$name" || exit
		spin $flags -a $model &&
			gcc -w ${OPTIMIZE--O1} $cc -DCOLLAPSE -DVECTORSZ=512 -DMEMLIM=${MEMORY:-1400} -o pan pan.c &&
			timeout ${LIMIT:-300} ./pan -m200000 -w${HASH:-22} $pan
	) >"$out" 2>&1
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$out")
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.]*\) seconds/\1/p' "$out")
	if grep -qE "assertion violated .*>>[0-9]+" "$out"; then
		verdict=P$(sed -nE 's/.*assertion violated [^>]*>>([0-9]+)\).*/\1/p' "$out")
	elif grep -q "acceptance cycle" "$out"; then
		verdict=P1
	elif grep -qE "not completed|too small|out of memory|MEMLIM bound|max search depth" "$out"; then
		verdict="not searched to the end"
	elif grep -q "errors: 0" "$out"; then
		verdict=complete
	else
		verdict="broke off: $(grep -vE '^ltl|^ *$' "$out" | head -n 1)"
	fi
	# What a failure needs stays: the generated program goes.
	rm -f "$work/$name"/pan*
}
