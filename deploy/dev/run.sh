#!/usr/bin/env bash
# Development: builds the gateway and the mock model endpoints, starts both on loopback with the policy in
# policies/, prints commands to paste, and stops everything on Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/../.."

http=127.0.0.1:8080 https=127.0.0.1:8443 tcp=127.0.0.1:8090 admin=127.0.0.1:9900 mock=127.0.0.1:9100 control=127.0.0.1:9101 echo=127.0.0.1:9102
programs=${CARGO_TARGET_DIR:-target}/release
logs=.run

# Throw-away secrets of the callers in policies/tenants.yaml, which names the codes and keys printed below.
export PANGU_DEV_ALICE_SK=${PANGU_DEV_ALICE_SK:-dev-only-secret-of-alice}
export PANGU_DEV_BOB_SK=${PANGU_DEV_BOB_SK:-dev-only-secret-of-bob}
alice_key=dev-key-alice alice_code=dev-appcode-alice bob_key=dev-key-bob

main() {
    refuse_busy_ports
    cargo build --release --locked -p pangu-gateway -p pangu-loadtest
    [ -e certs/localhost.crt ] && [ -e certs/localhost.key ] || "$programs/pangu-gateway" dev-certs certs/
    mkdir -p "$logs"
    trap stop EXIT
    trap 'exit 0' INT TERM
    start mock "$programs/pangu-loadtest" mock --listen "$mock" --control "$control" --tcp "$echo" \
        --ttft-ms 200 --token-every-ms 30
    start gateway "$programs/pangu-gateway" run --settings deploy/dev/gateway.yaml
    wait_until_ready
    print_commands
    wait -n "${pids[@]}" || true
    echo "run: a program ended by itself; its last words:" >&2
    tail -n 5 "$logs"/*.log >&2
    exit 1
}

pids=()

start() { # name, command...
    local name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1 &
    pids+=($!)
}

stop() {
    trap - EXIT INT TERM
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
}

listening() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

refuse_busy_ports() {
    local address busy=0
    for address in "$http" "$https" "$tcp" "$admin" "$mock" "$control" "$echo"; do
        if listening "$address"; then
            echo "run: $address is taken; see who listens there with: ss -ltnp 'sport = :${address##*:}'" >&2
            busy=1
        fi
    done
    if [ $busy = 1 ]; then
        echo "run: stop it, or change the addresses in deploy/dev/gateway.yaml and deploy/dev/run.sh" >&2
        exit 1
    fi
}

ready() {
    local status
    exec 3<>"/dev/tcp/${admin%:*}/${admin##*:}" || return 1
    printf 'GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$admin" >&3
    IFS= read -r -t 2 status <&3 || status=
    exec 3<&-
    [[ $status == "HTTP/1.1 200"* ]]
}

wait_until_ready() {
    local pid
    for _ in $(seq 100); do
        ready 2>/dev/null && return
        for pid in "${pids[@]}"; do
            kill -0 "$pid" 2>/dev/null || break 2
        done
        sleep 0.1
    done
    echo "run: the gateway did not get ready; its last words:" >&2
    tail -n 20 "$logs"/*.log >&2
    exit 1
}

print_commands() {
    cat <<TEXT

  HTTP    http://$http
  HTTPS   https://localhost:${https##*:}   (curl --cacert certs/ca.crt)
  TCP     $tcp
  admin   http://$admin   (/metrics /livez /readyz)
  mock    http://$mock
  logs    $logs/gateway.log  $logs/mock.log

Paste into another terminal:

# 1. OpenAI-style chat with an API key
curl -s http://$http/v1/chat/completions -H 'Authorization: Bearer $alice_key' -H 'Content-Type: application/json' -d '{"model":"pangu-chat","messages":[{"role":"user","content":"hello"}]}'; echo

# 2. The same, streamed
curl -sN http://$http/v1/chat/completions -H 'Authorization: Bearer $alice_key' -H 'Content-Type: application/json' -d '{"model":"pangu-chat","stream":true,"messages":[{"role":"user","content":"hello"}]}'

# 3. Pangu chat with an AppCode
curl -s http://$http/v1/demo-project/deployments/demo-deployment/chat/completions -H 'X-Apig-AppCode: $alice_code' -H 'Content-Type: application/json' -d '{"messages":[{"role":"user","content":"hello"}]}'; echo

# 4. Plain TCP, by the network it comes from; the mock echoes it
bash -c 'exec 3<>/dev/tcp/${tcp/://}; echo hello >&3; head -n 1 <&3'

# 5. Bob's plan lets him call three times a minute: ends in 429
for i in 1 2 3 4 5; do curl -s -o /dev/null -w '%{http_code}\n' http://$http/v1/chat/completions -H 'Authorization: Bearer $bob_key' -H 'Content-Type: application/json' -d '{"model":"pangu-chat","messages":[{"role":"user","content":"hello"}]}'; done

Ctrl-C stops everything.
TEXT
    command -v curl >/dev/null || echo "(the commands need curl, which this machine lacks: apt-get install curl)"
}

main
