# Runs a script in this process group. $1: directory of the run, $2: command, $3: `merge` to write
# errors to the standard output. The standard input is a pipe that ends with dockctl: then the
# whole group ends. Variables of the script must keep their values, so that names here are unusual.
_dockctl_run=$1 _dockctl_command=$2 _dockctl_merge=$3
exec 3<&0 </dev/null
if [ -r "/proc/$$/stat" ]; then
    read -r _dockctl_stat <"/proc/$$/stat"
    set -- ${_dockctl_stat##*) }
fi
printf '%s %s' "$$" "${20}" >"$_dockctl_run/group"
(
    trap '' TERM
    exec >/dev/null 2>&1
    while read -r _dockctl_line <&3; do :; done
    [ -e "$_dockctl_run/code" ] && exit
    : >"$_dockctl_run/cut"
    kill -TERM 0
    command -p sleep 0.3 || command -p sleep 1
    kill -KILL 0
) &
_dockctl_watch=$!
exec 3<&-
if [ "$_dockctl_merge" = merge ]; then exec 2>&1; fi
/bin/sh -c "$_dockctl_command"
_dockctl_code=$?
printf '%s' "$_dockctl_code" >"$_dockctl_run/code.new" &&
    command -p mv "$_dockctl_run/code.new" "$_dockctl_run/code"
if [ -p "$_dockctl_run/request" ]; then
    printf 'end %s\n' "$_dockctl_code" >"$_dockctl_run/request"
fi
{ kill -KILL "$_dockctl_watch" && wait "$_dockctl_watch"; } >/dev/null 2>&1
exit "$_dockctl_code"
