#!/usr/bin/env bash
# Kills `dicomet serve` (SIGKILL) at random moments while eight requestors store, and holds what is there afterwards
# against what was answered with success, byte for byte; kills `dicomet delete` as well. The test is
# crates/cli/tests/crash.rs; this does more of it.
#   bench/crash.sh [ROUNDS] [SEED]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DICOMET_CRASH_ROUNDS=${1:-300}
if [ $# -gt 1 ]; then export DICOMET_CRASH_SEED=$2; fi
exec cargo test --locked -p dicomet-cli --test crash -- --nocapture
