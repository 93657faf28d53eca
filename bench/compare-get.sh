# Sourced by compare: retrieving.

getscu_from() { # NAME AE PORT SETTING
    timed "$1" setting "$4" getscu -S +B -pdu 131072 -aec "$2" -od OUT \
        -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=$study 127.0.0.1 "$3"
}

dicomet_from() { # NAME AE PORT
    timed "$1" dicomet get "$2@127.0.0.1:$3" StudyInstanceUID=$study --output OUT --progress never --format json
}

# On one machine: from our archive, against the better of two tuned peers.
local_speed() {
    heading "Retrieving on one machine" "Median (least-most) of $runs runs in turns; peers tuned. Ratio: the better of both
getscu figures by that of dicomet from its own archive. The floor is \`bench-floor\`: sendfile over loopback into new
files. Data and output on tmpfs; then the output on a disk, whose write-back swings the figures."
    columns "data, output on" "getscu from dcmqrscp" "getscu from Orthanc" "**dicomet get from dicomet serve**" ratio \
        floor "times the floor" "dicomet get from dcmqrscp" "dicomet get from Orthanc"
    local_set "CT of 525 KB" $((500 / scale)) 537600 1.3
    local_set "MR of 132 KB" $((2000 / scale)) 135168 2.5
    local_set "objects of 3 KB" $((5000 / scale)) 3072 6
}

local_set() { # NAME INSTANCES BYTES AIM
    data_set "get, local: $1" "$2" "$3"
    fill_orthanc "$work/original"
    start_orthanc tuned; local orthanc=$port
    start_dcmqrscp tuned "$work/original"; local dcmqrscp=$port
    start_dicomet "$work/original"; local serve=$port
    local run place best
    for place in tmpfs disk; do
        output=$work/output-of-a-run
        if [ $place = disk ]; then output=$disk/output; fi
        for run in $(seq "$runs"); do
            getscu_from getscu-dcmqrscp QRSCP "$dcmqrscp" tuned
            getscu_from getscu-orthanc ORTHANC "$orthanc" tuned
            dicomet_from serve DICOMET "$serve"
            timed floor bench-floor "$work/original" OUT
            dicomet_from dcmqrscp QRSCP "$dcmqrscp"
            dicomet_from orthanc ORTHANC "$orthanc"
        done
        best=$(printf '%s\n' "$(median getscu-dcmqrscp)" "$(median getscu-orthanc)" | least)
        row "$2 $1, $place" "$(figure getscu-dcmqrscp)" "$(figure getscu-orthanc)" "$(figure serve)" \
            "$(ratio "$best" "$(median serve)")" "$(figure floor)" "$(ratio "$(median serve)" "$(median floor)")" \
            "$(figure dcmqrscp)" "$(figure orthanc)"
        if [ $place = tmpfs ]; then
            in_short "get $2 $1 from dicomet serve, tmpfs; peer: the better getscu" "$(figure serve)" "$best" \
                "$(ratio "$best" "$(median serve)")" "$4" "$(median floor)"
        fi
        rm -f "$work"/times/* "$work"/times/.*-associations
    done
    output=$work/output-of-a-run
    end_servers
}

# From peers as installed. A run of getscu is all waiting and hardly varies: one is enough.
stock_peers() {
    heading "Retrieving from peers as installed" "Nothing tuned on either side: peer and getscu with Nagle's algorithm on,
as Debian has them, on one machine and through the line of 1 Gbit/s. getscu: 1 run; dicomet: median (least-most) of $runs."
    columns data peer getscu "**dicomet get**" associations ratio
    stock_set 500 3072 "of 3 KB" 0 10
    stock_set 500 135168 "of 132 KB" 0 10
    stock_set 500 537600 "CT at 50 ms" 50 6
}

stock_set() { # INSTANCES BYTES WHAT MS AIM
    data_set "get, stock: $3" $(($1 / scale)) "$2"
    fill_orthanc "$work/original"
    start_orthanc stock
    stock_peer "$3" "$4" "$5" Orthanc ORTHANC
    end_servers
    start_dcmqrscp stock "$work/original"
    stock_peer "$3" "$4" "$5" dcmqrscp QRSCP
    end_servers
}

stock_peer() { # WHAT MS AIM NAME AE
    local run by
    if [ "$2" != 0 ]; then start_line "$2" "$port"; fi
    getscu_from "getscu-$4" "$5" "$port" stock
    for run in $(seq "$runs"); do dicomet_from "$4" "$5" "$port"; done
    by=$(ratio "$(median "getscu-$4")" "$(median "$4")")
    row "$instances $1" "$4" "$(figure "getscu-$4")" "$(figure "$4")" "$(most "$4")" "$by"
    in_short "get $instances $1 from $4, both stock" "$(figure "$4")" "$(figure "getscu-$4")" "$by" "$3" ""
    rm -f "$work"/times/* "$work"/times/.*-associations
}

# Over distance. At 150 ms with fewer instances: getscu would take minutes.
distance() {
    heading "Retrieving over distance" "CT of 525 KB through a line of 1 Gbit/s (\`testkit-line\`, which adds the round trip
and is measured below), peers tuned. The line needs bytes / bandwidth and 6 round trips. dicomet finds the number of
associations; the column has how many it opened. From its own archive it is to take one, with a window of operations.
getscu, all waiting: 1 run; dicomet: median (least-most) of 3, and at 150 ms the better of 2,
with fewer instances. Orthanc as
installed serves 4 associations at a time (\`DicomThreadsCount\`); a row has it with 16."
    columns "round trip" instances peer getscu "**dicomet get**" associations ratio "the line needs" "times the line"
    distance_set $((500 / scale)) 3 0 10 50
    distance_set $((200 / scale)) 2 150
}

distance_set() { # INSTANCES RUNS MS...
    local repeats=$2 ms
    data_set "get over distance: $1" "$1" 537600
    shift 2
    fill_orthanc "$work/original"
    cp -r "$work/orthanc-tuned" "$work/orthanc-16"
    start_orthanc tuned; local orthanc=$port
    start_orthanc 16; local orthanc_16=$port
    start_dcmqrscp tuned "$work/original"; local dcmqrscp=$port
    start_dicomet "$work/original"; local serve=$port
    for ms in "$@"; do
        echo "$(date +%T) $ms ms" >&2
        distance_rows "$ms" "$repeats"
    done
    end_servers
}

distance_rows() { # MS RUNS
    local needs to_orthanc to_orthanc_16 to_dcmqrscp to_serve run
    needs=$(awk "BEGIN { printf \"%.2f\", $bytes * 8 / 1e9 + 6 * $1 / 1000 }")
    start_line "$1" "$orthanc"; to_orthanc=$port
    start_line "$1" "$orthanc_16"; to_orthanc_16=$port
    start_line "$1" "$dcmqrscp"; to_dcmqrscp=$port
    start_line "$1" "$serve"; to_serve=$port
    getscu_from getscu-orthanc ORTHANC "$to_orthanc" tuned
    getscu_from getscu-dcmqrscp QRSCP "$to_dcmqrscp" tuned
    for run in $(seq "$2"); do
        dicomet_from serve DICOMET "$to_serve"
        dicomet_from orthanc ORTHANC "$to_orthanc"
        dicomet_from orthanc-16 ORTHANC "$to_orthanc_16"
        dicomet_from dcmqrscp QRSCP "$to_dcmqrscp"
    done
    distance_row "$1" serve "dicomet serve" getscu-dcmqrscp
    distance_row "$1" dcmqrscp dcmqrscp getscu-dcmqrscp
    distance_row "$1" orthanc Orthanc getscu-orthanc
    distance_row "$1" orthanc-16 "Orthanc, 16 threads" getscu-orthanc
    rm -f "$work"/times/* "$work"/times/.*-associations
}

distance_row() { # MS NAME PEER GETSCU
    local aim='' theirs by
    theirs=$(figure "$4")
    # There is no figure of getscu from our archive: that from dcmqrscp stands for it.
    if [ "$2" = serve ]; then theirs="$theirs from dcmqrscp"; fi
    by=$(ratio "$(median "$4")" "$(median "$2")")
    row "$1 ms" "$instances" "$3" "$theirs" "$(figure "$2")" "$(most "$2")" "$by" "$needs" \
        "$(ratio "$(median "$2")" "$needs")"
    if [ "$1" = 50 ] || [ "$1" = 150 ]; then
        case $1-$2 in
            *-serve) aim="1.5 times the floor" ;;
            50-orthanc) aim="6, beyond the 4 that it serves" ;;
            50-*) aim=6 ;;
        esac
        in_short "get $instances CT from $3 at $1 ms" "$(figure "$2")" "$theirs" "$by" "$aim" "$needs"
    fi
}
