# Shows how a run ended. $1: directory. Prints `none`, `running`, `cut` or `code N`.
[ -d "$1" ] || { echo none; exit; }
if [ -e "$1/cut" ]; then echo cut; exit; fi
if [ -e "$1/code" ]; then printf 'code '; cat "$1/code"; exit; fi
read -r group started <"$1/group" 2>/dev/null
for file in /proc/[0-9]*/stat; do
    read -r line <"$file" || continue
    set -- ${line##*) }
    if [ "$3" = "$group" ] && [ "$1" != Z ]; then echo running; exit; fi
done 2>/dev/null
echo cut
