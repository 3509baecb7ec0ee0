"""The real programs, and credentials for the real SDKs.

One mock and one gateway serve all tests. A test that signs gets an access key of its own (`caller`), so that no
replay, lockout or exhausted limit of one test shows in another.
"""

import itertools
import json
import os
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from wire import Wire

ROOT = Path(__file__).resolve().parents[2]
REGION = "cn-southwest-2"
KEYS = 80  # access keys of each kind; every test that signs uses up one


def programs() -> Path:
    if "PANGU_BIN_DIR" in os.environ:
        return Path(os.environ["PANGU_BIN_DIR"])
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """The SDKs write below HOME: give them one that goes away."""
    before = dict(os.environ)
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))
    for name in list(os.environ):
        if name.startswith(("HUAWEICLOUD_", "OPENAI_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    yield Path(os.environ["HOME"])
    os.environ.clear()
    os.environ.update(before)


@dataclass(frozen=True)
class Caller:
    """One user of one tenant, with every kind of credential."""

    access_key: str
    secret_key: str
    app_code: str
    api_key: str
    # Temporary credentials: a pair of their own that is good only with its token.
    temporary_key: str
    temporary_secret: str
    security_token: str

    @staticmethod
    def named(name: str) -> "Caller":
        upper = name.upper()
        return Caller(
            access_key=f"AK{upper}",
            secret_key=f"secret-of-{name}-0123456789",
            app_code=f"app-code-of-{name}-" + "0123456789abcdef" * 4,
            api_key=f"api-key-of-{name}",
            temporary_key=f"TMP{upper}",
            temporary_secret=f"temporary-secret-of-{name}",
            security_token=f"security-token-of-{name}",
        )

    def secrets(self, name: str) -> dict:
        values = {
            "SK": self.secret_key,
            "APP_CODE": self.app_code,
            "API_KEY": self.api_key,
            "TMP_SK": self.temporary_secret,
            "TOKEN": self.security_token,
        }
        return {f"{name.upper()}_{kind}": value for kind, value in values.items()}

    def spec(self, name: str) -> dict:
        def env(kind):
            return {"env": f"{name.upper()}_{kind}"}

        pair = {"access_key": self.access_key, "secret_key": env("SK")}
        temporary = {"access_key": self.temporary_key, "secret_key": env("TMP_SK"), "security_token": env("TOKEN")}
        return {"name": name, "ak_sk": [pair, temporary], "app_code": env("APP_CODE"), "api_key": env("API_KEY")}


# Tenants differ in their plan alone.
PLANS = {
    "wide": {"name": "user", "per": "user", "requests": "1000/s"},
    "once": {"name": "user-once-a-day", "per": "user", "requests": "1/day"},
    "slow": {"name": "user-one-a-second", "per": "user", "requests": "60/min", "burst": 1},
    "metered": {"name": "user-tokens", "per": "user", "tokens": "100/h", "counts": "completion"},
    "cut": {
        "name": "user-cut", "per": "user", "tokens": "20/h", "counts": "completion", "on_exhausted": "cut",
    },
    "paying": {"name": "user-budget", "per": "user", "budget": "0.1 CNY/month"},
}
MODEL = {"name": "pangu-chat", "price": {"prompt": 1, "completion": 2, "per": "1k", "currency": "CNY"}}
NAMES = {plan: [f"{plan}{i}" for i in range(KEYS)] for plan in PLANS}


def route(name, path, api, auth, methods=("POST",), **more):
    limit = {"name": "wide", "per": "route", "requests": "10k/s"}
    match = {"path": path, "methods": list(methods)}
    base = {"name": name, "match": match, "api": api, "auth": auth, "pool": "models", "limits": [limit]}
    return base | {"body_max": "64KiB", "tenant_header": "x-tenant"} | more


def policy(mock: str) -> dict:
    chat = "chat/completions"
    signed, keyed = ["ak_sk", "app_code"], ["api_key", "app_code"]
    deployment, pool = "/v1/{project_id}/deployments/{deployment_id}", "/v2/{project_id}/pools/{pool_id}/deployments/{id}"
    tenants = [
        {"name": plan, "plan": plan, "users": [Caller.named(name).spec(name) for name in names]}
        for plan, names in NAMES.items()
    ]
    # Whoever shows a token of the mock IAM's account `acme`.
    holders = {"name": "acme", "plan": "wide", "iam": {"project": REGION, "domain": "acme"}}
    tenants.append(holders | {"users": [{"name": "alice", "iam": {"user": "alice"}}]})
    login = {"user": "gateway", "domain": "acme", "password": {"env": "IAM_PASSWORD"}}
    return {
        "iam": {"endpoint": mock, "password": login, "project": REGION},
        "pools": [
            {"name": "models", "backends": [{"url": mock}]},
            {"name": "calls", "protocol": "h2", "backends": [{"url": mock}]},
        ],
        "models": [MODEL],
        "plans": {name: [limit] for name, limit in PLANS.items()},
        "tenants": tenants,
        "routes": [
            route("pangu-chat", f"{deployment}/{chat}", "pangu", signed, model="pangu-chat"),
            route("pangu-text", f"{deployment}/text/completions", "pangu", signed),
            route("pangu2-chat", f"{pool}/{chat}", "openai", signed),
            route("pangu2-text", f"{pool}/text/completions", "pangu", signed),
            route("services", "/v2/{project_id}/services", "plain", signed, ["GET"]),
            route("service", "/v2/{project_id}/services/{service_id}", "plain", signed, ["GET"]),
            route("infers", "/v1/infers/{service_id}/{*rest}", "modelarts", signed, signing={"unsigned_payload": True}),
            # For the npm SDK, which signs an encoded path encoded once more.
            route(
                "infers-npm", "/v1/infers/{service_id}/npm/{name}", "modelarts", signed,
                signing={"double_encoded_path": True},
            ),
            route("openai-chat", f"/v1/{chat}", "openai", keyed),
            route("pangu-openai", f"/api/v2/{chat}", "openai", keyed),
            route("openai-capped", f"/capped/{chat}", "openai", keyed, ceilings={"completion_tokens": 64}),
            route("openai-embeddings", "/v1/embeddings", "openai", keyed),
            route("openai-models", "/v1/models", "openai", keyed, ["GET"]),
            route("iam", "/v3/auth/tokens", "plain", signed),
            route("openai-token", f"/v1/infers/token/v1/{chat}", "openai", ["iam_token", "api_key"]),
            route("infers-token", "/v1/infers/{service_id}/token/{name}", "modelarts", ["iam_token"]),
            *(
                route(f"grpc-{service.lower()}", f"/mock.{service}/{{method}}", "grpc", keyed, pool="calls")
                for service in ["Echo", "Status", "Refuse", "Count"]
            ),
            route("websocket", "/mock/websocket", "plain", keyed, ["GET"], websocket={"message_max": "64KiB"}),
        ],
    }


class Program:
    """A program with its output in files."""

    def __init__(self, args, directory: Path, env=None):
        self.out, self.err = directory / "out", directory / "err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [str(arg) for arg in args], stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                env=os.environ | (env or {}),
            )

    def wait_for(self, probe, what, within=15.0):
        end = time.monotonic() + within
        while time.monotonic() < end:
            assert self.process.poll() is None, f"it ended: {self.err.read_text()}"
            found = probe()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not within {within} s: {what}\n{self.err.read_text()}")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Mock:
    def __init__(self, directory: Path):
        args = [programs() / "pangu-loadtest", "mock", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
        self.program = Program(args, directory)
        self.url = self._address("mock listening on")
        self.control = self._address("mock control on")

    def _address(self, label):
        def printed():
            lines = [line for line in self.program.out.read_text().splitlines() if line.startswith(label)]
            return lines and "http://" + lines[0].rsplit("http://")[-1].strip().rstrip("/")

        return self.program.wait_for(printed, "the mock prints its addresses")

    def _get(self, path):
        with urllib.request.urlopen(self.control + path, timeout=10) as answer:
            return json.load(answer)

    def stats(self):
        return self._get("/mock/stats")

    def requests(self):
        return self.stats()["requests"]

    def last(self, n=1):
        answer = self._get(f"/mock/requests?last={n}")
        return answer["requests"] if isinstance(answer, dict) else answer

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(self.control + "/mock/reset", b"", method="POST"), timeout=10)


@dataclass
class Gateway:
    url: str
    tls: str
    authority: Path
    admin: str
    directory: Path
    program: Program

    def access_log(self):
        return (self.directory / "access.log").read_text()


@pytest.fixture(scope="session")
def all_of_mock(tmp_path_factory):
    mock = Mock(tmp_path_factory.mktemp("mock"))
    yield mock
    mock.program.stop()


def start_gateway(mock: Mock, directory: Path, **more) -> Gateway:
    """Starts one in front of `mock`; `more` goes into gateway.yaml."""
    (directory / "policies").mkdir()
    (directory / "certs").mkdir()
    (directory / "policies" / "policy.yaml").write_text(yaml.safe_dump(policy(mock.url), sort_keys=False))
    settings = {
        "listeners": [
            {"name": "http", "address": "127.0.0.1:0"},
            {"name": "https", "address": "127.0.0.1:0", "tls": True},
        ],
        "admin": {"address": "127.0.0.1:0"},
        "policies": "policies",
        "certs": "certs",
        "workers": 1,
        "access_log": {"file": "access.log"},
    } | more
    subprocess.run([programs() / "pangu-gateway", "dev-certs", directory / "certs"], check=True, stdout=subprocess.DEVNULL)
    (directory / "gateway.yaml").write_text(yaml.safe_dump(settings))
    addresses = directory / "addresses.json"
    secrets = {"IAM_PASSWORD": "password-of-gateway"}
    for name in itertools.chain.from_iterable(NAMES.values()):
        secrets |= Caller.named(name).secrets(name)
    program = Program(
        [programs() / "pangu-gateway", "run", "--settings", directory / "gateway.yaml", "--addresses", addresses],
        directory, secrets,
    )

    def bound():
        try:
            return json.loads(addresses.read_text())
        except (OSError, ValueError):
            return None

    found = program.wait_for(bound, "the gateway gets ready")
    http, admin, authority = "http://" + found["http"][0], "http://" + found["admin"], directory / "certs" / "ca.crt"
    return Gateway(http, found["https"][0], authority, admin, directory, program)


@pytest.fixture(scope="session")
def gateway(all_of_mock, tmp_path_factory):
    gateway = start_gateway(all_of_mock, tmp_path_factory.mktemp("gateway"))
    yield gateway
    gateway.program.stop()


@pytest.fixture
def ending(all_of_mock, tmp_path):
    """A gateway that a test may end; it drains for two seconds."""
    gateway = start_gateway(all_of_mock, tmp_path, timeouts={"drain": "2s"})
    yield gateway
    gateway.program.stop()


@pytest.fixture
def mock(all_of_mock):
    all_of_mock.reset()
    return all_of_mock


@pytest.fixture(scope="session")
def fresh():
    return {plan: iter(names) for plan, names in NAMES.items()}


@pytest.fixture
def caller(fresh):
    """Somebody with room for any number of requests."""
    return Caller.named(next(fresh["wide"]))


@pytest.fixture
def once(fresh):
    """Somebody who may call once a day."""
    return Caller.named(next(fresh["once"]))


@pytest.fixture
def slow(fresh):
    """Somebody who may call once a second."""
    return Caller.named(next(fresh["slow"]))


@pytest.fixture
def metered(fresh):
    """Somebody with 100 completion tokens an hour."""
    return Caller.named(next(fresh["metered"]))


@pytest.fixture
def cut(fresh):
    """Somebody whose streams end after 20 completion tokens."""
    return Caller.named(next(fresh["cut"]))


@pytest.fixture
def paying(fresh):
    """Somebody who may spend 0.1 CNY a month."""
    return Caller.named(next(fresh["paying"]))


@pytest.fixture
def wire(gateway):
    """A hop between SDK and gateway that keeps what passes, and alters it on demand."""
    host, port = gateway.url.removeprefix("http://").split(":")
    with Wire((host, int(port))) as wire:
        yield wire


@pytest.fixture(scope="session")
def node():
    """Runs npm_sdk.mjs with a request as JSON; gives its answer."""

    def run(**request):
        script = Path(__file__).with_name("npm_sdk.js")
        done = subprocess.run(
            ["node", script], input=json.dumps(request), capture_output=True, text=True, timeout=60, check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def pytest_sessionstart():
    for program in ("pangu-gateway", "pangu-loadtest"):
        if not (programs() / program).exists():
            pytest.exit(f"{programs() / program} is not built; run `make build` first", returncode=2)
    socket.setdefaulttimeout(30)
