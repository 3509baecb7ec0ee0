#!/usr/bin/env bash
# Builds the gateway as it is meant to be run, into the target directory: release mode, and laid out by a profile of what
# it does under load (profile-guided optimization). Takes two builds: one that counts which way requests go, which the
# load tester then drives, and one that keeps those ways short. The profile is of this source, so it is made each time.
set -euo pipefail
cd "$(dirname "$0")/../.."
source deploy/debian.sh

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/pgo
profiles=$work/profiles
loadtest=$target/release/pangu-loadtest
export PANGU_PGO=1 # `--version` says so; in both builds, or the profile would not fit

main() {
    local profdata profile
    profdata=$(find_profdata)
    echo "release: building the load tester"
    cargo build --release --locked -p pangu-loadtest
    echo "release: building a gateway that counts"
    # What cargo runs while it builds counts too, and is not wanted.
    LLVM_PROFILE_FILE=/dev/null RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-generate" \
        cargo build --release --locked -p pangu-gateway --target-dir "$work/counting"
    train
    # Under a name of its own: cargo does not look into the file to see whether it is another one.
    "$profdata" merge --sparse -o "$work/merged" "$profiles"/*.profraw
    profile=$work/$(sha256sum "$work/merged" | cut -c 1-16).profdata
    rm -f "$work"/*.profdata
    mv "$work/merged" "$profile"
    echo "release: building the gateway"
    RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-use=$profile" \
        cargo build --release --locked -p pangu-gateway --target-dir "$work/trained"
    install "$work/trained/release/pangu-gateway" "$target/release/pangu-gateway"
    echo "release: $target/release/pangu-gateway is $("$target/release/pangu-gateway" --version)"
}

# Drives the gateway that counts with what a front door sees.
train() {
    rm -rf "$profiles"
    mkdir -p "$profiles"
    export LLVM_PROFILE_FILE=$profiles/%p.profraw
    local scenario kind kinds=('{open: 64}' '{tls: true, open: 64}' '{http: 2, tls: true, open: 8, streams: 10}')
    for kind in "${kinds[@]}"; do
        echo "release: training over connections: $kind"
        sed "s/^connections:.*/connections: $kind/" deploy/release/training.yaml >"$work/training.yaml"
        play "$work/training.yaml"
    done
    for scenario in streaming tokens connection_churn noisy_neighbour; do
        echo "release: training with $scenario"
        play "$scenario" --for 3s
    done
    echo "release: training with plain TCP, events and WebSockets"
    "$loadtest" compare --alone --quick --case tcp --case sse --case websocket \
        --gateway "$work/counting/release/pangu-gateway" >"$work/training.log" 2>&1 || failed
    unset LLVM_PROFILE_FILE
}

# Plays a scenario. A machine that is too slow for exact figures (3) is quick enough to learn from.
play() {
    local code=0
    "$loadtest" run "$@" --gateway "$work/counting/release/pangu-gateway" >"$work/training.log" 2>&1 || code=$?
    [ $code = 0 ] || [ $code = 3 ] || failed
}

failed() {
    echo "release: the training went wrong; its last words:" >&2
    tail -n 20 "$work/training.log" >&2
    exit 1
}

# A program that reads what this compiler's counters write, whose format has been the same since LLVM 19.
find_profdata() {
    local program
    for program in "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-profdata /usr/lib/llvm-*/bin/llvm-profdata \
        "$(command -v llvm-profdata || true)"; do
        if [ -x "$program" ] && [ "$(llvm_version "$program")" -ge 19 ]; then
            echo "$program"
            return
        fi
    done
    debian llvm-19 >&2
    echo /usr/lib/llvm-19/bin/llvm-profdata
}

llvm_version() { "$1" --version 2>/dev/null | sed -nE 's/.*LLVM version ([0-9]+).*/\1/p' | grep . || echo 0; }

main
