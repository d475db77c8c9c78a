#!/bin/sh
# Removes ctxdev: unloads the module first, which rem_drv does not insist on, then rem_drv, devlink.tab, files.
#
#     remove.sh
#
# Environment: ROOT, the system's directory, empty for this system.
set -eu

name=ctxdev
root=${ROOT:-}

fail() {
    echo "remove.sh: $*" >&2
    exit 1
}

[ $# = 0 ] || fail "usage: remove.sh"
for tool in rem_drv modinfo modunload; do
    command -v "$tool" >/dev/null 2>&1 || fail "there is no $tool: this is not an illumos system, or PATH lacks /usr/sbin"
done
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "not root: drivers are removed with pfexec or sudo"

# A driver that is open or mapped cannot be unloaded. rem_drv would remove it from the databases all the same and leave the
# module in the kernel until the next boot.
id=$(modinfo | awk '$6 == "'"$name"'" { print $1 }')
if [ -n "$id" ]; then
    modunload -i "$id" || fail "$name is in use: close what has it open or mapped"
fi
# Unloading detaches only what is idle: the module is gone, or somebody opened it again.
id=$(modinfo | awk '$6 == "'"$name"'" { print $1 }')
[ -z "$id" ] || fail "$name was loaded again: something keeps opening it"

majors=$root/etc/name_to_major
if [ ! -f "$majors" ] || grep -q "^$name[[:space:]]" "$majors"; then
    rem_drv "$name" || fail "rem_drv failed with status $?"
fi

links=$root/etc/devlink.tab
if [ -f "$links" ]; then
    tab=$(printf '\t')
    # Those that install.sh entered.
    for each in "name=$name" "minor=${name}pci0" "minor=${name}pci1" "minor=${name}pci2" "minor=${name}pci3"; do
        grep -Fvx "type=ddi_pseudo;$each$tab\\M0" "$links" >"$links.$$" || :
        cat "$links.$$" >"$links"
        rm -f "$links.$$"
    done
fi
rm -f "$root/kernel/drv/amd64/$name" "$root/kernel/drv/$name.conf"
if command -v devfsadm >/dev/null 2>&1; then
    devfsadm -C || fail "devfsadm failed: links to $name may be left in /dev"
fi
echo "$name is removed"
