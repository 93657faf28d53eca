# Sourced by the scripts beside it: a release build (PROFILE=dev for one that is quick to make), a temporary folder, and servers that end with the script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# BENCH_BIN=DIR runs the programs in a folder instead of building them: two versions side by side.
if [ -z "${BENCH_BIN:-}" ]; then
    PROFILE=${PROFILE:-release}
    cargo build --locked --profile "$PROFILE" --quiet -p dicomet-cli -p dicomet-testkit -p bench-clients -p bench-floor \
        -p dicomet-archive --bins --example fill
    case $PROFILE in dev) built=debug ;; *) built=$PROFILE ;; esac
    BENCH_BIN=$PWD/target/$built
fi
PATH=$BENCH_BIN:$BENCH_BIN/examples:$PATH
# Each run finds out anew how many associations are worth it.
export DICOMET_KNOWN=none

# On tmpfs (BENCH_DIR=/dev/shm) the disk stays out of the figures.
work=$(mktemp -d "${BENCH_DIR:-/tmp}/dicomet-bench.XXXXXX")
servers=()
cleanup() {
    for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for_port PORT: until somebody listens there, 10 s at most.
wait_for_port() {
    local i
    for i in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nobody listens on port $1" >&2
    return 1
}

# seconds COMMAND...: how long it takes; its output goes to stderr only when it fails.
seconds() {
    local begin end
    begin=$(date +%s%N)
    "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; return 1; }
    end=$(date +%s%N)
    awk "BEGIN { printf \"%.2f\", ($end - $begin) / 1e9 }"
}
