"""huaweicloudsdkpangulargemodels: V1, V2, temporary credentials, V11 and SM3 signatures."""

import json
import urllib.request

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.signer.algorithm import SigningAlgorithm
from huaweicloudsdkpangulargemodels.v1 import (
    ChatCompletionReq,
    ExecuteChatCompletionRequest,
    ExecuteTextCompletionRequest,
    Message,
    PanguLargeModelsClient,
    TextCompletionReq,
)
from huaweicloudsdkpangulargemodels.v2 import ChatCompletionReq as ChatCompletionReq2
from huaweicloudsdkpangulargemodels.v2 import ExecuteChatCompletionRequest as ExecuteChatCompletionRequest2
from huaweicloudsdkpangulargemodels.v2 import PanguLargeModelsClient as PanguLargeModelsClient2

from huawei import build, build_derived, credentials, text


def chat(client, content=None):
    body = ChatCompletionReq(messages=[Message(role="user", content=content or text())])
    return client.execute_chat_completion(ExecuteChatCompletionRequest(deployment_id="d1", body=body))


def chat2(client):
    body = ChatCompletionReq2(messages=[{"role": "user", "content": text()}])
    request = ExecuteChatCompletionRequest2(pool_id="pool1", deployment_id="d1", body=body)
    return client.execute_chat_completion(request)


def refused(call, status, code):
    """The exception a user sees; its text must say what is wrong."""
    with pytest.raises(ClientRequestException) as raised:
        call()
    error = raised.value
    assert (error.status_code, error.error_code) == (status, code), str(error)
    assert error.request_id and len(error.error_msg) > 10, str(error)
    return error.error_msg


def test_v1_chat_and_text(gateway, mock, caller):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller))
    answer = chat(client)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    body = TextCompletionReq(prompt=text())
    answer = client.execute_text_completion(ExecuteTextCompletionRequest(deployment_id="d1", body=body))
    assert answer.choices[0].text
    assert mock.requests() == 2


def test_v2_chat(gateway, mock, caller):
    answer = chat2(build(PanguLargeModelsClient2, gateway.url, credentials(caller)))
    assert answer.choices[0].message.content
    assert mock.last()[0]["target"].startswith("/v2/")


def test_temporary_credentials_need_their_token(gateway, mock, caller):
    def client(token):
        creds = credentials(caller)
        creds.ak, creds.sk = caller.temporary_key, caller.temporary_secret
        return build(PanguLargeModelsClient, gateway.url, creds.with_security_token(token) if token else creds)

    assert chat(client(caller.security_token)).choices
    refused(lambda: chat(client("another token")), 401, "APIG.0301")
    refused(lambda: chat(client(None)), 401, "APIG.0301")
    assert mock.requests() == 1


def test_v11_signatures(gateway, mock, caller):
    assert chat(build_derived(PanguLargeModelsClient, gateway.url, credentials(caller))).choices
    wrong = build_derived(PanguLargeModelsClient, gateway.url, credentials(caller, "wrong"))
    refused(lambda: chat(wrong), 401, "APIG.0301")
    assert mock.requests() == 1


def test_v11_signatures_are_what_goes_over_the_wire(wire, mock, caller):
    assert chat(build_derived(PanguLargeModelsClient, wire.url, credentials(caller))).choices
    assert b"V11-HMAC-SHA256 Credential=" in wire.requests[0]


def test_sm3_signatures(wire, mock, caller):
    assert chat(build(PanguLargeModelsClient, wire.url, credentials(caller), SigningAlgorithm.HMAC_SM3)).choices
    assert b"SDK-HMAC-SM3 Access=" in wire.requests[0]
    wrong = build(PanguLargeModelsClient, wire.url, credentials(caller, "wrong"), SigningAlgorithm.HMAC_SM3)
    refused(lambda: chat(wrong), 401, "APIG.0301")
    assert mock.requests() == 1


@pytest.mark.parametrize("algorithm", [SigningAlgorithm.ECDSA_P256_SHA256, SigningAlgorithm.SM2_SM3])
def test_signatures_by_public_key_are_refused_with_the_reason(gateway, mock, caller, algorithm):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller), algorithm)
    assert "SDK-HMAC-SHA256" in refused(lambda: chat(client), 401, "APIG.0301")
    assert mock.requests() == 0


def test_non_ascii_prompts_arrive_as_sent(gateway, mock, caller):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller))
    assert chat(client, "写一首关于大江的诗 🌊").choices


def test_an_app_code_beside_a_signature(gateway, mock, caller):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller))
    client.preset_headers.update({"X-Apig-AppCode": caller.app_code})
    assert chat(client).choices


def test_a_wrong_key_is_refused(gateway, mock, caller):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller, "not the secret key"))
    message = refused(lambda: chat(client), 401, "APIG.0301")
    assert "signature" in message.lower() or "credential" in message.lower(), message
    assert "not the secret key" not in message
    assert mock.requests() == 0


