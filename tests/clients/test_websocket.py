"""websockets (PyPI): its client, through the gateway, to the mock's echo."""

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def url(gateway):
    return gateway.url.replace("http://", "ws://") + "/mock/websocket"


def keyed(caller):
    return {"Authorization": f"Bearer {caller.api_key}"}


def test_messages_of_every_kind_come_back(gateway, caller):
    with connect(url(gateway), additional_headers=keyed(caller), compression=None) as socket:
        for message in ["你好", b"\x00\xff" * 20_000, "", ["a message ", "in ", "pieces"]]:
            socket.send(message)
            whole = "".join(message) if isinstance(message, list) else message
            assert socket.recv(timeout=10) == whole
        assert socket.ping().wait(10), "a pong"
    assert socket.close_code == 1000


def test_without_a_credential_there_is_no_handshake(gateway):
    with pytest.raises(InvalidStatus) as raised:
        connect(url(gateway))
    response = raised.value.response
    assert response.status_code == 401
    assert json.loads(response.body)["error_code"].startswith("APIG.03")


def test_a_message_that_is_too_long_is_told_so(gateway, caller):
    with connect(url(gateway), additional_headers=keyed(caller), compression=None) as socket:
        socket.send(b"0" * (64 << 10))
        assert len(socket.recv(timeout=10)) == 64 << 10
        with pytest.raises(ConnectionClosed) as raised:
            socket.send(b"0" * ((64 << 10) + 1))
            socket.recv(timeout=10)
    assert raised.value.rcvd.code == 1009


def test_what_is_open_is_counted_and_logged_when_it_ends(gateway, once):
    with connect(url(gateway), additional_headers=keyed(once), compression=None) as socket:
        socket.send("x" * 1000)
        socket.recv(timeout=10)
        with pytest.raises(InvalidStatus) as raised:
            connect(url(gateway), additional_headers=keyed(once))
        assert raised.value.response.status_code == 429
    end = time.monotonic() + 5
    lines = []
    while not lines and time.monotonic() < end:
        time.sleep(0.05)
        log = [json.loads(line) for line in gateway.access_log().splitlines()]
        lines = [line for line in log if line["status"] == 101 and line["bytes_in"] > 1000 and line["tenant"] == "once"]
    assert lines and lines[-1]["outcome"] == "ok", lines


def test_who_is_still_there_at_the_end_of_a_drain_is_told_that_the_gateway_goes(ending, caller):
    with connect(url(ending), additional_headers=keyed(caller), compression=None) as socket:
        socket.send("before")
        assert socket.recv(timeout=10) == "before"
        begun = time.monotonic()
        ending.program.process.terminate()
        time.sleep(0.5)
        socket.send("while it drains")
        assert socket.recv(timeout=10) == "while it drains"
        with pytest.raises(ConnectionClosed) as raised:
            socket.recv(timeout=10)
        assert time.monotonic() - begun > 1, "it was given most of the two seconds"
    assert raised.value.rcvd.code == 1001
    assert ending.program.process.wait(10) == 0
    line = json.loads(ending.access_log().splitlines()[-1])
    assert (line["status"], line["outcome"]) == (101, "drained"), line
