# Creates the directory of a run. $1: directory, $2: name of the script, $3: ctx, $4: ctx-sh. The
# standard input is the script.
umask 077
missing=
for name in mkdir mkfifo head wc cat chmod mv rm sleep; do
    command -v "$name" >/dev/null || missing="$missing $name"
done
if [ -n "$missing" ]; then
    printf '%s' "the image lacks:$missing" >&2
    exit 3
fi
mkdir "$1" || exit 4
mkdir "$1/bin" "$1/script" && mkfifo "$1/request" || exit 4
printf '%s' "$3" >"$1/bin/ctx"
printf '%s' "$4" >"$1/bin/ctx-sh"
cat >"$1/script/$2"
chmod 700 "$1/bin/ctx" "$1/script/$2"
