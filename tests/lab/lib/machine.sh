# SPDX-License-Identifier: GPL-2.0
# One QEMU machine: started, reached over a virtio-serial port by SSH (no network, no
# port numbers, so any number run side by side), watched, ended.

guest_memory=3072 # MiB, part of the snapshot: ten containers of which several are memory hogs
bare_memory=1024
# What goes into a guest goes by a disk, which is 100 times faster than the port; the
# size is part of the snapshot, and a sparse file's.
parcel_size=1G
# Of the emulator: single, so that the guest's CPUs take turns, or multi.  With QEMU 7.2 and
# CPUs side by side guests died of a breakpoint where none was any more ("Oops: int3"): the
# kernel puts one where it changes its own code, and a CPU still ran its translation of it.
# Seen in __schedule(), after 321 s of attaching and detaching the witness beside a storm of
# forks, and in sched_clock_cpu(), 2 s after the start of a guest.
tcg_threads=single

# What a kernel prints when something is wrong with it or with a module.
fault_pattern='Kernel panic|Oops|BUG:|WARNING:|Call Trace|possible (circular|recursive|irq) |inconsistent lock state|suspicious RCU|INFO: (rcu|task|possible)|sleeping function called|KASAN|UBSAN|kmemleak: [0-9]+ new|unreferenced object|general protection fault|refcount_t:'

qemu=qemu-system-x86_64
work=
qemu_pid=
way_pid=   # the connection that all others share
job_pid=   # what attend waits for
clock_pid= # ends when the time is up
timed_out=
get_grace=30 # seconds for --get after a time-out: what it names is then wanted most

# accelerator sets $accel to kvm or tcg.  /dev/kvm exists on machines where a guest
# hangs at its first instructions, so only a guest that has answered proves it; the
# answer is kept for as long as the host is up.
accelerator() {
	local probe initrd kernel_image answer
	accel=tcg
	[ -w /dev/kvm ] || return 0
	probe=$cache/kvm-$(key "$(cat /proc/sys/kernel/random/boot_id)" "$($qemu --version)")
	if [ ! -s "$probe" ]; then
		kernel_image=$1 initrd=$2
		say "probing whether /dev/kvm runs a guest (10 s at most)"
		# No pipeline: a guest that has answered runs on, and would be waited for.
		exec {answer}< <(exec setpriv --pdeathsig TERM timeout -k 1 10 $qemu \
			-machine pc,accel=kvm -cpu host -m 256 -nodefaults -display none -no-reboot \
			-kernel "$kernel_image" -initrd "$initrd" -serial stdio \
			-append "console=ttyS0 quiet panic=-1" 2>/dev/null </dev/null)
		if grep -qm1 'lab: ready' <&$answer; then
			echo kvm >"$probe"
		else
			echo tcg >"$probe"
		fi
		kill $! 2>/dev/null || true
		exec {answer}<&-
		say "guests run under $(cat "$probe")"
	fi
	accel=$(cat "$probe")
}

# machine_start MEMORY KERNEL INITRD APPEND [QEMU ARGS...]; $work/parcel is what the
# guest finds on its last disk.
machine_start() {
	local memory_mib=$1 kernel_image=$2 initrd=$3 append=$4 cpu=max
	shift 4
	[ "$accel" = tcg ] || cpu=host
	# pdeathsig: no guest outlives the lab, even one that is killed.  no_timer_check: an
	# emulated timer on a busy host can be late enough to be taken for a broken one.
	truncate -s $parcel_size "$work/parcel"
	setpriv --pdeathsig KILL $qemu -machine pc -accel "$accel$([ "$accel" = kvm ] || echo ",thread=$tcg_threads")" \
		-cpu $cpu -smp 2 -m "$memory_mib" \
		-nodefaults -display none -no-reboot -nic none \
		-kernel "$kernel_image" -initrd "$initrd" \
		-append "console=ttyS0 loglevel=5 panic=-1 no_timer_check random.trust_cpu=on $append" \
		-serial "file:$work/console" \
		-monitor "unix:$work/monitor,server=on,wait=off" \
		-device virtio-serial-pci -chardev "socket,id=way,path=$work/way,server=on,wait=off" \
		-device virtserialport,chardev=way,name=lab \
		-device virtio-rng-pci -device virtio-balloon-pci,free-page-reporting=on "$@" \
		-drive "file=$work/parcel,format=raw,if=none,id=parcel,cache=unsafe" \
		-device virtio-blk-pci,drive=parcel >"$work/qemu" 2>&1 </dev/null &
	qemu_pid=$!
	until [ -S "$work/way" ]; do
		kill -0 "$qemu_pid" 2>/dev/null || { cat "$work/qemu" >&2; die "the guest did not start"; }
		sleep 0.02
	done
}

