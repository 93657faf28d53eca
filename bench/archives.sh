# Sourced by ingest and find: Orthanc and `dicomet serve` over folders of their own, on free ports. Orthanc runs with
# TCP_NODELAY=1 and is else as installed, which means that it syncs each file (SyncStorageArea) and not its index;
# without HTTP, plugins and the limit to known callers.
#
# A function that starts an archive puts its port into $port; end_archives ends all that were started.

start_orthanc_in() { # FOLDER
    port=$(free_port)
    mkdir -p "$1"
    cat >"$1.json" <<END
{ "Name": "bench", "StorageDirectory": "$1", "IndexDirectory": "$1", "TemporaryDirectory": "$1", "Plugins": [],
  "HttpServerEnabled": false, "DicomAet": "ORTHANC", "DicomPort": $port, "DicomAlwaysAllowFind": true,
  "LimitFindResults": 0, "LimitFindInstances": 0 }
END
    local program=/usr/sbin/Orthanc
    [ -x "$program" ] || program=Orthanc
    TCP_NODELAY=1 "$program" "$1.json" >"$1.log" 2>&1 &
    servers+=($!)
    wait_for_port "$port"
}

start_dicomet_in() { # FOLDER
    port=$(free_port)
    dicomet serve --data "$1" --listen "127.0.0.1:$port" >"$1.log" 2>&1 &
    servers+=($!)
    wait_for_port "$port"
}

end_archives() {
    for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${servers[@]}"; do wait "$pid" 2>/dev/null || true; done
    servers=()
}

# processor PID: seconds that it has used.
processor() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"; }

machine() {
    echo "$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(free -g | awk '/^Mem/ { print $2 }') GB," \
        "Linux $(uname -r), load before the run $(cut -d' ' -f1-3 /proc/loadavg)"
}
