#!/usr/bin/env bash
# How much memory an object of 3 GB needs on its way: DCMTK's storescu into `dicomet serve`, and from there by
# `dicomet get`. Prints the peak resident set of each process, as /usr/bin/time -v gives it.
#   bench/memory.sh [BYTES]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
size=${1:-3000000000}
export TCP_NODELAY=1

peak() { awk '/Maximum resident set size/ { printf "%.1f MiB", $NF / 1024 }' "$1"; }

testkit-generate --out "$work/original" --instances 1 --size "$size" >/dev/null
port=$(free_port)
/usr/bin/time -v -o "$work/serve.time" dicomet serve --data "$work/data" --listen "127.0.0.1:$port" 2>"$work/serve.log" &
timer=$!
wait_for_port "$port"
serve=$(tr -d ' ' <"/proc/$timer/task/$timer/children")
servers+=("$serve")

store=$(seconds storescu -aec DICOMET +sd +r 127.0.0.1 "$port" "$work/original")
get=$(seconds /usr/bin/time -v -o "$work/get.time" dicomet get "DICOMET@127.0.0.1:$port" \
    StudyInstanceUID=2.999.1.1 --output "$work/retrieved" --progress never)
kill -TERM "$serve"
wait "$timer" || true
servers=()

retrieved=$(find "$work/retrieved" -name '*.dcm')
same=no
# The file meta information differs, the data set behind it must not.
bytes=$(stat -c %s "$retrieved")
original=$(find "$work/original" -name '*.dcm')
data_set=$((bytes - 4096))
cmp --silent <(tail -c "$data_set" "$original") <(tail -c "$data_set" "$retrieved") && same=yes
echo "one object of $bytes bytes; the same bytes: $same"
echo "serve, storing and sending it: peak $(peak "$work/serve.time"); storescu took $store s"
echo "get: peak $(peak "$work/get.time"); it took $get s"
