# For scripts that need more than is there: source it.

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
