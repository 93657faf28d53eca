# Sourced by compare: storing. Every run is into a peer that was started for it, with nothing in it, on tmpfs.

stores() {
    heading "Storing on one machine" "Median (least-most) of 3 runs in turns, peers and storescu tuned. dicomet looks at
every file before it sends the first, and keeps to one association with dcmqrscp, which overwrites instances that are
stored with it side by side."
    columns data peer storescu "**dicomet store**" associations ratio
    store_set "CT of 525 KB" $((200 / scale)) 537600
    store_set "MR of 132 KB" $((800 / scale)) 135168
    store_set "objects of 3 KB" $((2000 / scale)) 3072

    local objects=$((100 / (scale > 4 ? 4 : 1)))
    heading "Storing with nothing tuned" "$objects objects of 3 KB, peers and storescu as installed. storescu: 1 run; dicomet: 3."
    columns peer storescu "**dicomet store**" associations ratio
    data_set "store, stock" $objects 3072
    local peer
    for peer in storescp dcmqrscp orthanc serve; do
        storescu_runs $peer stock none 1
        dicomet_store_runs $peer stock none 3
        local by
        by=$(ratio "$(median storescu-$peer)" "$(median $peer)")
        row "$(name_of $peer)" "$(figure storescu-$peer)" "$(figure $peer)" "$(most $peer)" "$by"
        in_short "store $instances of 3 KB to $(name_of $peer), both stock" "$(figure $peer)" \
            "$(figure storescu-$peer)" "$by" "" ""
    done

    heading "Storing over distance" "CT of 525 KB through a line of 1 Gbit/s, peers and storescu tuned. The line needs
bytes / bandwidth and 6 round trips. storescu, all waiting: 1 run; dicomet: the better of 2 (least-most), at 150 ms 1,
with fewer instances.
storescp as installed serves one
association after the other, Orthanc 4 at a time."
    columns "round trip" instances peer storescu "**dicomet store**" associations ratio "the line needs" "times the line"
    local ms
    data_set "store over distance" $((200 / scale)) 537600
    for ms in 0 10 50; do store_rows $ms; done
    data_set "store over distance, less" $((100 / scale)) 537600
    store_rows 150
}

store_set() { # NAME INSTANCES BYTES
    data_set "store, local: $1" "$2" "$3"
    local peer by run
    for peer in storescp dcmqrscp orthanc serve; do
        for run in 1 2 3; do
            storescu_runs $peer tuned none 1
            dicomet_store_runs $peer tuned none 1
        done
        by=$(ratio "$(median storescu-$peer)" "$(median $peer)")
        row "$2 $1" "$(name_of $peer)" "$(figure storescu-$peer)" "$(figure $peer)" "$(most $peer)" "$by"
        if [ $peer = serve ]; then
            in_short "store $2 $1 to dicomet serve" "$(figure $peer)" "$(figure storescu-$peer)" "$by" "" ""
        fi
    done
}

store_rows() { # MS
    local needs peer by
    needs=$(awk "BEGIN { printf \"%.2f\", $bytes * 8 / 1e9 + 6 * $1 / 1000 }")
    echo "$(date +%T) $1 ms" >&2
    for peer in storescp dcmqrscp orthanc orthanc-16 serve; do
        storescu_runs $peer tuned "$1" 1
        dicomet_store_runs $peer tuned "$1" $(($1 < 150 ? 2 : 1))
        by=$(ratio "$(median storescu-$peer)" "$(median $peer)")
        row "$1 ms" "$instances" "$(name_of $peer)" "$(figure storescu-$peer)" "$(figure $peer)" "$(most $peer)" "$by" "$needs" \
            "$(ratio "$(median $peer)" "$needs")"
        if [ "$1" = 50 ]; then
            in_short "store $instances CT to $(name_of $peer) at $1 ms" "$(figure $peer)" "$(figure storescu-$peer)" \
                "$by" "" "$needs"
        fi
    done
    rm -f "$work"/times/* "$work"/times/.*-associations
}

name_of() { # PEER
    case $1 in
        orthanc) echo "Orthanc" ;;
        orthanc-16) echo "Orthanc, 16 threads" ;;
        serve) echo "dicomet serve" ;;
        *) echo "$1" ;;
    esac
}

# storescu_runs PEER SETTING MS RUNS, dicomet_store_runs PEER SETTING MS RUNS: each run into an empty peer; a line
# with that round trip lies before it, unless MS is none.
storescu_runs() {
    local run
    for run in $(seq "$4"); do
        start_empty "$1" "$2" "$3"
        noted "storescu-$1" setting "$2" storescu -aec "$ae" +sd +r 127.0.0.1 "$port" "$work/original"
        end_empty "$1"
    done
}

dicomet_store_runs() {
    local run
    for run in $(seq "$4"); do
        start_empty "$1" "$2" "$3"
        noted "$1" dicomet store "$ae@127.0.0.1:$port" "$work/original" --progress never --format json
        end_empty "$1"
    done
}

# start_empty PEER SETTING MS: puts its AE title into $ae.
start_empty() {
    rm -rf "$work/store"
    mkdir "$work/store"
    case $1 in
        storescp) ae=STORESCP; start_storescp "$2" "$work/store" ;;
        dcmqrscp) ae=QRSCP; start_dcmqrscp_in "$2" "$work/store" ;;
        orthanc) ae=ORTHANC; start_orthanc_in "$2" "$work/store" 4 ;;
        orthanc-16) ae=ORTHANC; start_orthanc_in "$2" "$work/store" 16 ;;
        serve) ae=DICOMET; start_dicomet_in "$work/store" ;;
    esac
    if [ "$3" != none ]; then start_line "$3" "$port"; fi
}

# end_empty PEER: what was answered with success must be there. Orthanc and `dicomet serve` are asked.
end_empty() {
    local got
    case $1 in
        storescp | dcmqrscp) got=$(find "$work/store" -type f -name '*.*' -size +2k ! -name 'index.dat' | wc -l) ;;
        *)
            got=$(dicomet find "$ae@127.0.0.1:$port" StudyInstanceUID=$study NumberOfStudyRelatedInstances \
                --format jsonl | sed -n 's/.*"00201208":{"vr":"IS","Value":\["\{0,1\}\([0-9]*\).*/\1/p')
            ;;
    esac
    end_servers
    [ "${got:-0}" -eq "$instances" ] || { echo "$1 has $got of $instances instances" >&2; return 1; }
}
