#!/bin/sh
# Installs ctxdev: files, devlink.tab, add_drv; then checks what add_drv does not, and takes everything back when something is
# wrong.
#
#     install.sh [ALIAS]
#
# ALIAS is the name of PCI devices that the driver shall bind to besides its own pseudo node, such as pci1af4,1110. They become
# /dev/ctxdevpci0 to ctxdevpci3.
#
# The module is taken from this directory, or from where `cargo xtask module` puts it. Environment:
#     ROOT        the system's directory, empty for this system
#     NODE_CHECK  how to see whether a node is there: a command that gets the node's name (test -c)
set -eu

name=ctxdev
alias=${1:-}
root=${ROOT:-}
check=${NODE_CHECK:-test -c}
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

[ $# -le 1 ] || fail "usage: install.sh [ALIAS]"
for tool in add_drv rem_drv; do
    command -v "$tool" >/dev/null 2>&1 || fail "there is no $tool: this is not an illumos system, or PATH lacks /usr/sbin"
done
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "not root: drivers are installed with pfexec or sudo"

conf=$here/$name.conf
[ -f "$conf" ] || fail "$conf is not there"
for module in "$here/$name" "$here/../../target/module/$name"; do
    [ -f "$module" ] && break
done
[ -f "$module" ] || fail "no module: cargo xtask module makes it"

majors=$root/etc/name_to_major
if [ -f "$majors" ] && grep -q "^$name[[:space:]]" "$majors"; then
    fail "$name is installed already: remove.sh removes it"
fi

links=$root/etc/devlink.tab
tab=$(printf '\t')
link() {
    line="type=ddi_pseudo;$1$tab\\M0"
    grep -Fqx "$line" "$links" 2>/dev/null || printf '%s\n' "$line" >>"$links"
}

undo() {
    "$here/remove.sh" >/dev/null 2>&1 || sh "$here/remove.sh" >/dev/null 2>&1 || :
    rm -f "$root/kernel/drv/amd64/$name" "$root/kernel/drv/$name.conf"
    fail "$*; everything was taken back"
}

mkdir -p "$root/kernel/drv/amd64" "$root/etc"
cp "$module" "$root/kernel/drv/amd64/$name"
chmod 755 "$root/kernel/drv/amd64/$name"
cp "$conf" "$root/kernel/drv/$name.conf"
chmod 644 "$root/kernel/drv/$name.conf"
link "name=$name"
# By minor name: a PCI node's name is made of its subsystem's numbers, and is not the alias.
for unit in ${alias:+0 1 2 3}; do
    link "minor=${name}pci$unit"
done

# add_drv's exit status says that the driver is in the databases, not that it works.
set -- -m '* 0666 root sys'
[ -z "$alias" ] || set -- "$@" -i "\"$alias\""
status=0
said=$(add_drv "$@" "$name" 2>&1) || status=$?
[ -z "$said" ] || printf '%s\n' "$said" >&2
[ "$status" = 0 ] || undo "add_drv failed with status $status"
case $said in
*"failed to attach"*) undo "the driver does not attach: the reason is at the end of /var/adm/messages" ;;
esac

units=$(sed -n "s/^name=\"$name\".*parent=\"pseudo\".*unit=\([0-9]*\);.*/\1/p" "$conf")
for unit in $units; do
    node=$root/dev/$name$unit
    # devfsadmd makes the link a moment later.
    for wait in 1 2 3 4 5 0; do
        # shellcheck disable=SC2086
        $check "$node" 2>/dev/null && break
        [ "$wait" != 0 ] || undo "the driver is installed, but there is no $node"
        sleep 1
    done
    echo "$node"
done
# Which PCI devices there are is the machine's affair.
for unit in ${alias:+0 1 2 3}; do
    node=$root/dev/${name}pci$unit
    # shellcheck disable=SC2086
    ! $check "$node" 2>/dev/null || echo "$node"
done
