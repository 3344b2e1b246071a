# What the scripts beside this file share: sourced by bash, run as root on Debian 12 or 13.
# shellcheck shell=bash

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

started=$SECONDS

say() {
	printf '[%4ds] %s\n' $((SECONDS - started)) "$*"
}

fail() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || fail "needs root (packages, network namespaces): sudo $0 $*"
}

# Packages of a section of script/packages that are not installed yet. Of a|b one is enough.
missing_packages() {
	local section=$1 package rest status
	sed -n "/^\[$section\]/,/^\[/p" "$tree/script/packages" | while read -r package rest; do
		case "$package" in '' | '['* | '#'*) continue ;; esac
		# shellcheck disable=SC2086
		status=$(dpkg-query -W -f '.${db:Status-Status}.' ${package//|/ } 2>/dev/null || true)
		case "$status" in *.installed.*) continue ;; esac
		printf '%s ' "$package"
	done
}

# The names of packages, of a|b the first that this Debian has.
choose_packages() {
	local package name
	for package in "$@"; do
		name=$package
		case "$package" in *'|'*)
			for name in ${package//|/ }; do
				apt-cache show "$name" >/dev/null 2>&1 && break
			done
			;;
		esac
		printf '%s ' "$name"
	done
}

# install_packages SECTION...: from script/packages; says what it does.
install_packages() {
	local wanted='' section log
	for section in "$@"; do
		wanted+=$(missing_packages "$section")' '
	done
	# shellcheck disable=SC2086
	set -- $wanted
	[ $# -gt 0 ] || return 0
	say "installing $# packages: $*"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	# shellcheck disable=SC2046
	if ! { apt-get -q update &&
		apt-get -q -y --no-install-recommends install $(choose_packages "$@"); } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		fail "the packages cannot be installed; apt-get said why above"
	fi
	rm -f "$log"
}

# build_tree DIRECTORY [MESON-OPTION...]: configures once, compiles, stops on any warning.
build_tree() {
	local directory=$1 log
	shift
	log=$(mktemp)
	if [ ! -f "$directory/build.ninja" ]; then
		meson setup "$directory" "$tree" "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; return 1; }
	fi
	ninja -C "$directory" >"$log" 2>&1 || { grep -vE '^\[[0-9]+/[0-9]+\] (Compiling|Linking|Generating)' "$log" >&2; rm -f "$log"; return 1; }
	rm -f "$log"
}
