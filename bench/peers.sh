# Sourced by compare: the peers, each on a free port over the files of one data set. Debian's DCMTK and Orthanc leave
# Nagle's algorithm on unless TCP_NODELAY=1 is in their environment; every peer runs in both settings:
#
#   stock   as installed
#   tuned   TCP_NODELAY=1
#
# A function that starts a server puts its port into $port and ends the server with the script (see common.sh).

# setting SETTING COMMAND...: runs it with Nagle's algorithm on (stock) or off (tuned).
setting() {
    case $1 in
        stock) env -u TCP_NODELAY "${@:2}" ;;
        tuned) env TCP_NODELAY=1 "${@:2}" ;;
    esac
}

# serve_in_background NAME SETTING COMMAND...: the function waits for nothing.
serve_in_background() {
    case $2 in
        stock) env -u TCP_NODELAY "${@:3}" >"$work/$1.log" 2>&1 & ;;
        tuned) env TCP_NODELAY=1 "${@:3}" >"$work/$1.log" 2>&1 & ;;
    esac
    servers+=($!)
}

end_servers() {
    for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${servers[@]}"; do wait "$pid" 2>/dev/null || true; done
    servers=()
}

# start_dcmqrscp SETTING FOLDER: over the files as they are, which dcmqridx registers without a network (with an
# alert for each step past 32 MB of index, which 5,000 instances reach; it works all the same).
start_dcmqrscp() {
    local storage=$work/dcmqrscp
    if [ ! -d "$storage" ]; then
        mkdir "$storage"
        find "$2" -name '*.dcm' -print0 | xargs -0 -n 200 dcmqridx "$storage" >"$work/dcmqridx.log" 2>&1
    fi
    start_dcmqrscp_in "$1" "$storage"
}

# start_dcmqrscp_in SETTING STORAGE
start_dcmqrscp_in() {
    port=$(free_port)
    cat >"$work/dcmqrscp-$port.cfg" <<END
NetworkTCPPort  = $port
MaxPDUSize      = 131072
MaxAssociations = 32
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QRSCP $2 RW (1000, 1024mb) ANY
AETable END
END
    serve_in_background dcmqrscp "$1" dcmqrscp -c "$work/dcmqrscp-$port.cfg"
    wait_for_port "$port"
}

# start_storescp SETTING FOLDER
start_storescp() {
    port=$(free_port)
    serve_in_background storescp "$1" storescp -od "$2" "$port"
    wait_for_port "$port"
}

# start_orthanc SETTING|THREADS: over the database $work/orthanc-SETTING; tuned, with so many threads.
start_orthanc() {
    mkdir -p "$work/orthanc-$1"
    case $1 in
        stock | tuned) start_orthanc_in "$1" "$work/orthanc-$1" 4 ;;
        *) start_orthanc_in tuned "$work/orthanc-$1" "$1" ;;
    esac
}

# start_orthanc_in SETTING FOLDER THREADS: it knows our callers, and is else as installed (4 threads).
start_orthanc_in() {
    port=$(free_port)
    cat >"$work/orthanc-$port.json" <<END
{ "Name": "bench", "StorageDirectory": "$2", "IndexDirectory": "$2",
  "TemporaryDirectory": "$work", "Plugins": [], "HttpServerEnabled": false,
  "DicomAet": "ORTHANC", "DicomPort": $port, "UnknownSopClassAccepted": true, "DicomThreadsCount": $3,
  "DicomModalities": {
    "dicomet": { "AET": "DICOMET", "Host": "127.0.0.1", "Port": 11112, "AllowFind": true, "AllowGet": true },
    "getscu": { "AET": "GETSCU", "Host": "127.0.0.1", "Port": 11112, "AllowFind": true, "AllowGet": true } } }
END
    local program=/usr/sbin/Orthanc
    [ -x "$program" ] || program=Orthanc
    serve_in_background orthanc "$1" "$program" "$work/orthanc-$port.json"
    wait_for_port "$port"
}

# fill_orthanc FOLDER: both databases.
fill_orthanc() {
    start_orthanc tuned
    setting tuned storescu -aec ORTHANC +sd +r -R 127.0.0.1 "$port" "$1"
    end_servers
    cp -r "$work/orthanc-tuned" "$work/orthanc-stock"
}

# start_dicomet FOLDER: over the files in it.
start_dicomet() {
    [ -d "$work/dicomet" ] || dicomet import "$1" --data "$work/dicomet" >/dev/null
    start_dicomet_in "$work/dicomet"
}

# start_dicomet_in DATA
start_dicomet_in() {
    port=$(free_port)
    serve_in_background serve stock dicomet serve --data "$1" --listen "127.0.0.1:$port"
    wait_for_port "$port"
}

# start_line ROUND_TRIP_MS ACCEPTOR_PORT: a line of 1 Gbit/s before it.
start_line() {
    port=$(free_port)
    testkit-line "127.0.0.1:$port" "127.0.0.1:$2" --round-trip "$1" --bandwidth 1000 >/dev/null &
    servers+=($!)
    wait_for_port "$port"
}
