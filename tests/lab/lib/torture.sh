# SPDX-License-Identifier: GPL-2.0
# The torture kernel: Debian's source, built for finding mistakes.

torture_config=$top/tests/torture/kernel.config
torture_source=/usr/src/linux-source-6.12.tar.xz

# In the source tree itself: what modules are built with need then be found in one
# place, and the entry can be moved.
make_torture() { # FOLDER
	local build=$1/build
	mkdir "$build"
	tar -xf "$torture_source" -C "$build" --strip-components=1
	echo "source unpacked" | progress
	(
		cd "$build"
		# tinyconfig, but for its choices that the kernel's checks can't live with.
		cat kernel/configs/tiny-base.config kernel/configs/tiny.config |
			grep -vE 'KERNEL_XZ|SLUB_TINY|OPTIMIZE_FOR_SIZE' >"$1/config"
		cat "$torture_config" >>"$1/config"
		make -s KCONFIG_ALLCONFIG="$1/config" allnoconfig
		while read -r option; do
			grep -qxF "$option" .config || die "the torture kernel can't have $option"
		done < <(grep '^CONFIG_' "$torture_config")
		export KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab KBUILD_BUILD_TIMESTAMP='1 Jan 2024'
		make -s -j"$(nproc)" bzImage modules 2>&1
		make -s kernelrelease >"$1/release"
		cp arch/x86/boot/bzImage "$1/vmlinuz"
		make -s modules_install INSTALL_MOD_PATH="$1" DEPMOD=true
		depmod -b "$1" "$(cat "$1/release")"
		# What building a module takes: headers, makefiles, host programs, symbols.
		find . -type f \( -name '*.o' -o -name '*.a' -o -name '*.c' -o -name '*.S' -o -name '.*.cmd' \) \
			! -path './scripts/*' ! -path './tools/objtool/*' -delete
		rm -rf Documentation drivers sound samples net vmlinux* .tmp_vmlinux* arch/x86/boot \
			$(ls -d arch/* | grep -v -e /x86 -e Kconfig) tools/testing
	)
	rm "$1/config" "$1/lib/modules/"*/build
}

# The PCI interrupt table of the lab's usual machine is a program (AML) of long loops,
# which this kernel, emulated, at times doesn't finish in the 30 s that it allows.
torture_machine=(-machine q35)

torture_entry() {
	[ -f "$torture_source" ] || die "no $torture_source: run 'make deps'"
	entry "kernel-torture-$(key "$(cat "$torture_config")" "$(declare -f make_torture)" \
		"$(dpkg-query -W -f '${Version}' linux-source-6.12)" "$(gcc --version | head -n 1)")" \
		"torture kernel (some 15 minutes, once)" make_torture
}
