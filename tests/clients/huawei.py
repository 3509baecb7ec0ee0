"""What the tests of the Huawei SDKs share."""

import itertools

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region

PROJECT = "0123456789abcdef0123456789abcdef"
_serial = itertools.count()


def text(prompt="hello"):
    """A prompt no other request has: two that are equal and signed in one second are a replay."""
    return f"{prompt} {next(_serial)}"


def credentials(caller, secret_key=None):
    return BasicCredentials(caller.access_key, secret_key or caller.secret_key, PROJECT)


def build(client, endpoint, creds, algorithm=None):
    config = HttpConfig.get_default_config()
    if algorithm:
        config.signing_algorithm = algorithm
    return client.new_builder().with_credentials(creds).with_endpoint(endpoint).with_http_config(config).build()


def build_derived(client, endpoint, creds, service="pangulargemodels", region="cn-southwest-2"):
    """V11 signatures: the key is derived for a region and a service."""
    creds = creds.with_derived_predicate(BasicCredentials.get_default_derived_predicate())
    builder = client.new_builder().with_credentials(creds).with_region(Region(region, endpoint))
    builder._with_derived_auth_service_name(service)
    return builder.with_http_config(HttpConfig.get_default_config()).build()
