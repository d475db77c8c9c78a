#!/bin/sh
# Installs ctxdev: files, devlink.tab, add_drv; then checks what add_drv does not, and takes everything back when something is
# wrong.
#
#     install.sh [ALIAS]
#
# ALIAS is the name of PCI devices that the driver shall bind to, such as pci1af4,1110 (default: none). They become
# /dev/ctxdevpci0 to ctxdevpci3.
#
# Environment:
#     MODULE      the module's file, if it is not beside this script
#     ROOT        another system's directory: only its files are changed, nothing of the running system, and it attaches the driver when it boots
#     SYSTEM      where the files of the running system are, if not in / (ddi-host serve --root)
#     NODE_CHECK  how to see whether a node is there: a command that gets the node's name (test -c)
set -eu

name=ctxdev
# Names in /dev: of pseudo nodes, and of PCI devices, without their numbers.
nodes="ctxdev0"
pci=ctxdevpci
permissions='* 0666 root sys'
aliases=${1:-}
other=${ROOT:-}
other=${other%/}
files=${other:-${SYSTEM:-}}
check=${NODE_CHECK:-test -c}
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

[ $# -le 1 ] || fail "usage: install.sh [ALIAS]"
tools="add_drv rem_drv od awk"
[ -n "$other" ] || tools="$tools modinfo modunload"
for tool in $tools; do
    command -v "$tool" >/dev/null 2>&1 || fail "there is no $tool: this is not an illumos system, or PATH lacks /usr/sbin"
done
[ -z "$other" ] || [ -d "$other" ] || fail "ROOT=$other is no directory"
[ -n "$files" ] || [ "$(id -u)" = 0 ] || fail "not root: drivers are installed with pfexec or sudo"

conf=$here/$name.conf
[ -f "$conf" ] || fail "$conf is not there"
module=${MODULE:-$here/$name}
[ -f "$module" ] || fail "there is no $module: cargo ddi module makes it, and MODULE=FILE names it"

# numbers FROM COUNT: the bytes of the module from there on, as numbers.
numbers() {
    od -A n -v -t u1 -j "$1" -N "$2" "$module"
}
# A kernel's loader believes the file's headers: it panics when the file ends before what they tell of. So: a 64-bit ELF file, and its section headers
# and the sections lie within it.
whole() {
    size=$(wc -c <"$module")
    table=$(numbers 0 64 | awk '
        { for (i = 1; i <= NF; i++) byte[n++] = $i }
        END {
            if (n < 64 || byte[0] != 127 || byte[1] != 69 || byte[2] != 76 || byte[3] != 70 || byte[4] != 2 || byte[5] != 1)
                exit 1
            for (i = 47; i >= 40; i--)
                from = from * 256 + byte[i]
            each = byte[58] + byte[59] * 256
            count = byte[60] + byte[61] * 256
            if (from < 64 || each != 64 || count == 0)
                exit 1
            printf "%.0f %d\n", from, each * count
        }') || return 1
    # A header that is too far away for this arithmetic is outside of the file.
    echo "$table" "$size" | awk '{ exit !($1 + $2 <= $3) }' || return 1
    # shellcheck disable=SC2086
    { echo "$size"; numbers $table; } | awk '
        NR == 1 { size = $1; next }
        { for (i = 1; i <= NF; i++) byte[n++] = $i }
        END {
            for (at = 0; at < n; at += 64) {
                # sh_type: neither SHT_NULL nor SHT_NOBITS, which take no room in the file.
                if (byte[at + 5] == 0 && byte[at + 6] == 0 && byte[at + 7] == 0 && (byte[at + 4] == 0 || byte[at + 4] == 8))
                    continue
                offset = extent = 0
                for (i = 7; i >= 0; i--) {
                    offset = offset * 256 + byte[at + 24 + i]
                    extent = extent * 256 + byte[at + 32 + i]
                }
                if (offset + extent > size)
                    exit 1
            }
        }'
}
whole || fail "$module is not a whole module: something has cut it off, and loading it would panic the kernel"

majors=$files/etc/name_to_major
if [ -f "$majors" ] && grep -q "^${name}[[:space:]]" "$majors"; then
    fail "$name is installed already: remove.sh removes it"
fi

# loaded: the number of the module, if it is in the running kernel.
loaded() {
    modinfo | awk '$6 == "'"$name"'" { print $1 }'
}
# rem_drv leaves a driver that is busy in the kernel, and add_drv would go on with it instead of loading the new one.
if [ -z "$other" ]; then
    id=$(loaded)
    if [ -n "$id" ]; then
        modunload -i "$id" >/dev/null 2>&1 || :
        [ -z "$(loaded)" ] || fail "an older $name that is busy is still in the kernel, as module $id: close what has it open or mapped, or reboot"
    fi
fi

undo() {
    left=$(sh "$here/remove.sh" 2>&1) || fail "$*; not everything could be taken back: $left"
    fail "$*; everything was taken back"
}

links=$files/etc/devlink.tab
tab=$(printf '\t')
link() {
    line="type=ddi_pseudo;$1$tab\\M0"
    ! grep -Fqx "$line" "$links" 2>/dev/null || return 0
    # The last line may have no end.
    [ ! -s "$links" ] || [ -z "$(tail -c 1 "$links")" ] || echo >>"$links" || return 1
    printf '%s\n' "$line" >>"$links"
}
place() {
    mkdir -p "$files/kernel/drv/amd64" "$files/etc" || return 1
    cp "$module" "$files/kernel/drv/amd64/$name" || return 1
    chmod 755 "$files/kernel/drv/amd64/$name" || return 1
    cp "$conf" "$files/kernel/drv/$name.conf" || return 1
    chmod 644 "$files/kernel/drv/$name.conf" || return 1
    link "name=$name" || return 1
    # By minor name: a PCI node's name is made of its subsystem's numbers, and is not the alias.
    for unit in ${aliases:+0 1 2 3}; do
        link "minor=$pci$unit" || return 1
    done
}
place || undo "the files could not be written"

# add_drv's exit status says that the driver is in the databases, not that it works.
quoted=
for alias in $aliases; do
    quoted="$quoted${quoted:+ }\"$alias\""
done
set -- -m "$permissions"
[ -z "$quoted" ] || set -- "$@" -i "$quoted"
[ -z "$other" ] || set -- -b "$other" "$@"
status=0
said=$(add_drv "$@" "$name" 2>&1) || status=$?
[ -z "$said" ] || printf '%s\n' "$said" >&2
[ "$status" = 0 ] || undo "add_drv failed with status $status"
if [ -n "$other" ]; then
    echo "$name is in $other: it attaches when that system boots"
    exit 0
fi
case $said in
*"failed to attach"*)
    [ -z "$(loaded)" ] || undo "the module loads and no node attaches: $name.conf names none, or the driver's attach(9E) refuses, of which the kernel logs nothing"
    undo "the module does not load: the loader's reason is at the end of /var/adm/messages; if there is none, its _init(9E) refuses"
    ;;
esac

for node in $nodes; do
    node=$files/dev/$node
    # devfsadmd makes the link a moment later.
    for wait in 1 2 3 4 5 0; do
        # shellcheck disable=SC2086
        $check "$node" 2>/dev/null && break
        [ "$wait" != 0 ] || undo "the driver attaches, but there is no $node: its minor node has another name, or devlink.tab another line for it"
        sleep 1
    done
    echo "$node"
    # Without its permissions the kernel has given it mode 0600.
    case $(ls -lL "$node" 2>/dev/null) in
    c???------*) echo "install.sh: only root can open $node until the system boots or devfsadm -I -P has run" >&2 ;;
    esac
done
# Which PCI devices there are is the machine's affair.
for unit in ${aliases:+0 1 2 3}; do
    node=$files/dev/$pci$unit
    # shellcheck disable=SC2086
    ! $check "$node" 2>/dev/null || echo "$node"
done
