#!/usr/bin/env bash
# A stock storescu leaves Nagle's algorithm on and waits for delayed acknowledgements. How long it takes to send small
# objects to a stock storescp, and to `dicomet serve`.
#   bench/nagle.sh [OBJECTS] [BYTES]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
unset TCP_NODELAY
objects=${1:-500}
size=${2:-3072}

testkit-generate --out "$work/original" --instances "$objects" --size "$size" >/dev/null
mkdir "$work/storescp"
port=$(free_port)
storescp -od "$work/storescp" "$port" >/dev/null 2>&1 &
servers+=($!)
wait_for_port "$port"
theirs=$(seconds storescu -aec STORESCP +sd +r 127.0.0.1 "$port" "$work/original")

port=$(free_port)
dicomet serve --data "$work/data" --listen "127.0.0.1:$port" 2>"$work/serve.log" &
servers+=($!)
wait_for_port "$port"
ours=$(seconds storescu -aec DICOMET +sd +r 127.0.0.1 "$port" "$work/original")

echo "$objects objects of $size bytes, storescu with Nagle's algorithm on"
echo "to storescp:      $theirs s"
echo "to dicomet serve: $ours s (each object durable before it is answered)"
awk "BEGIN { printf \"%.1f times faster\n\", $theirs / $ours }"
