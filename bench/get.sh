#!/usr/bin/env bash
# C-GET of the same study from dcmqrscp by DCMTK's getscu and by dicomet, both with Nagle's algorithm off.
#   bench/get.sh [INSTANCES] [BYTES]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export TCP_NODELAY=1
instances=${1:-500}
size=${2:-537600}

testkit-generate --out "$work/original" --instances "$instances" --size "$size" >/dev/null
mkdir "$work/storage"
find "$work/original" -name '*.dcm' -print0 | xargs -0 -n 200 dcmqridx "$work/storage"
port=$(free_port)
cat >"$work/dcmqrscp.cfg" <<END
NetworkTCPPort  = $port
MaxPDUSize      = 131072
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QRSCP $work/storage RW (100, 1024mb) ANY
AETable END
END
dcmqrscp -c "$work/dcmqrscp.cfg" 2>/dev/null &
servers+=($!)
wait_for_port "$port"

echo "$instances instances of $size bytes from dcmqrscp; each line a run"
for run in 1 2 3; do
    mkdir "$work/getscu$run"
    theirs=$(seconds getscu -S +B -aec QRSCP -od "$work/getscu$run" -k QueryRetrieveLevel=STUDY \
        -k StudyInstanceUID=2.999.1.1 127.0.0.1 "$port")
    ours=$(seconds dicomet get "QRSCP@127.0.0.1:$port" StudyInstanceUID=2.999.1.1 \
        --output "$work/dicomet$run" --progress never)
    echo "getscu --bit-preserving: $theirs s   dicomet get (find and verify included): $ours s"
done
