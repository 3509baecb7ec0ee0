#!/usr/bin/env python3
"""Compares the gateway with nginx under the same policy: processor time per request, on loopback.

Both proxies run at once, each with one worker, on a core that nothing else is given; wrk and the origin share the
other. In every round each proxy gets the same load for a few seconds, while the other one idles. The result is the
ratio of the two, taken within each round. README.md says what the numbers do not say.
"""

import argparse
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TENANTS, USERS = 1000, 10
ANSWER_BYTES = 1024
TARGET = f"/mock/bytes/{ANSWER_BYTES}"
CONNECTIONS = 64
# Until buffered log lines are in the file; what writing them costs belongs to the run.
SETTLE_S = 1.5
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    scheme: str = "http"
    script: str | None = None


CASES = [
    Case("get", "GET, one key"),
    Case("keys", "GET, 10,000 keys in turn", script="keys.lua"),
    Case("post", "POST 2 KB, one key", script="post.lua"),
    Case("tls", "GET over TLS 1.3, one key", scheme="https"),
]


@dataclass
class Proxy:
    name: str
    ports: dict[str, int]
    log: Path
    process: subprocess.Popen | None = None

    def ticks(self):
        """User and system time of all threads so far, in clock ticks."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()  # from field 3 on; the name before it may hold anything
        return int(fields[11]) + int(fields[12])


@dataclass
class Run:
    """One proxy under one load."""

    requests: int
    cpu_us: float  # per request
    per_second: float
    busy: float  # share of its core that the proxy used

    def __str__(self):
        return f"{self.cpu_us:.2f} us at {self.busy:.0%} of the core"


class Failed(Exception):
    """The comparison cannot be made, or would not be one."""


def main():
    arguments = parse()
    busy = os.getloadavg()[0]
    if busy > 1:
        print(f"compare: the load average is {busy:.1f}; other work disturbs both", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("compare: ended by a signal"))
    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(arguments, stack)
            results = {case: bench.compare(case) for case in arguments.case}
    except Failed as what:
        sys.exit(f"compare: {what}")
    text = report(arguments, results, busy)
    print(text)
    if arguments.write:
        write(ROOT / "ARCHITECTURE.md", "bench:nginx", text)


def parse():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description="Processor time per request of the gateway and of nginx.")
    parser.add_argument("--rounds", type=int, default=6, metavar="N", help="rounds of each case (6)")
    parser.add_argument("--seconds", type=int, default=4, metavar="N", help="load on each proxy in a round (4)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s: does it work at all?")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES],
                        help="only this one; may be repeated")
    parser.add_argument("--write", action="store_true", help="put the result into ARCHITECTURE.md")
    parser.add_argument("--programs", type=Path, default=target / "release", metavar="DIRECTORY",
                        help="where pangu-gateway and pangu-loadtest are (the release programs of cargo)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 2, 1
    if arguments.write and (arguments.quick or arguments.case):
        parser.error("--write takes a whole run, without --quick and --case")
    if not (1 <= arguments.rounds <= 100 and 1 <= arguments.seconds <= 60):
        parser.error("1 to 100 rounds of 1 to 60 seconds")
    arguments.case = [case for case in CASES if not arguments.case or case.name in arguments.case]
    return arguments


class Bench:
    """Everything that runs during the comparison. `stack` ends it."""

    def __init__(self, arguments, stack):
        self.rounds, self.seconds = arguments.rounds, arguments.seconds
        self.gateway_program = program(arguments.programs / "pangu-gateway", "run `make bench`, which builds it")
        self.mock_program = program(arguments.programs / "pangu-loadtest", "run `make bench`, which builds it")
        self.nginx_program = program("nginx", "install it (Debian: apt-get install nginx)")
        self.wrk_program = program("wrk", "install it (Debian: apt-get install wrk)")
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Failed("two cores are needed: one for the proxy, one for the load and the origin")
        self.load_core, self.proxy_core = cores[0], cores[-1]
        self.stack = stack
        self.dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

        ports = free_ports(7)
        self.origin_port, self.control_port, admin = ports[:3]
        self.gateway = Proxy("gateway", dict(http=ports[3], https=ports[4]), self.dir / "logs" / "gateway.log")
        self.nginx = Proxy("nginx", dict(http=ports[5], https=ports[6]), self.dir / "logs" / "nginx.log")
        self.proxies = [self.gateway, self.nginx]
        self.configure(admin)
        self.start_proxies()
        self.check_policy()
        self.start_origin()

    def configure(self, admin_port):
        # The gateway watches the directory around its policy: a log in it would wake the watcher with every write.
        for name in ("certs", "policy", "logs"):
            (self.dir / name).mkdir()
        made = subprocess.run([self.gateway_program, "dev-certs", self.dir / "certs"], capture_output=True, text=True)
        if made.returncode:
            raise Failed(made.stderr.strip())
        self.codes = write_callers(self.dir)
        for proxy, template in ((self.gateway, "gateway.yaml"), (self.nginx, "nginx.conf")):
            self.render(template, log=proxy.log, admin_port=admin_port,
                        http_port=proxy.ports["http"], https_port=proxy.ports["https"])
        self.render("policy/bench.yaml")
        self.render("origin.conf", control_port=self.control_port, answer="x" * ANSWER_BYTES)

    def render(self, template, **values):
        values |= dict(dir=self.dir, origin_port=self.origin_port)
        text = (HERE / template).read_text()
        (self.dir / template).write_text(re.sub(r"@(\w+)@", lambda name: str(values[name[1]]), text))

    def start(self, name, core, *command):
        """Starts a program on one core; it ends with the comparison."""
        output = (self.dir / f"{name}.out").open("wb")
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.stack.callback(end, process)
        return process

    def wait_for(self, name, process, port):
        """Waits until somebody listens."""
        for _ in range(600):
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.05)
        words = "".join(path.read_text() for path in self.dir.glob(f"{name}.*") if path.suffix in (".out", ".err"))
        raise Failed(f"{name} does not listen; its last words:\n{words[-2000:]}")

    def start_proxies(self):
        commands = {
            "gateway": (self.gateway_program, "run", "--settings", self.dir / "gateway.yaml"),
            "nginx": (self.nginx_program, "-p", self.dir, "-c", self.dir / "nginx.conf"),
        }
        for proxy in self.proxies:
            proxy.process = self.start(proxy.name, self.proxy_core, *commands[proxy.name])
        for proxy in self.proxies:
            self.wait_for(proxy.name, proxy.process, proxy.ports["https"])

    def start_origin(self):
        # nginx answers 1 KB to a POST too, and cheaply: the proxy has to be what the load waits for.
        origin = self.start("origin", self.load_core,
                            self.nginx_program, "-p", self.dir, "-c", self.dir / "origin.conf")
        self.wait_for("origin", origin, self.origin_port)

    def check_policy(self):
        """Do both decide alike, and does the origin see the same? The mock stands in for it: it records."""
        mock = self.start("mock", self.load_core,
                          self.mock_program, "mock", "--listen", f"127.0.0.1:{self.origin_port}",
                          "--control", f"127.0.0.1:{self.control_port}")
        self.wait_for("mock", mock, self.control_port)
        number = 4321
        known, unknown = ({"X-Apig-AppCode": code} for code in (self.codes[number], "0" * 32))
        too_long = known | {"Content-Length": str(2 << 20)}
        seen = []
        for proxy in self.proxies:
            for headers, want in ((known, 200), ({}, 401), (unknown, 401), (too_long, 413)):
                got = ask(proxy.ports["http"], TARGET, headers)[0]
                if got != want:
                    raise Failed(f"{proxy.name} answers {got} where {want} is right")
            [record] = json.loads(ask(self.control_port, "/mock/requests?last=1")[1])
            headers = {name.lower(): value for name, value in record["headers"]}
            if headers.get("x-tenant") != tenant(number) or "x-apig-appcode" in headers:
                raise Failed(f"{proxy.name} sends the origin the wrong headers: {sorted(headers)}")
            seen.append((sorted(headers), cipher(proxy.ports["https"], self.dir / "certs" / "ca.crt")))
        if seen[0] != seen[1]:
            raise Failed(f"the two do not do the same:\ngateway: {seen[0]}\nnginx: {seen[1]}")
        end(mock)

    def compare(self, case):
        """Runs of both proxies, in pairs; who begins alternates."""
        time.sleep(SETTLE_S)  # log lines of the checks before may still be in buffers
        print(f"{case.title}: warm-up", file=sys.stderr)
        for proxy in self.proxies:
            self.measure(case, proxy, 1)
        pairs = []
        for number in range(self.rounds):
            order = self.proxies if number % 2 == 0 else self.proxies[::-1]
            runs = {proxy.name: self.measure(case, proxy, self.seconds) for proxy in order}
            pairs.append((runs["gateway"], runs["nginx"]))
            shown = ", ".join(f"{proxy.name} {runs[proxy.name]}" for proxy in self.proxies)
            print(f"{case.title}: round {number + 1} of {self.rounds}: {shown}", file=sys.stderr)
        return pairs

    def measure(self, case, proxy, seconds):
        os.truncate(proxy.log, 0)
        requests_before, ticks_before = self.origin_requests(), proxy.ticks()
        done, per_second = self.load(case, proxy, seconds)
        time.sleep(SETTLE_S)
        cpu_us = (proxy.ticks() - ticks_before) * TICK_US
        forwarded = self.origin_requests() - requests_before - 1  # the second question counts itself
        lines, good = count_lines(proxy.log)
        # What wrk had open when its time was over, nobody waits for.
        for what, count in (("requests at the origin", forwarded), ("lines in the access log", lines),
                            ("lines with status 200", good)):
            if not done <= count <= done + CONNECTIONS:
                raise Failed(f"{case.title}, {proxy.name}: {done} requests, but {count} {what}")
        return Run(done, cpu_us / done, per_second, cpu_us / 1e6 / seconds)

    def load(self, case, proxy, seconds):
        command = [self.wrk_program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s",
                   "-H", f"X-Apig-AppCode: {self.codes[0]}"]
        if case.script:
            command += ["-s", HERE / case.script]
        command += [f"{case.scheme}://localhost:{proxy.ports[case.scheme]}{TARGET}", "--", self.dir / "codes"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=seconds + 30, preexec_fn=lambda: os.sched_setaffinity(0, {self.load_core}))
        requests = re.search(r"(\d+) requests in", done.stdout)
        per_second = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
        if done.returncode or not requests or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise Failed(f"{case.title}, {proxy.name}: wrk is not content:\n{done.stdout}{done.stderr}")
        return int(requests[1]), float(per_second[1])

    def origin_requests(self):
        status = ask(self.control_port, "/")[1].decode()
        return int(re.search(r"requests\n\s*\d+ \d+ (\d+)", status)[1])


def program(name, help):
    found = shutil.which(name)
    if not found:
        raise Failed(f"{name} is missing; {help}")
    return Path(found).absolute()


def free_ports(count):
    """Ports that nobody listened on a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def end(process):
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tenant(number):
    return f"tenant-{number // USERS}"


