#!/usr/bin/env bash
# Installs what the end-to-end tests need: a Python venv with the pinned SDKs in .venv, the npm SDK in
# tests/clients/node_modules, Debian's Chromium, valgrind and openssl. Does nothing when all are there and no pin has changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
clients=tests/clients
source deploy/debian.sh

python_modules() {
    local stamp want
    stamp=.venv/pins.sha256
    want=$({ python3 --version; cat "$clients/requirements.txt"; } | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "setup: the SDKs are pinned for Python 3.11 or newer; this is $(python3 --version)" >&2; exit 1; }
    python3 -c 'import ensurepip' 2>/dev/null || debian python3-venv
    echo "setup: Python SDKs into .venv"
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r "$clients/requirements.txt"
    .venv/bin/pip check --disable-pip-version-check >/dev/null
    echo "$want" >"$stamp"
}

node_modules() {
    local stamp want
    command -v node >/dev/null && command -v npm >/dev/null || debian nodejs npm
    stamp=$clients/node_modules/pins.sha256
    want=$(sha256sum <"$clients/package-lock.json")
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
    echo "setup: npm SDK into $clients/node_modules"
    npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$want" >"$stamp"
}

# Chromium and its driver must be of one version: both are Debian's. The font is for a machine that has none.
browser() {
    command -v chromium >/dev/null && command -v chromedriver >/dev/null ||
        debian chromium chromium-driver fonts-dejavu-core
}

# What `make instructions` counts with.
counter() {
    command -v valgrind >/dev/null && command -v vgdb >/dev/null || debian valgrind
}

# A caller of TLS streams.
tls_caller() {
    command -v openssl >/dev/null || debian openssl
}

# What checks the alerts. Only the tool: the package would start a server.
alerts() {
    command -v promtool >/dev/null || [ -x .venv/bin/promtool ] && return
    if ! command -v apt-get >/dev/null; then
        echo "setup: this machine lacks promtool, which comes with Prometheus; install it and run again" >&2
        exit 1
    fi
    echo "setup: promtool into .venv/bin"
    local into
    into=$(mktemp -d)
    { [ "$(id -u)" != 0 ] || apt-get update -qq; } >/dev/null
    (cd "$into" && apt-get download -qq prometheus 2>/dev/null && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool)
    install "$into/usr/bin/promtool" .venv/bin/promtool
    rm -rf "$into"
}

python_modules
node_modules
browser
counter
tls_caller
alerts
