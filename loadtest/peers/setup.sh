#!/usr/bin/env bash
# Installs what the comparison needs besides the gateway: nginx and wrk, from Debian. Does nothing when they are there.
set -euo pipefail

missing=()
for program in nginx wrk; do
    command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: this machine lacks ${missing[*]}; install it (Debian: sudo apt-get install ${missing[*]}) and run again" >&2
    exit 1
fi
echo "setup: installing ${missing[*]}"
# Debian starts what it installs; a web server on port 80 is not what was asked for.
rule=/usr/sbin/policy-rc.d
if [ ! -e $rule ]; then
    trap 'rm -f $rule' EXIT
    printf '#!/bin/sh\nexit 101\n' >$rule
    chmod +x $rule
fi
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null
