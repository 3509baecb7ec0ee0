//! Which headers of a caller end at the gateway, in whatever spelling.

use crate::policy::Route;
use crate::upstream::Credential;
use http::HeaderMap;
use http::header::{self, HeaderName};

/// Further hop-by-hop headers, as the caller's `Connection` names them (RFC 9110 section 7.6.1).
pub fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// Whether a header of the caller ends here: hop-by-hop ones, what is written anew, the credentials this gateway has
/// checked or shows its own instead of, and every spelling of the headers by which it vouches for a caller.
pub fn ends_here(name: &HeaderName, route: &Route, credential: &Credential) -> bool {
    is_hop_by_hop(name)
        || matches!(*name, header::HOST | header::CONTENT_LENGTH)
        || (credential.ends_callers(route.auth.is_some()) && is_credential(name))
        || credential.own_headers().iter().any(|own| alike(name, own.as_str()))
        || (route.metering.is_some() && *name == header::ACCEPT_ENCODING)
        || is_reserved(name, route.tenant_header.as_ref())
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
            | header::PROXY_AUTHORIZATION
            | header::EXPECT
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// Every header by which Huawei's gateways, IAM and model services, and those that speak OpenAI's format, know a
/// caller.
const CREDENTIALS: [&str; 12] = [
    "authorization",
    "x-apig-appcode",
    "x-auth-token",
    "x-security-token",
    "x-sdk-date",
    "x-sdk-content-sha256",
    "x-sdk-content-sm3",
    "x-hw-id",
    "x-hw-appkey",
    "apikey",
    "api-key",
    "x-api-key",
];

fn is_credential(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes()[0], b'a' | b'x') && CREDENTIALS.iter().any(|known| alike(name, known))
}

/// Headers that only the gateway may send.
fn is_reserved(name: &HeaderName, tenant_header: Option<&HeaderName>) -> bool {
    let first = name.as_str().as_bytes()[0];
    (first == b'x'
        && ["x-modelarts-user-id", "x-request-id", "x-tenant"].iter().any(|ours| alike(name, ours)))
        || tenant_header.is_some_and(|reserved| alike(name, reserved.as_str()))
}

/// Do some servers read both alike? Those that hand headers on as environment variables (RFC 3875 section 4.1.18) write
/// `_` for `-`, and some for every other mark as well.
fn alike(name: &HeaderName, other: &str) -> bool {
    let folded = |b: u8| if b.is_ascii_alphanumeric() { b } else { b'-' };
    let name = name.as_str();
    name.len() == other.len() && name.bytes().map(folded).eq(other.bytes().map(folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_reserved_header_is_reserved() {
        let ours = HeaderName::from_static("x-account");
        for name in [
            "x-account",
            "x_account",
            "x.account",
            "X-Account",
            "X_ACCOUNT",
            "x-modelarts-user-id",
            "x_modelarts-user_id",
        ] {
            assert!(is_reserved(&name.parse().unwrap(), Some(&ours)), "{name}");
        }
        for name in ["x-accounts", "account", "x-modelarts-user"] {
            assert!(!is_reserved(&name.parse().unwrap(), Some(&ours)), "{name}");
        }
    }

    #[test]
    fn every_spelling_of_a_credential_is_one() {
        for name in ["Authorization", "X_Apig_AppCode", "x.auth~token", "X_SDK-Date", "api_key", "apikey"] {
            assert!(is_credential(&name.parse().unwrap()), "{name}");
        }
        for name in ["accept", "x-apig-mode", "x-auth-tokens", "xauth-token", "x-project-id"] {
            assert!(!is_credential(&name.parse().unwrap()), "{name}");
        }
    }
}
