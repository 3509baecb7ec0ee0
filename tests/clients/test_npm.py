"""@huaweicloud/huaweicloud-sdk-core, which signs a little differently from the Python SDK."""

from huawei import PROJECT, text

CHAT = f"/v1/{PROJECT}/deployments/d1/chat/completions"


def chat(node, endpoint, caller, **more):
    request = {
        "endpoint": endpoint, "access_key": caller.access_key, "secret_key": caller.secret_key,
        "project_id": PROJECT, "path": CHAT, "body": {"messages": [{"role": "user", "content": text("你好")}]},
    }
    return node(**(request | more))


def test_chat(node, gateway, mock, caller):
    answer = chat(node, gateway.url, caller)
    assert answer.get("status") == 200 and answer["body"]["choices"], answer


def test_services_are_listed(node, gateway, mock, caller):
    path = f"/v2/{PROJECT}/services"
    answer = chat(node, gateway.url, caller, method="GET", path=path, query={"limit": 5, "name": "a b"}, body={})
    assert answer.get("status") == 200, answer
    assert "limit=5" in mock.last()[0]["target"]


def test_temporary_credentials(node, gateway, mock, caller):
    answer = chat(
        node, gateway.url, caller, access_key=caller.temporary_key, secret_key=caller.temporary_secret,
        security_token=caller.security_token,
    )
    assert answer.get("status") == 200, answer


def refused(answer, status, code):
    assert answer.get("exception") == "ClientRequestException", answer
    assert (answer["status"], answer["errorCode"]) == (status, code), answer
    assert len(answer["errorMsg"]) > 10 and answer["requestId"], answer
    return answer["errorMsg"]


def test_a_wrong_key_is_refused(node, gateway, mock, caller):
    refused(chat(node, gateway.url, caller, secret_key="wrong"), 401, "APIG.0301")
    assert mock.requests() == 0


def test_a_flipped_body_byte_is_refused(node, wire, mock, caller):
    wire.alter = lambda head, body: (head, body[:-1] + bytes([body[-1] ^ 1]))
    refused(chat(node, wire.url, caller), 401, "APIG.0301")


def test_a_replayed_request_is_refused(node, wire, mock, caller):
    assert chat(node, wire.url, caller)["status"] == 200
    status, body = wire.send(wire.requests[0])
    assert (status, body["error_code"]) == (401, "APIG.0301")
    assert mock.requests() == 1


def test_an_oversized_body_is_refused(node, gateway, mock, caller):
    body = {"messages": [{"role": "user", "content": "x" * 70_000}]}
    assert "65536" in refused(chat(node, gateway.url, caller, body=body), 413, "APIG.0201")


def test_an_exhausted_limit_says_so(node, gateway, mock, once):
    assert chat(node, gateway.url, once)["status"] == 200
    assert "Limit 1 per 1d" in refused(chat(node, gateway.url, once), 429, "APIG.0308")
    assert mock.requests() == 1


def test_a_path_with_a_space_needs_the_routes_option(node, gateway, mock, caller):
    """This SDK encodes an encoded path once more before it signs it."""
    predict = {"path": "/v1/infers/s1/predict/a%20b"}
    refused(chat(node, gateway.url, caller, **predict), 401, "APIG.0301")
    assert mock.requests() == 0
    answer = chat(node, gateway.url, caller, path="/v1/infers/s1/npm/a%20b")
    assert answer.get("status") == 200, answer
    assert mock.last()[0]["target"] == "/v1/infers/s1/npm/a%20b"