ssh_options() {
	printf '%s\n' -F none -i "$work/key" -o "ControlPath=$work/mux" -o LogLevel=ERROR \
		-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
		-o ConnectTimeout=600 -o "ProxyCommand=socat - UNIX-CONNECT:$work/way"
}

# clock_start SECONDS: from here on attend ends what takes longer; 0 is for ever.
clock_start() {
	clock_pid=
	[ "$1" = 0 ] || { sleep "$1" & clock_pid=$!; }
}

in_time() {
	[ -z "$clock_pid" ] || kill -0 "$clock_pid" 2>/dev/null || { timed_out=1; return 1; }
}

# attend COMMAND...: its status, or 124 when the time is up before its end.  In the
# background, because a shell acts on a signal only after its foreground command.
attend() {
	local ended='' status=0
	in_time || return 124
	"$@" <&0 &
	job_pid=$!
	wait -n -p ended "$job_pid" $clock_pid || status=$?
	if [ "$ended" != "$job_pid" ]; then
		kill "$job_pid" 2>/dev/null || true
		wait "$job_pid" || true
		timed_out=1 status=124
	fi
	job_pid=
	return $status
}

# give_up WHAT: ends a run whose guest could not be had.
give_up() {
	machine_report || die "$1"
	[ -z "$timed_out" ] || { say "$1 within $timeout s"; exit 124; }
	die "$1"
}

# machine_connect: one connection that all that follows shares.
machine_connect() {
	local keys
	keys_entry
	keys=$entry
	install -m 600 "$keys/client" "$work/key"
	mapfile -t ssh_opts < <(ssh_options)
	ssh "${ssh_opts[@]}" -o ControlMaster=yes -N root@lab </dev/null &
	way_pid=$!
	# The socket appears when the guest has let us in.
	until [ -S "$work/mux" ]; do
		kill -0 "$way_pid" 2>/dev/null && in_time || give_up "no way into the guest"
		sleep 0.05
	done
}

# What the lab itself does in a guest; standard input is for the command alone.
guest() { attend ssh "${ssh_opts[@]}" root@lab "$@" </dev/null; }

monitor_command() { attend socat -t 60 - "UNIX-CONNECT:$work/monitor" <<<"$1"; }

machine_end() {
	local pid
	[ -n "$work" ] || return 0
	for pid in $job_pid $clock_pid $way_pid; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	if [ -n "$qemu_pid" ]; then
		kill -KILL "$qemu_pid" 2>/dev/null || true
		wait "$qemu_pid" 2>/dev/null || true
	fi
	rm -rf "$work"
	work='' job_pid='' clock_pid='' way_pid='' qemu_pid=''
}

machine_work() {
	# Short: a socket's path is limited to 108 bytes.
	work=$(mktemp -d /tmp/lab.XXXXXX)
	end_well
}

# machine_report: shows what the guest's kernel had to say; false if it was a fault.
machine_report() {
	[ -s "$work/qemu" ] && cat "$work/qemu" >&2
	if grep -aqE "$fault_pattern" "$work/console" 2>/dev/null; then
		say "the guest's kernel reported a fault:"
		grep -aE -m 1 -B 5 -A 60 "$fault_pattern" "$work/console" >&2
		return 1
	fi
	kill -0 "$qemu_pid" 2>/dev/null || {
		say "the guest has ended; the last of its console:"
		tail -n 20 "$work/console" >&2
		return 1
	}
}

