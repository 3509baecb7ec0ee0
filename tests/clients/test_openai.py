"""openai: chat, streams, models, embeddings, and the text of what it raises."""

import base64
import json
import time

import httpx2 as httpx
import openai
import pytest
from openai import OpenAI

HELLO = [{"role": "user", "content": "hello"}]


def client(gateway, key, base="/v1", **more):
    return OpenAI(base_url=gateway.url + base, api_key=key, max_retries=more.pop("max_retries", 0), timeout=20, **more)


def chat(openai_client, messages=None, **more):
    return openai_client.chat.completions.create(model="pangu-chat", messages=messages or HELLO, **more)


@pytest.mark.parametrize("base", ["/v1", "/api/v2"])
def test_chat(gateway, mock, caller, base):
    answer = chat(client(gateway, caller.api_key, base))
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens > 0


def test_a_stream(gateway, mock, caller):
    extra = {"x-mock-tokens": "8", "x-mock-token-every-ms": "60"}
    start = time.monotonic()
    stream = chat(
        client(gateway, caller.api_key), stream=True, stream_options={"include_usage": True}, extra_headers=extra,
    )
    arrived, text, usage = [], "", None
    for chunk in stream:
        arrived.append(time.monotonic() - start)
        usage = chunk.usage or usage
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
    assert text and usage.completion_tokens == 8
    assert arrived[-1] - arrived[0] > 0.25, "chunks came all at once"


def test_a_stream_tells_its_use_to_those_who_ask(gateway, mock, caller):
    extra = {"x-mock-tokens": "8"}
    stream = chat(
        client(gateway, caller.api_key), stream=True, stream_options={"include_usage": True}, extra_headers=extra,
    )
    *chunks, last = stream
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert last.choices == [] and (last.usage.prompt_tokens, last.usage.completion_tokens) == (2, 8)


@pytest.mark.parametrize("pieces", ["0", "1", "7"])
def test_a_stream_has_no_chunk_more_for_those_who_do_not_ask(gateway, mock, caller, pieces):
    """Programs take `choices[0]` of every chunk; one without choices breaks them."""
    extra = {"x-mock-tokens": "8", "x-mock-chunk-bytes": pieces}
    chunks = list(chat(client(gateway, caller.api_key), stream=True, extra_headers=extra))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said.startswith("The river runs east, 江水东流") and chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) == 10 and all(chunk.usage is None for chunk in chunks)
    asked = json.loads(base64.b64decode(mock.last()[0]["body_base64"]))
    assert asked["stream_options"] == {"include_usage": True}, "or its use would not be known"


def test_a_stream_that_is_cut_ends_as_one_that_reached_its_length(gateway, mock, cut):
    extra = {"x-mock-tokens": "500", "x-mock-token-every-ms": "20"}
    chunks = list(chat(client(gateway, cut.api_key), stream=True, max_tokens=10, extra_headers=extra))
    assert chunks[-1].choices[0].finish_reason == "length"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said.startswith("The river runs") and 8 <= len(chunks) <= 25, chunks
    assert chunks[-1].id == chunks[0].id and chunks[-1].model == "pangu-chat"
    with pytest.raises(openai.RateLimitError):
        chat(client(gateway, cut.api_key))


def test_a_stream_that_is_left_cancels_the_upstream(gateway, mock, caller):
    extra = {"x-mock-tokens": "1000", "x-mock-token-every-ms": "50"}
    stream = chat(client(gateway, caller.api_key), stream=True, extra_headers=extra)
    next(iter(stream))
    stream.close()
    left = time.monotonic()
    while not mock._get("/mock/stats")["cancelled"]:
        assert time.monotonic() - left < 1.0, "upstream still runs after 1 s"
        time.sleep(0.01)


def test_models(gateway, mock, caller):
    assert len(list(client(gateway, caller.api_key).models.list())) > 0


def test_embeddings(gateway, mock, caller):
    answer = client(gateway, caller.api_key).embeddings.create(model="embedding", input=["a", "b"])
    assert len(answer.data) == 2 and answer.data[0].embedding


def test_an_app_code_beside_any_bearer(gateway, mock, caller):
    """The client always sends a bearer token; the AppCode is what lets it in."""
    answer = chat(client(gateway, "unused", default_headers={"X-Apig-AppCode": caller.app_code}))
    assert answer.choices


