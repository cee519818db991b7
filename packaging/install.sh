#!/usr/bin/env bash
# install.sh install|uninstall VERSION: installs the package that was built for this machine into it, with its own package manager
# and the package's hooks, and shows the status once the first canary has come through; or takes it away again, state and account too.
set -euo pipefail

verb=${1:?install or uninstall} version=${2:?version}
[[ $(id -u) == 0 ]] || {
	echo "$verb: needs root" >&2
	exit 4
}
export DEBIAN_FRONTEND=noninteractive

build() { go run ./packaging --version "$version" --out dist --package amp-connector --format "$1" --arch "$(go env GOARCH)"; }

install() {
	if command -v apt-get >/dev/null; then
		built=$(build deb)
		# Without what is only recommended: uninstall then leaves the machine as it was.
		apt-get install -y --no-install-recommends --reinstall --allow-downgrades "./$built"
	elif command -v dnf >/dev/null || command -v yum >/dev/null; then
		built=$(build rpm)
		"$(command -v dnf || command -v yum)" install -y "./$built"
	elif command -v zypper >/dev/null; then
		built=$(build rpm)
		# Statuses from 102 on tell of something that is worth a look after all was done (zypper(8)); 104 is that it was not found.
		zypper --non-interactive install --allow-unsigned-rpm "./$built" || [[ $? == @(102|103|106|107) ]]
	else
		echo "install: neither apt-get, dnf, yum nor zypper is here" >&2
		exit 1
	fi
	# A policy-rc.d that forbids package scripts to start services, as container images have it, does not speak to a person who asks.
	ampcli status >/dev/null 2>&1 || amp-install start
	for _ in {1..50}; do
		status=$(ampcli status) && grep -q '^Canary: *seen' <<<"$status" && break
		sleep 0.2
	done
	printf '%s\n' "$status"
}

uninstall() {
	if ! command -v amp-install >/dev/null && ! dpkg-query -W amp-connector >/dev/null 2>&1; then
		echo "uninstall: amp-connector is not installed"
		return
	fi
	if command -v apt-get >/dev/null; then
		apt-get purge -y amp-connector
	else
		amp-install purge --yes
		rpm -e amp-connector
	fi
}

case $verb in
install | uninstall) "$verb" ;;
*)
	echo "usage: install.sh install|uninstall VERSION" >&2
	exit 2
	;;
esac