make_guest() { # FOLDER KERNEL_ENTRY INITRD DISK_ENTRY IMAGE_ARCHIVE
	local visits out=$1 k=$2 initrd=$3 disk=$4 archive=$5
	machine_work
	cp "$archive" "$work/parcel"
	qemu-img create -q -f qcow2 -b "$disk/disk.ext4" -F raw "$out/disk.qcow2"
	machine_start $guest_memory "$k/vmlinuz" "$initrd" lab.disk \
		-drive "file=$out/disk.qcow2,if=none,id=disk,cache=unsafe" \
		-device virtio-blk-pci,drive=disk
	machine_connect
	echo "kernel is up" | progress
	guest 'date -s "@'"$(date +%s)"'" >/dev/null
	       curl -s --retry 600 --retry-delay 1 --retry-all-errors --unix-socket /run/docker.sock http://d/_ping' >/dev/null
	echo "Docker is up" | progress
	guest 'docker load -q </dev/vdb && blockdev --flushbufs /dev/vdb' 2>&1 | progress
	# The first container after a start is slow: its tools come from the disk.
	guest 'echo 3 >/proc/sys/vm/drop_caches
	       tar -C / -ch bin/true lib64 lib/x86_64-linux-gnu/libc.so.6 2>/dev/null | docker import - warm >/dev/null
	       docker run --rm --network none warm /bin/true; docker rmi warm >/dev/null
	       docker-compose version >/dev/null; sync' 2>&1 | progress
	# Whoever resumes must find the way in free.
	visits=$(grep -ac 'way in is free' "$work/console" || true)
	ssh "${ssh_opts[@]}" -O exit root@lab >/dev/null 2>&1
	until [ "$(grep -ac 'way in is free' "$work/console")" -gt "$visits" ]; do sleep 0.1; done
	monitor_command stop >/dev/null
	monitor_command "migrate \"exec:cat >$out/state\"" >/dev/null
	until monitor_command "info migrate" | grep -q 'Migration status: completed'; do sleep 0.1; done
	monitor_command quit >/dev/null || true
	wait "$qemu_pid" || true
	machine_report_console_only
	echo "snapshot taken: $(du -h "$out/state" | cut -f1)" | progress
	machine_end
}

machine_report_console_only() {
	if grep -aqE "$fault_pattern" "$work/console"; then
		grep -aE -m 1 -B 5 -A 60 "$fault_pattern" "$work/console" >&2
		return 1
	fi
}

