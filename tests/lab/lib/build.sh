# SPDX-License-Identifier: GPL-2.0
# What the guests are made of.  Every entry's name carries a key of its inputs, so
# that a change makes a new one and leaves the old to whoever is using it.

# The guest's user space.  Each beyond Docker and the monitor's libraries:
#   cron: runs the generator.  dropbear-bin: the way in.  busybox: carries it (nc).  curl, jq: the generator and
#   the tests' assertions.  udev: Docker's overlay needs none, its networks do.
guest_packages=docker.io,docker-compose,cron,udev,kmod,iproute2,iptables,dropbear-bin,busybox-static,curl,jq,procps,util-linux,ca-certificates,libbpf1,libcurl4,libcjson1,libinih1

# Modules of the initramfs: disk, control channel, entropy; the balloon tells QEMU of
# free pages, so that a snapshot doesn't hold them.
initrd_modules="virtio_pci virtio_blk virtio_console virtio_rng virtio_balloon"

# kernel_headers 6.1|6.12|torture: the folder that modules for that kernel are built in.
kernel_headers() {
	if [ "$1" = torture ]; then
		kernel_entry "$1"
		echo "$entry/build"
	else
		echo "/usr/src/linux-headers-$(kernel_release "$1")"
	fi
}

# kernel_release 6.1|6.12: the newest whose headers are installed here, because the
# module is built against those and loads into no other.
kernel_release() {
	local headers
	headers=$(ls -d /usr/src/linux-headers-"$1".*-cloud-amd64 2>/dev/null | sort -V | tail -n 1)
	[ -n "$headers" ] || die "no headers of kernel $1: run 'make deps'"
	echo "${headers#/usr/src/linux-headers-}"
}