def user(number):
    return f"user-{number % USERS}"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def write_callers(directory):
    """10,000 AppCodes in the form of either proxy, and one a line for wrk; returns them."""
    codes = [sha256(f"bench {number}")[:32] for number in range(TENANTS * USERS)]
    callers = list(enumerate(codes))
    (directory / "codes").write_text("".join(f"{code}\n" for code in codes))
    (directory / "tenants.map").write_text("".join(f"{code} {tenant(n)};\n" for n, code in callers))
    (directory / "users.map").write_text("".join(f"{code} {tenant(n)}/{user(n)};\n" for n, code in callers))
    lines = ["tenants:"]
    for name, users in itertools.groupby(callers, key=lambda caller: tenant(caller[0])):
        lines += [f"  - name: {name}", "    plan: bench", "    users:"]
        lines += [f"      - {{name: {user(n)}, app_code: {{sha256: {sha256(code)}}}}}" for n, code in users]
    (directory / "policy" / "tenants.yaml").write_text("\n".join(lines) + "\n")
    return codes


def ask(port, target, headers={}):
    """Status and body of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def cipher(port, authority):
    """What a handshake settles on, with the OpenSSL that wrk uses too."""
    context = ssl.create_default_context(cafile=authority)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as secure:
        return secure.version(), secure.cipher()[0]


def count_lines(log):
    """Lines, and those of an answer with status 200."""
    lines = good = 0
    with log.open("rb") as file:
        for line in file:
            lines += 1
            good += b'"status":200,' in line
    return lines, good


def report(arguments, results, busy):
    """The result in Markdown, with what is needed to judge it."""
    rows = [f"| {case.title} | {row(pairs)} |" for case, pairs in results.items()]
    return "\n".join([
        f"Processor time of the proxy per request (user and system), {CONNECTIONS} keep-alive connections, answers of",
        f"1 KB; one worker and one core each. The ratio is taken within each of {arguments.rounds} rounds of",
        f"{arguments.seconds} s: median (lowest to highest). Only ratios carry over to other machines.",
        "",
        "| load | gateway, us | nginx, us | gateway / nginx | requests/s, gateway and nginx (for information) |",
        "| --- | --- | --- | --- | --- |",
        *rows,
        "",
        f"- {cpu_model()}, {os.cpu_count()} cores, Linux {os.uname().release}, load average {busy:.1f}",
        f"- gateway {said('git', '-C', ROOT, 'describe', '--always', '--dirty', '--exclude=*')},"
        f" {said('nginx', '-v').removeprefix('nginx version: ')}, wrk {version_of_wrk()}",
        f"- {date.today()}, `loadtest/peers/compare.py --rounds {arguments.rounds} --seconds {arguments.seconds}`",
    ])


def row(pairs):
    def middle(of):
        return tuple(statistics.median(map(of, runs)) for runs in zip(*pairs))
    ratios = [gateway.cpu_us / nginx.cpu_us for gateway, nginx in pairs]
    gateway_us, nginx_us = middle(lambda run: run.cpu_us)
    gateway_rps, nginx_rps = middle(lambda run: run.per_second)
    ratio = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{gateway_us:.1f} | {nginx_us:.1f} | {ratio} | {gateway_rps:,.0f} and {nginx_rps:,.0f}"


def cpu_model():
    return re.search(r"model name\s*: (.*)|$", Path("/proc/cpuinfo").read_text())[1] or os.uname().machine


def said(*command):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()


def version_of_wrk():
    return re.search(r"wrk (?:debian/)?(\S+)|$", said("wrk", "-v"))[1]


def write(file, marker, text):
    """Replaces what stands between the markers of a file; adds them at its end if they are missing."""
    begin, close = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    before = file.read_text() if file.exists() else ""
    block = f"{begin}\n{text}\n{close}"
    if begin in before and close in before:
        head, _, rest = before.partition(begin)
        after = head + block + rest.partition(close)[2]
    else:
        after = (before.rstrip("\n") + "\n\n" if before else "") + block + "\n"
    file.write_text(after)


if __name__ == "__main__":
    main()
