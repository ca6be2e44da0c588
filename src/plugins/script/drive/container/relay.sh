# Carries requests of ctx to dockctl and answers back. $1: directory of the run. A request is a line
# `ask ID LENGTH` and its content; the line `end CODE` shows the end of the script. An answer is a
# line with the ID, the exit code, and the output and the errors as `printf %b` reads them.
umask 077
run=$1
exec 4<>"$run/request"
(
    while read -r id code <&4; do
        if [ "$id" = end ]; then
            printf 'end %s\n' "$code"
            continue
        fi
        printf 'ask %s %d\n' "$id" "$(($(wc -c <"$run/ask.$id")))"
        cat "$run/ask.$id"
    done
) &
forwarder=$!
while IFS=' ' read -r id code out err; do
    printf '%b' "${out#.}" >"$run/out.$id"
    printf '%b' "${err#.}" >"$run/err.$id"
    printf '%s\n' "$code" >"$run/end.$id" &
done
kill "$forwarder"
wait