make_kernel() { # FOLDER RELEASE
	local release=$2
	(cd "$1" && apt-get -qq download "linux-image-$release" 2>&1 >/dev/null) | progress
	dpkg -x "$1"/*.deb "$1"
	rm "$1"/*.deb
	mv "$1/boot/vmlinuz-$release" "$1/vmlinuz"
	rm -rf "$1/boot" "$1/usr"
	depmod -b "$1" "$release"
	echo "$release" >"$1/release"
}

# kernel_entry 6.1|6.12|torture sets $entry to {vmlinuz, release, lib/modules}.
kernel_entry() {
	local release
	if [ "$1" = torture ]; then
		torture_entry
		return
	fi
	release=$(kernel_release "$1")
	entry "kernel-$release" "kernel $release" make_kernel "$release"
}

make_keys() { # FOLDER
	ssh-keygen -q -t ed25519 -N '' -C lab -f "$1/client"
	dropbearkey -t ed25519 -f "$1/host" >/dev/null 2>&1
}

keys_entry() { entry keys-1 "keys for the way into the guests" make_keys; }

make_initrd() { # FOLDER KERNEL_ENTRY KEYS
	local root=$1/root release module line lib
	release=$(cat "$2/release")
	mkdir -p "$root"/{bin,dev,proc,sys,run,tmp,etc/dropbear,root/.ssh,modules,sysroot}
	cp /bin/busybox "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	cp "$here/guest/initrd-init" "$root/init"
	cp "$here/guest/way" "$root/lab-way"
	install -m 755 "$here/guest/resume" "$root/bin/lab-resume"
	# The way in, with the libraries that the host's own binary names.
	cp "$(command -v dropbear)" "$root/bin/dropbear"
	while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		cp -L "$lib" "$root$lib"
	done < <(ldd "$(command -v dropbear)" | grep -o '/[^ ]*')
	cp "$3/host" "$root/etc/dropbear/host"
	cp "$3/client.pub" "$root/root/.ssh/authorized_keys"
	chmod 700 "$root/root" "$root/root/.ssh"
	echo 'root::0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	echo /bin/sh >"$root/etc/shells"
	# In the order of their dependencies; built-in ones have no file.
	: >"$root/modules/order"
	for module in $initrd_modules; do
		modprobe -d "$2" -S "$release" --show-depends "$module" 2>/dev/null
	done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r line; do
		case $line in
		*.xz) xz -dc "$line" >"$root/modules/$(basename "${line%.xz}")" ;;
		*) cp "$line" "$root/modules/" ;;
		esac
		basename "${line%.xz}" >>"$root/modules/order"
	done
	(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$1/initrd"
	rm -rf "$root"
}

# build_bare 6.1|6.12 sets $bare_kernel and $bare_initrd.
build_bare() {
	local k
	kernel_entry "$1"
	k=$entry
	keys_entry
	entry "initrd-$(cat "$k/release")-$(key "$(cat "$here"/guest/{initrd-init,way,resume})" "$initrd_modules" \
		"$(cat "$entry/host" | sha256sum)" "$(busybox | head -n 1)")" \
		"initramfs for $(cat "$k/release")" make_initrd "$k" "$entry"
	bare_kernel=$k/vmlinuz
	bare_initrd=$entry/initrd
}

# Both kernels' modules go on the one disk, so that it is made once.
#
# A plain user's disk is made in a user namespace whose root can't look into the user's
# home: what goes in goes through mmdebstrap, and what comes out lies in $drop until then.
make_disk() { # FOLDER KERNEL61 KERNEL612 KEYS
	local out=$1 stage=$1/stage drop name
	mkdir -p "$stage"/{usr/lib/modules,usr/sbin,etc/dropbear,root/.ssh}
	cp -a "$2/lib/modules/." "$3/lib/modules/." "$stage/usr/lib/modules/"
	cp "$4/host" "$stage/etc/dropbear/host"
	cp "$4/client.pub" "$stage/root/.ssh/authorized_keys"
	for name in init resume way; do
		install -m 755 "$here/guest/$name" "$stage/usr/sbin/lab-$name"
	done
	chmod 700 "$stage/root" "$stage/root/.ssh"
	echo lab >"$stage/etc/hostname"
	tar -C "$stage" --owner=0 --group=0 -cf "$out/stage.tar" .
	rm -rf "$stage"
	drop=$(mktemp -d /tmp/lab-disk.XXXXXX)
	chmod 777 "$drop"
	# A plain bind shows the tree without the /proc and /sys that are mounted in it now.
	# The image is a sparse file: what isn't used takes no room.
	mmdebstrap --variant=minbase --format=null --include=$guest_packages \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook="tar-in $out/stage.tar /" \
		--customize-hook='chroot "$1" useradd -m -G docker -s /bin/bash warden' \
		--customize-hook="unshare --mount sh -ec '
			mount --bind \"\$1\" \"\$1/mnt\"
			mke2fs -q -t ext4 -L lab -m 0 -E lazy_itable_init=0 -d \"\$1/mnt\" $drop/disk.ext4 6G
			chmod 644 $drop/disk.ext4' sh \"\$1\"" \
		bookworm /dev/null 2>&1 |
		tee "$out/log" | sed -u -n 's/^I: //p' | progress || true
	cp --sparse=always "$drop/disk.ext4" "$out/disk.ext4" || true
	rm -rf "$drop"
	[ -s "$out/disk.ext4" ] || { tail -n 20 "$out/log" >&2; return 1; }
	rm "$out/stage.tar" "$out/log"
}

# The base of ordinary Dockerfiles ("FROM debian:bookworm-slim"), where no image
# registry can be reached.
make_base() { # FOLDER
	# As in any container's Debian, apt leaves no caches behind in a layer (75 of 195 MB).
	mmdebstrap --variant=apt \
		--customize-hook='rm -f "$1"/var/cache/apt/*pkgcache.bin' \
		--customize-hook='echo "Dir::Cache::pkgcache \"\"; Dir::Cache::srcpkgcache \"\"; DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb\"; };" >"$1/etc/apt/apt.conf.d/docker-clean"' \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		bookworm "$1/base.tar" 2>&1 | tee "$1/log" | sed -u -n 's/^I: //p' | progress || true
	[ -s "$1/base.tar" ] || { tail -n 20 "$1/log" >&2; return 1; }
	printf 'FROM scratch\nADD base.tar /\nCMD ["/bin/bash"]\n' >"$1/Dockerfile"
}

# Image building by buildah: as root in a chroot, else in a user namespace.
images() {
	STORAGE_DRIVER=vfs buildah --root "$cache/containers" --runroot "$cache/containers-run" "$@"
}

# The base image, in the builder's store under the name that Dockerfiles use.
base_image() {
	entry "base-$(key "$(declare -f make_base)")" "base image" make_base
	# The name is given anew each time: the builder's store may hold an older base.
	images bud -q --layers --isolation chroot -t localhost/debian:bookworm-slim "$entry" >/dev/null
}

build_steps() { # TAG DOCKERFILE CONTEXT [BUILDAH ARGS...]
	local tag=$1 dockerfile=$2 context=$3
	shift 3
	images bud --layers --isolation chroot -t "localhost/$tag" -f "$dockerfile" "$@" "$context" 2>&1 |
		sed -u -n '/STEP\|[Ee]rror/p' | progress
}

# The log server's image but for its own binary: what the guests hold beforehand.
make_runtime() { # FOLDER
	(
		exec {lock}>"$cache/images.lock"
		flock "$lock"
		base_image
		build_steps runtime "$top/logserver/Dockerfile" "$top" --target runtime
		images push -q localhost/runtime "docker-archive:$1/image.tar:runtime" >/dev/null
	)
	tar -tf "$1/image.tar" | grep '\.tar$' >"$1/layers"
}

runtime_entry() {
	entry "runtime-$(key "$(declare -f make_base make_runtime)" "$(cat "$top/logserver/Dockerfile")")" "the log server's base image" make_runtime
}

# build_image TAG DOCKERFILE CONTEXT ARCHIVE: a docker-archive for `docker load`, less
# the layers that the guests hold: Docker looks a layer up by its chain of digests
# before it opens its file.
build_image() { # TAG DOCKERFILE CONTEXT ARCHIVE [BUILDAH ARGS...]
	local tag=$1 dockerfile=$2 context=$3 archive=$4 out
	shift 4
	runtime_entry
	out=$(mktemp -d "$cache/archive.XXXXXX")
	# Now, for the function's variables are gone at the end of a failure.
	trap "rm -rf ${out@Q} ${archive@Q}.new" EXIT
	(
		exec {lock}>"$cache/images.lock"
		flock "$lock"
		base_image
		build_steps "$tag" "$dockerfile" "$context" "$@"
		images push -q "localhost/$tag" "docker-archive:$out/whole.tar:$tag:latest" >/dev/null
	)
	mkdir "$out/x"
	tar -tf "$out/whole.tar" | grep -vxFf "$entry/layers" >"$out/members"
	tar -xf "$out/whole.tar" -C "$out/x" -T "$out/members"
	tar -cf "$archive.new" -C "$out/x" -T "$out/members"
	mv "$archive.new" "$archive"
}

# merge_images ARCHIVE IMAGE-ARCHIVE...: a docker-archive is layers and configurations
# under the names of their digests, and a list of images.
merge_images() {
	local archive=$1 out one
	shift
	out=$(mktemp -d)
	trap "rm -rf ${out@Q} ${archive@Q}.new" EXIT
	mkdir "$out/x"
	for one; do
		tar -xf "$one" -C "$out/x" --exclude=repositories
		cat "$out/x/manifest.json" >>"$out/manifests"
	done
	jq -cs add "$out/manifests" >"$out/x/manifest.json"
	tar -cf "$archive.new" -C "$out/x" .
	mv "$archive.new" "$archive"
}
