"""huaweicloudsdkmodelarts (service API, GET) and apigateway_sdk_python (real-time services, AppKey and AppSecret)."""

import pytest
import requests
from apigateway_sdk_python import signer
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkmodelarts.v1 import (
    ListInferServiceEventsRequest,
    ListInferServicesRequest,
    ModelArtsClient,
    ShowInferServiceRequest,
)

from huawei import build, credentials, text


def test_services_are_listed_and_shown(gateway, mock, caller):
    client = build(ModelArtsClient, gateway.url, credentials(caller))
    assert client.list_infer_services(ListInferServicesRequest(limit=5, name="数 字&=+")).status_code == 200
    assert "?limit=5&name=" in mock.last()[0]["target"]
    assert client.show_infer_service(ShowInferServiceRequest(service_id="s1")).status_code == 200


def test_a_wrong_key_is_refused_on_get(gateway, mock, caller):
    client = build(ModelArtsClient, gateway.url, credentials(caller, "wrong"))
    with pytest.raises(ClientRequestException) as raised:
        client.list_infer_services(ListInferServicesRequest())
    assert (raised.value.status_code, raised.value.error_code) == (401, "APIG.0301")
    assert mock.requests() == 0


def test_an_operation_without_a_route_is_refused(gateway, mock, caller):
    client = build(ModelArtsClient, gateway.url, credentials(caller))
    with pytest.raises(ClientRequestException) as raised:
        client.list_infer_service_events(ListInferServiceEventsRequest(service_id="s1"))
    assert (raised.value.status_code, raised.value.error_code) == (404, "APIG.0101")
    assert "route" in raised.value.error_msg, str(raised.value)
    assert mock.requests() == 0


def test_an_exhausted_limit_reaches_the_user_on_get(gateway, mock, once):
    client = build(ModelArtsClient, gateway.url, credentials(once))
    client.list_infer_services(ListInferServicesRequest(limit=1))
    with pytest.raises(SdkException) as raised:
        client.list_infer_services(ListInferServicesRequest(limit=2))
    # The SDK drops the body of a 429 to GET; the number is all it leaves.
    assert "429" in str(raised.value), str(raised.value)
    assert mock.requests() == 1


class App:
    """The APIG app signer, as its documentation uses it."""

    def __init__(self, url, key, secret):
        self.url = url
        self.signer = signer.Signer()
        self.signer.Key, self.signer.Secret = key, secret

    def sign(self, path="/v1/infers/s1/predict", body=None, headers=None):
        headers = {"content-type": "application/json", "x-stage": "RELEASE"} | (headers or {})
        request = signer.HttpRequest("POST", self.url + path, headers, body or '{"data": "%s"}' % text())
        self.signer.Sign(request)
        return request

    def send(self, request):
        url = f"{request.scheme}://{request.host}{request.uri}"
        return requests.request(request.method, url, headers=request.headers, data=request.body, timeout=10)

    def call(self, **how):
        return self.send(self.sign(**how))


@pytest.fixture
def app(gateway, caller):
    return App(gateway.url, caller.access_key, caller.secret_key)


def test_an_app_key_signs(app, mock):
    answer = app.call(path="/v1/infers/s1/predict?b=2&a=1%20x&a=0")
    assert answer.status_code == 200, answer.text
    assert mock.last()[0]["target"] == "/v1/infers/s1/predict?a=0&a=1%20x&b=2"


def test_an_app_may_leave_the_body_out_where_the_route_allows_it(app, mock):
    answer = app.call(headers={"x-sdk-content-sha256": "UNSIGNED-PAYLOAD"})
    assert answer.status_code == 200, answer.text


def test_an_app_with_a_wrong_secret_is_refused(gateway, mock, caller):
    answer = App(gateway.url, caller.access_key, "wrong").call()
    assert answer.status_code == 401
    assert answer.json()["error_code"] in ("APIG.0301", "APIG.0303"), answer.text
    assert mock.requests() == 0


def test_an_app_with_a_flipped_byte_is_refused(app, mock):
    request = app.sign()
    request.body = request.body[:-1] + b"]"
    assert app.send(request).status_code == 401
    assert not any(seen["complete"] for seen in mock.last(10))


def test_an_app_with_another_query_is_refused(app, mock):
    request = app.sign(path="/v1/infers/s1/predict?a=1")
    request.uri = request.uri.replace("a=1", "a=2")
    assert app.send(request).status_code == 401
    assert mock.requests() == 0


def test_a_replayed_app_request_is_refused(app, mock):
    request = app.sign()
    assert app.send(request).status_code == 200
    assert app.send(request).status_code == 401
    assert mock.requests() == 1


def test_an_app_with_an_oversized_body_is_refused(app, mock):
    answer = app.call(body="x" * 70_000)
    assert (answer.status_code, answer.json()["error_code"]) == (413, "APIG.0201")


def test_an_app_at_its_limit_is_told_when_to_come_back(gateway, mock, once):
    app = App(gateway.url, once.access_key, once.secret_key)
    assert app.call().status_code == 200
    answer = app.call()
    assert (answer.status_code, answer.json()["error_code"]) == (429, "APIG.0308")
    assert int(answer.headers["Retry-After"]) > 80_000
    assert mock.requests() == 1


def test_an_app_code_calls(gateway, mock, caller):
    url = gateway.url + "/v1/infers/s1/predict"
    answer = requests.post(url, json={}, headers={"X-Apig-AppCode": caller.app_code}, timeout=10)
    assert answer.status_code == 200
    answer = requests.post(url, json={}, headers={"X-Apig-AppCode": caller.app_code[:-1]}, timeout=10)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "APIG.0303")
    assert mock.requests() == 1