def test_a_wrong_key_says_so(gateway, mock, caller):
    with pytest.raises(openai.AuthenticationError) as raised:
        chat(client(gateway, caller.api_key + "x"))
    assert "API key" in str(raised.value) or "credential" in str(raised.value), str(raised.value)
    assert caller.api_key not in str(raised.value)
    assert raised.value.response.json()["error_code"] == "APIG.0303"
    assert mock.requests() == 0


def test_an_oversized_body_says_so(gateway, mock, caller):
    with pytest.raises(openai.APIStatusError) as raised:
        chat(client(gateway, caller.api_key), [{"role": "user", "content": "x" * 70_000}])
    assert raised.value.status_code == 413
    assert "65536" in str(raised.value), str(raised.value)
    assert raised.value.response.json()["error_code"] == "APIG.0201"
    assert mock.requests() == 0


def test_an_exhausted_limit_says_so(gateway, mock, once):
    chat(client(gateway, once.api_key))
    with pytest.raises(openai.RateLimitError) as raised:
        chat(client(gateway, once.api_key))
    assert raised.value.code == "rate_limit_exceeded"
    assert "Limit 1 per 1d" in raised.value.message and "try again in" in raised.value.message, raised.value.message
    assert raised.value.response.json()["error_code"] == "APIG.0308"
    assert raised.value.request_id == raised.value.response.json()["request_id"]
    assert mock.requests() == 1


def test_an_exhausted_token_limit_says_so(gateway, mock, metered):
    chat(client(gateway, metered.api_key), max_tokens=10, extra_headers={"x-mock-tokens": "99"})
    with pytest.raises(openai.RateLimitError) as raised:
        chat(client(gateway, metered.api_key), max_tokens=10)
    error = raised.value
    assert (error.code, error.type) == ("rate_limit_exceeded", "tokens")
    assert "Token limit user-tokens reached for user metered" in error.message, error.message
    assert "Limit 100 completion tokens per 1h, used 99, requested 10. Please try again in" in error.message
    headers = error.response.headers
    assert headers["x-ratelimit-limit-tokens"] == "100" and headers["x-ratelimit-remaining-tokens"] == "1"
    assert int(headers["retry-after"]) > 60
    assert mock.requests() == 1


def test_an_exhausted_budget_says_so(gateway, mock, paying):
    """0.001 CNY for a prompt token and 0.002 for one of the answer: 49 of them are 0.1 with the prompt's 2."""
    chat(client(gateway, paying.api_key), max_tokens=10, extra_headers={"x-mock-tokens": "49"})
    with pytest.raises(openai.RateLimitError) as raised:
        chat(client(gateway, paying.api_key), max_tokens=10)
    error = raised.value
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert "Budget user-budget reached for user paying" in error.message, error.message
    assert "Limit 0.1 CNY per month, used 0.1 CNY" in error.message, error.message
    assert error.response.json()["error_code"] == "APIG.0308"
    assert mock.requests() == 1


def test_more_than_a_ceiling_says_so(gateway, mock, caller):
    with pytest.raises(openai.BadRequestError) as raised:
        chat(client(gateway, caller.api_key, base="/capped"), max_tokens=65)
    assert raised.value.code == "max_tokens_exceeded" and "64" in raised.value.message
    assert mock.requests() == 0


def test_a_client_that_retries_waits_as_long_as_it_is_told(gateway, mock, slow):
    patient = client(gateway, slow.api_key, max_retries=2)
    chat(patient)
    start = time.monotonic()
    chat(patient)
    assert 0.7 < time.monotonic() - start < 3.0
    assert mock.requests() == 2, "a refused try must not reach the model"


def test_no_route_says_so(gateway, mock, caller):
    with pytest.raises(openai.NotFoundError) as raised:
        client(gateway, caller.api_key, base="/v7").models.list()
    assert "route" in str(raised.value), str(raised.value)


def test_a_changed_body_byte_is_nothing_a_bearer_can_notice(gateway, mock, caller):
    """An API key binds no body; it must at least arrive as sent."""
    sent = b'{"model":"m","messages":[{"role":"user","content":"\xe5\xb1\xb1  x"}] }'
    headers = {"authorization": f"Bearer {caller.api_key}", "content-type": "application/json"}
    answer = httpx.post(gateway.url + "/v1/chat/completions", content=sent, headers=headers)
    assert answer.status_code == 200
    assert base64.b64decode(mock.last()[0]["body_base64"]) == sent
