"""huaweicloudsdkiam: a token is fetched through the gateway and then shown to it."""

import pytest
import requests
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkiam.v3 import (
    AuthScope,
    AuthScopeProject,
    IamClient,
    KeystoneCreateUserTokenByPasswordRequest,
    KeystoneCreateUserTokenByPasswordRequestBody,
    PwdAuth,
    PwdIdentity,
    PwdPassword,
    PwdPasswordUser,
    PwdPasswordUserDomain,
)
from openai import OpenAI, PermissionDeniedError

from conftest import REGION
from huawei import build, text


def fetch(gateway, caller, user, account="acme", password=None):
    """What the SDK's own call of IAM gives, signed by a caller of the gateway."""
    creds = GlobalCredentials(caller.access_key, caller.secret_key, "domain-of-nobody")
    who = PwdPasswordUser(PwdPasswordUserDomain(account), user, password or f"password-of-{user}")
    auth = PwdAuth(PwdIdentity(["password"], PwdPassword(who)), AuthScope(project=AuthScopeProject(name=REGION)))
    body = KeystoneCreateUserTokenByPasswordRequestBody(auth)
    client = build(IamClient, gateway.url, creds)
    return client.keystone_create_user_token_by_password(KeystoneCreateUserTokenByPasswordRequest(body=body))


def test_a_token_fetched_through_the_gateway_opens_it(gateway, mock, caller):
    token = fetch(gateway, caller, "alice").x_subject_token
    assert token.startswith("MIIE")
    client = OpenAI(
        base_url=f"{gateway.url}/v1/infers/token/v1", api_key="unused", default_headers={"X-Auth-Token": token}, max_retries=0,
    )
    answer = client.chat.completions.create(model="pangu-chat", messages=[{"role": "user", "content": text()}])
    assert answer.choices[0].message.content
    headers = dict(mock.last()[0]["headers"])
    assert headers["x-tenant"] == "acme"
    assert "x-auth-token" not in headers and "authorization" not in headers


def test_a_service_is_asked_with_a_token(gateway, mock, caller):
    token = fetch(gateway, caller, "alice").x_subject_token
    url = f"{gateway.url}/v1/infers/s1/token/predict"
    answer = requests.post(url, json={"data": text()}, headers={"X-Auth-Token": token}, timeout=10)
    assert answer.status_code == 200, answer.text
    assert "x-auth-token" not in dict(mock.last()[0]["headers"])


def test_a_made_up_token_is_refused(gateway, mock):
    url = f"{gateway.url}/v1/infers/s1/token/predict"
    answer = requests.post(url, json={}, headers={"X-Auth-Token": "MIIEmade-up"}, timeout=10)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "APIG.0301")
    assert mock.requests() == 0


def test_a_user_whom_policy_does_not_name_is_told_so(gateway, mock, caller):
    token = fetch(gateway, caller, "bob").x_subject_token
    mock.reset()
    client = OpenAI(
        base_url=f"{gateway.url}/v1/infers/token/v1", api_key="unused", default_headers={"X-Auth-Token": token}, max_retries=0,
    )
    with pytest.raises(PermissionDeniedError, match="ask for access"):
        client.chat.completions.create(model="pangu-chat", messages=[{"role": "user", "content": text()}])
    assert mock.requests() == 0


def test_a_wrong_password_is_iams_no(gateway, mock, caller):
    with pytest.raises(ClientRequestException) as raised:
        fetch(gateway, caller, "alice", password="guess")
    assert raised.value.status_code == 401
    assert "username or password is wrong" in str(raised.value)