def test_a_flipped_body_byte_is_refused(wire, mock, caller):
    wire.alter = lambda head, body: (head, body[:-1] + bytes([body[-1] ^ 1]))
    client = build(PanguLargeModelsClient, wire.url, credentials(caller))
    refused(lambda: chat(client), 401, "APIG.0301")
    assert not any(seen["complete"] for seen in mock.last(10))


def test_a_replayed_request_is_refused(wire, mock, caller):
    assert chat(build(PanguLargeModelsClient, wire.url, credentials(caller))).choices
    status, body = wire.send(wire.requests[0])
    assert (status, body["error_code"]) == (401, "APIG.0301"), body
    assert len(body["error_msg"]) > 10
    assert mock.requests() == 1


def test_an_oversized_body_is_refused(gateway, mock, caller):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller))
    message = refused(lambda: chat(client, "x" * 70_000), 413, "APIG.0201")
    assert "65536" in message, message
    assert mock.requests() == 0


def test_an_exhausted_limit_says_so(gateway, mock, once):
    client = build(PanguLargeModelsClient, gateway.url, credentials(once))
    assert chat(client).choices
    message = refused(lambda: chat(client), 429, "APIG.0308")
    assert "Rate limit user-once-a-day reached for user once" in message and "Limit 1 per 1d" in message, message
    assert mock.requests() == 1


def test_the_use_of_a_chat_is_what_is_charged(gateway, mock, metered):
    client = build(PanguLargeModelsClient, gateway.url, credentials(metered))
    client.preset_headers.update({"x-mock-tokens": "33"})
    body = ChatCompletionReq(messages=[Message(role="user", content=text())], max_tokens=10)
    request = ExecuteChatCompletionRequest(deployment_id="d1", body=body)
    assert client.execute_chat_completion(request).usage.completion_tokens == 33
    with urllib.request.urlopen(f"{gateway.admin}/limits?tenant=metered", timeout=10) as answer:
        limits = json.load(answer)["limits"]
    assert 33 in [limit["used"] for limit in limits], limits


def test_an_exhausted_token_limit_says_so(gateway, mock, metered):
    client = build(PanguLargeModelsClient, gateway.url, credentials(metered))
    client.preset_headers.update({"x-mock-tokens": "250"})
    assert chat(client).usage.completion_tokens == 250
    message = refused(lambda: chat(client), 429, "APIG.0308")
    assert "Token limit user-tokens reached for user metered" in message, message
    assert "Limit 100 completion tokens per 1h, used 250" in message, message
    assert mock.requests() == 1


def test_an_exhausted_budget_says_so(gateway, mock, paying):
    client = build(PanguLargeModelsClient, gateway.url, credentials(paying))
    client.preset_headers.update({"x-mock-tokens": "50"})
    assert chat(client).choices
    message = refused(lambda: chat(client), 429, "APIG.0308")
    said = "Budget user-budget reached for user paying", "Limit 0.1 CNY per month"
    assert all(words in message for words in said), message
    assert mock.requests() == 1


def test_a_stream_tells_its_use_in_every_event(gateway, mock, caller):
    """The SDK knows no streams; it hands out what came."""
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller))
    client.preset_headers.update({"x-mock-tokens": "5"})
    body = ChatCompletionReq(messages=[Message(role="user", content=text())], stream=True)
    answer = client.execute_chat_completion(ExecuteChatCompletionRequest(deployment_id="d1", body=body))
    raw = answer.raw_content.decode()
    uses = [json.loads(line[5:])["usage"]["completion_tokens"] for line in raw.split("\n") if line.startswith("data:{")]
    assert uses == [0, 1, 2, 3, 4, 5, 5], raw


def test_a_deployment_name_with_a_slash_is_refused(gateway, mock, caller):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller))
    body = ChatCompletionReq(messages=[Message(role="user", content=text())])
    request = ExecuteChatCompletionRequest(deployment_id="a/b", body=body)
    assert "/" in refused(lambda: client.execute_chat_completion(request), 400, "APIG.0201")
    assert mock.requests() == 0


def test_a_deployment_name_in_chinese_passes(gateway, mock, caller):
    client = build(PanguLargeModelsClient, gateway.url, credentials(caller))
    body = ChatCompletionReq(messages=[Message(role="user", content=text())])
    assert client.execute_chat_completion(ExecuteChatCompletionRequest(deployment_id="模型 一", body=body)).choices
    assert "%E6%A8%A1%E5%9E%8B%20%E4%B8%80" in mock.last()[0]["target"]


def test_the_v2_sdk_reads_a_refusal_as_well(gateway, mock, once):
    client = build(PanguLargeModelsClient2, gateway.url, credentials(once))
    assert chat2(client).choices
    with pytest.raises(ClientRequestException) as raised:
        chat2(client)
    assert raised.value.status_code == 429
    assert "limit" in raised.value.error_msg, str(raised.value)
