#!/bin/sh
# Removes ctxdev: unloads the module first, which rem_drv does not insist on, then rem_drv, devlink.tab, files, links.
#
#     remove.sh
#
# Environment:
#     ROOT    another system's directory: only its files are changed, nothing of the running system
#     SYSTEM  where the files of the running system are, if not in / (ddi-host serve --root)
set -eu

name=ctxdev
pci=ctxdevpci
other=${ROOT:-}
other=${other%/}
files=${other:-${SYSTEM:-}}

fail() {
    echo "remove.sh: $*" >&2
    exit 1
}

[ $# = 0 ] || fail "usage: remove.sh"
tools=rem_drv
[ -n "$other" ] || tools="$tools modinfo modunload"
for tool in $tools; do
    command -v "$tool" >/dev/null 2>&1 || fail "there is no $tool: this is not an illumos system, or PATH lacks /usr/sbin"
done
[ -z "$other" ] || [ -d "$other" ] || fail "ROOT=$other is no directory"
[ -n "$files" ] || [ "$(id -u)" = 0 ] || fail "not root: drivers are removed with pfexec or sudo"

# loaded: the number of the module, if it is in the running kernel.
loaded() {
    modinfo | awk '$6 == "'"$name"'" { print $1 }'
}
# A driver that is open or mapped cannot be unloaded. rem_drv would remove it from the databases all the same and leave the
# module in the kernel until the next boot.
if [ -z "$other" ]; then
    id=$(loaded)
    if [ -n "$id" ]; then
        modunload -i "$id" || fail "$name is in use: close what has it open or mapped"
    fi
    # Unloading detaches only what is idle: the module is gone, or somebody opened it again.
    [ -z "$(loaded)" ] || fail "$name was loaded again: something keeps opening it"
fi

majors=$files/etc/name_to_major
if [ -f "$majors" ] && grep -q "^${name}[[:space:]]" "$majors"; then
    set --
    [ -z "$other" ] || set -- -b "$other"
    rem_drv "$@" "$name" || fail "rem_drv failed with status $?"
fi

links=$files/etc/devlink.tab
if [ -f "$links" ]; then
    tab=$(printf '\t')
    # Those that install.sh entered. The file is replaced when the new one is whole; a copy has its owner and mode.
    set --
    for each in "name=$name" "minor=${pci}0" "minor=${pci}1" "minor=${pci}2" "minor=${pci}3"; do
        set -- "$@" -e "type=ddi_pseudo;$each$tab\\M0"
    done
    kept() {
        cp -p "$links" "$links.$$" || return 1
        # grep ends with 1 when no line is left.
        grep -Fvx "$@" "$links" >"$links.$$" || [ $? = 1 ] || return 1
        mv "$links.$$" "$links"
    }
    if grep -Fqx "$@" "$links" && ! kept "$@"; then
        rm -f "$links.$$"
        fail "$links could not be written"
    fi
fi
rm -f "$files/kernel/drv/amd64/$name" "$files/kernel/drv/$name.conf"
# devfsadm leaves links of devlink.tab's lines for ever: those of this driver's nodes, which are gone. A PCI node's name is not the driver's.
for link in "$files/dev/"*; do
    [ -h "$link" ] && [ ! -e "$link" ] || continue
    minor=${link##*/}
    target=$(ls -ld "$link")
    case $minor:${target##*' -> '} in
    "$minor:"*devices/pseudo/"$name"@*":$minor" | "$pci"[0-3]:*devices/*":$minor") rm -f "$link" ;;
    esac
done
if [ -z "$other" ] && [ -n "$(loaded)" ]; then
    fail "$name is removed, but its module stays in the kernel until the next boot: something opened it meanwhile"
fi
echo "$name is removed${other:+ from $other}"