# build_guest 6.1|6.12 sets $guest_entry, $bare_kernel and $bare_initrd.
build_guest() {
	local k61 k612 disk runtime
	build_bare "$1"
	accelerator "$bare_kernel" "$bare_initrd"
	kernel_entry 6.1; k61=$entry
	kernel_entry 6.12; k612=$entry
	keys_entry
	entry "disk-$(key "$guest_packages" "$k61" "$k612" "$(cat "$here"/guest/*)" \
		"$(declare -f make_disk)" "$(cat "$entry/host" | sha256sum)")" \
		"the guests' disk (Debian, Docker)" make_disk "$k61" "$k612" "$entry"
	disk=$entry
	runtime_entry
	runtime=$entry
	entry "guest-$1-$accel-$(key "$disk" "$runtime" "$bare_initrd" "$guest_memory" "$($qemu --version)" \
		$parcel_size "$(declare -f make_guest machine_start)")" \
		"guest with Docker up, kernel $1" \
		make_guest "$(dirname "$bare_kernel")" "$bare_initrd" "$disk" "$runtime/image.tar"
	guest_entry=$entry
}

# parcel_pack: what --put names, as one archive for the guest's root.
parcel_pack() {
	local put src dest
	mkdir "$work/stage"
	for put in "${puts[@]}"; do
		src=${put%%:*} dest=$work/stage/${put#*:}
		[ -e "$src" ] || die "--put: no such file: $src"
		mkdir -p "$(dirname "$dest")"
		cp -RLp "$src" "$dest"
	done
	# Files alone: a folder that the guest has already, such as /tmp, stays as it is.
	(cd "$work/stage" && find . ! -type d -print0 | tar --null --owner=0 --group=0 -T - -cf "$work/parcel")
	rm -rf "$work/stage"
	[ "$(stat -c %s "$work/parcel")" -le "$(numfmt --from=iec $parcel_size)" ] ||
		die "--put: more than the $parcel_size that goes into a guest"
}

machine_run() {
	local status=0 disk special=()
	if [ $bare = 1 ]; then
		if [ "$kernel" = torture ]; then
			special=("${torture_machine[@]}")
			# busybox reads a disk to its end; this kernel takes minutes for 1 GiB
			parcel_size=64M
		fi
		build_bare "$kernel"
		accelerator "$bare_kernel" "$bare_initrd"
		machine_work
		parcel_pack
		disk=/dev/vda
		machine_start "${memory:-$bare_memory}" "$bare_kernel" "$bare_initrd" "" "${special[@]}"
	else
		[ -z "$memory" ] || die "--memory goes with --bare: a snapshot's memory is fixed"
		build_guest "$kernel"
		machine_work
		parcel_pack
		disk=/dev/vdb
		qemu-img create -q -f qcow2 -b "$guest_entry/disk.qcow2" -F qcow2 "$work/disk.qcow2"
		machine_start $guest_memory "$bare_kernel" "$bare_initrd" lab.disk \
			-drive "file=$work/disk.qcow2,if=none,id=disk,cache=unsafe" \
			-device virtio-blk-pci,drive=disk -incoming "exec:cat $guest_entry/state"
	fi
	clock_start "$timeout"
	[ $bare = 1 ] || machine_resume
	machine_connect
	guest "lab-resume $(date +%s.%N) $disk" || give_up "the guest could not be set up"
	if [ ${#command[@]} -gt 0 ]; then
		# One word is a shell line, several are a command.
		[ ${#command[@]} -eq 1 ] || command=("$(printf '%q ' "${command[@]}")")
		attend ssh "${ssh_opts[@]}" root@lab "${command[0]}" || status=$?
		if [ -n "$timed_out" ]; then
			say "time-out: the command has not ended within $timeout s"
			clock_start $get_grace
		fi
	else
		ssh "${ssh_opts[@]}" -t root@lab || status=$?
	fi
	fetch_all || [ $status != 0 ] || status=125
	[ -z "$timed_out" ] || status=124
	machine_report || status=125
	exit $status
}

# A guest was stopped when its state was taken, and comes back so.
machine_resume() {
	while monitor_command "info status" >"$work/status" || give_up "the snapshot could not be resumed"; do
		# "paused (inmigrate)": it is still on its way.
		! grep -q $'status: paused\r*$' "$work/status" || break
		sleep 0.05
	done
	monitor_command cont >/dev/null
}

# fetch_all: what --get names, also after a failure: that is when it is wanted most.
fetch_all() {
	local get src dest missing=0
	for get in "${gets[@]}"; do
		src=${get%%:*} dest=${get#*:}
		kill -0 "$qemu_pid" 2>/dev/null || return 1
		mkdir -p "$(dirname "$dest")"
		if guest "[ -d '$src' ]"; then
			mkdir -p "$dest"
			# tar frowns on a file that grows meanwhile, which a log may.
			guest "tar -C '$src' -c ." >"$work/fetched" || true
			tar -C "$dest" --no-same-owner -xf "$work/fetched" || missing=1
		elif guest "cat '$src'" >"$work/fetched"; then
			cp "$work/fetched" "$dest"
		else
			say "--get: not had from the guest: $src"
			missing=1
		fi
	done
	return $missing
}
