"""grpcio (PyPI): its client, through the gateway, to the mock and to its own server."""

import json
import queue
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import yaml


def keyed(caller, **more):
    headers = {"authorization": f"Bearer {caller.api_key}"} | {name.replace("_", "-"): value for name, value in more.items()}
    return tuple(headers.items())


@pytest.fixture(scope="module")
def channel(gateway):
    credentials = grpc.ssl_channel_credentials(gateway.authority.read_bytes())
    with grpc.secure_channel(gateway.tls, credentials, [("grpc.ssl_target_name_override", "localhost")]) as channel:
        yield channel


def fails(call):
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value


def test_one_message_and_its_answer(channel, caller, mock):
    say = channel.unary_unary("/mock.Echo/Say")
    for message in [b"hello", b"", bytes(range(256)) * 100]:
        assert say(message, metadata=keyed(caller), timeout=10) == message
    headers = dict(mock.last()[0]["headers"])
    assert "authorization" not in headers and headers["x-tenant"] == "wide"


def test_an_answer_of_many_messages(channel, caller):
    count = channel.unary_stream("/mock.Count/50")
    call = count(b"", metadata=keyed(caller, x_mock_token_every_ms="5"), timeout=10)
    assert [int.from_bytes(message, "big") for message in call] == list(range(50))
    assert call.code() is grpc.StatusCode.OK


def test_both_ends_talk_in_turns(channel, caller):
    said = queue.SimpleQueue()
    call = channel.stream_stream("/mock.Echo/Chat")(iter(said.get, None), metadata=keyed(caller), timeout=20)
    for turn in range(5):
        said.put(b"%d" % turn)
        assert next(call) == b"%d" % turn
    said.put(None)
    assert list(call) == [] and call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("status", [5, 7, 13, 14])
def test_a_failure_of_the_service_is_seen_as_it_is(channel, caller, status):
    for service in ["Status", "Refuse"]:
        error = fails(lambda: channel.unary_unary(f"/mock.{service}/{status}")(b"", metadata=keyed(caller), timeout=10))
        assert error.code().value[0] == status, error


def test_refusals_say_why(channel, caller, once):
    say = channel.unary_unary("/mock.Echo/Say")
    error = fails(lambda: say(b"x", timeout=10))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED and "credential" in error.details(), error

    assert say(b"x", metadata=keyed(once), timeout=10) == b"x"
    error = fails(lambda: say(b"x", metadata=keyed(once), timeout=10))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "user-once-a-day" in error.details(), error
    assert int(dict(error.trailing_metadata())["retry-after"]) > 0

    error = fails(lambda: say(b"x" * (65 << 10), metadata=keyed(caller), timeout=10))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "bytes" in error.details(), error


def test_a_deadline_goes_all_the_way(channel, caller, gateway, mock):
    say = channel.unary_unary("/mock.Echo/Say")
    began = time.monotonic()
    error = fails(lambda: say(b"x", metadata=keyed(caller, x_mock_latency_ms="5000"), timeout=0.5))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began < 2
    say(b"x", metadata=keyed(caller), timeout=5)
    left = dict(mock.last()[0]["headers"])["grpc-timeout"]
    # grpcio itself rounds a little up.
    assert left.endswith("u") and 3_000_000 < int(left[:-1]) < 5_100_000, left


def test_who_cancels_cancels_the_backend(channel, caller, mock):
    call = channel.unary_stream("/mock.Count/1000")(b"", metadata=keyed(caller, x_mock_token_every_ms="20"))
    next(call)
    call.cancel()
    end = time.monotonic() + 5
    while not mock.stats()["cancelled"]:
        assert time.monotonic() < end, "the backend goes on"
        time.sleep(0.05)


class Service(grpc.GenericRpcHandler):
    """What grpcio's own server does with a call."""

    def service(self, details):
        return {
            "/py.Test/Told": grpc.unary_unary_rpc_method_handler(self.told),
            "/py.Test/Join": grpc.stream_unary_rpc_method_handler(lambda pieces, _: b"".join(pieces)),
            "/py.Test/Split": grpc.unary_stream_rpc_method_handler(lambda whole, _: (bytes([byte]) for byte in whole)),
            "/py.Test/Abort": grpc.unary_unary_rpc_method_handler(
                lambda _, call: call.abort(grpc.StatusCode.FAILED_PRECONDITION, "还没准备好: 50 %")
            ),
        }.get(details.method)

    def told(self, _, call):
        call.set_trailing_metadata((("x-left", "%f" % (call.time_remaining() or 0)), ("x-bytes-bin", b"\x00\xff")))
        return json.dumps({key: value for key, value in call.invocation_metadata() if isinstance(value, str)}).encode()


@pytest.fixture(scope="module")
def served(gateway, channel):
    server = grpc.server(ThreadPoolExecutor(4), [Service()], options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    route = {
        "name": "grpcio", "match": {"path": "/py.Test/{method}"}, "api": "grpc", "auth": ["api_key"], "pool": "grpcio",
        "tenant_header": "x-tenant", "limits": [{"name": "wide", "per": "route", "requests": "10k/s"}],
    }
    pool = {"name": "grpcio", "protocol": "h2", "backends": [{"url": f"http://127.0.0.1:{port}"}]}
    file = gateway.directory / "policies" / "grpcio.yaml"
    file.write_text(yaml.safe_dump({"routes": [route], "pools": [pool]}))
    end = time.monotonic() + 10
    # Nobody may call without a key, once the route is there.
    while fails(lambda: channel.unary_unary("/py.Test/Told")(b"", timeout=5)).code() is not grpc.StatusCode.UNAUTHENTICATED:
        assert time.monotonic() < end, "the route does not come"
        time.sleep(0.05)
    yield channel
    server.stop(None)
    file.unlink()


def test_its_server_is_told_who_calls_and_how_long(served, caller):
    answer, call = served.unary_unary("/py.Test/Told").with_call(b"", metadata=keyed(caller, x_mine="1"), timeout=5)
    told, end = json.loads(answer), dict(call.trailing_metadata())
    assert (told["x-tenant"], told["x-mine"]) == ("wide", "1") and "authorization" not in told
    assert 3 < float(end["x-left"]) < 5.1 and end["x-bytes-bin"] == b"\x00\xff"


def test_its_server_streams_either_way(served, caller):
    pieces = [bytes([65 + n]) * 1000 for n in range(20)]
    assert served.stream_unary("/py.Test/Join")(iter(pieces), metadata=keyed(caller), timeout=10) == b"".join(pieces)
    assert b"".join(served.unary_stream("/py.Test/Split")(b"abcdef", metadata=keyed(caller), timeout=10)) == b"abcdef"


def test_what_its_server_says_is_wrong_arrives_letter_by_letter(served, caller):
    error = fails(lambda: served.unary_unary("/py.Test/Abort")(b"", metadata=keyed(caller), timeout=5))
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "还没准备好: 50 %")
    error = fails(lambda: served.unary_unary("/py.Test/Nothing")(b"", metadata=keyed(caller), timeout=5))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
