# Sourced by compare: runs that are timed, their figures, and the tables that they come into.

# data_set NAME INSTANCES BYTES: generates it, in place of the one before, and begins with no figures.
data_set() {
    instances=$2
    rm -rf "$work"/{original,dcmqrscp,orthanc-*,dicomet,times}
    mkdir "$work/times"
    testkit-generate --out "$work/original" --instances "$2" --size "$3" >/dev/null
    bytes=$(find "$work/original" -name '*.dcm' -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
    echo "$(date +%T) $1" >&2
}

# noted NAME COMMAND...: runs it and notes the seconds under the name, and the associations when it tells them.
noted() {
    local name=$1 begin end
    shift
    begin=$EPOCHREALTIME
    "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "failed: $*" >&2; return 1; }
    end=$EPOCHREALTIME
    awk "BEGIN { print $end - $begin }" >>"$work/times/$name"
    sed -n 's/^{.*"associations":\([0-9]*\).*/\1/p' "$work/log" >>"$work/times/.$name-associations"
}

# timed NAME COMMAND...: as noted, with OUT in its words standing for a new folder. What did not bring every instance is
# no figure.
timed() {
    local got
    rm -rf "$output"
    mkdir -p "$output"
    noted "${@//OUT/$output}"
    got=$(find "$output" -name .dicomet -prune -o -type f -print | wc -l)
    [ "$got" -eq "$instances" ] || { echo "$got of $instances instances: $*" >&2; return 1; }
}

# median NAME, spread NAME: of the seconds under it; most NAME: of the associations.
median() { sort -g "$work/times/$1" | awk '{ t[NR] = $1 } END { printf "%.3f", t[int((NR + 1) / 2)] }'; }
spread() { sort -g "$work/times/$1" | awk 'NR == 1 { min = $1 } END { printf "%.2f-%.2f", min, $1 }'; }
figure() {
    if [ "$(wc -l <"$work/times/$1")" -gt 1 ]; then
        printf '%.2f (%s)' "$(median "$1")" "$(spread "$1")"
    else
        printf '%.2f' "$(median "$1")"
    fi
}
most() { sort -g "$work/times/.$1-associations" | tail -1; }
ratio() { awk "BEGIN { printf \"%.1f\", $1 / $2 }"; }
least() { sort -g | head -1; }

row() { printf '| %s ' "$@" >>"$results"; echo '|' >>"$results"; }
heading() { printf '\n## %s\n\n%s\n\n' "$1" "$2" >>"$results"; }
# columns NAME...: the head of a table.
columns() {
    row "$@"
    row "${@//*/---}"
}

# in_short FIGURE OURS PEER'S RATIO AIM FLOOR: a line of the one table that the page begins with.
in_short() { printf '| %s ' "$@" >>"$summary"; echo '|' >>"$summary"; }
