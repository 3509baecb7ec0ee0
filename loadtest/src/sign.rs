//! Signs a request as a Huawei Cloud client does: the package's own implementation.
//!
//! Asked by `pangu-loadtest sign` and by tests that need a good (or nearly good) signature. It was written
//! from the published algorithm and shares no line with the verifier in the gateway, so a mistake has to be
//! made twice to go unnoticed.
//!
//! *Covered.* `SDK-HMAC-SHA256` and `V11-HMAC-SHA256` (a key derived for date, region and service).
//! *Not here.* SM3, ECDSA and SM2, and verification of any kind.

use std::borrow::Cow;
use std::fmt::Write;

use aws_lc_rs::{digest, hmac};
use http::Uri;

/// The `X-Sdk-Date` of now, such as `20240115T083000Z`.
pub fn date_now() -> String {
    date_at(crate::clock::since_epoch().as_secs())
}

/// The `X-Sdk-Date` of a moment given in seconds since 1970-01-01 UTC.
pub fn date_at(epoch_s: u64) -> String {
    let moment = i64::try_from(epoch_s).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    moment.unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Lower-case hex SHA-256, the form in which policies store AppCodes and API keys.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Who signs, and how the signing key is made. `Debug` hides the secret.
#[derive(Clone)]
pub struct Signer<'a> {
    /// Public half of the pair: an AK, or the AppKey of an APIG app.
    pub access_key: &'a str,
    /// Secret half; never printed.
    pub secret_key: &'a str,
    /// The algorithm.
    pub scheme: Scheme<'a>,
}

/// How the key of the HMAC is made, and the label that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `SDK-HMAC-SHA256`: the secret key itself.
    Sdk,
    /// `V11-HMAC-SHA256`: a key derived for one day, region and service.
    V11 {
        /// Such as `cn-southwest-2`; `globe` for global services.
        region: &'a str,
        /// Such as `pangu`.
        service: &'a str,
    },
}

/// What is signed.
#[derive(Debug, Clone)]
pub struct Unsigned<'a> {
    /// Upper-cased before use.
    pub method: &'a str,
    /// Absolute. Its host and port become `Host` unless `headers` has one.
    pub url: &'a str,
    /// Sent and signed, but for names with `_`, which are sent only (proxies tend to drop them).
    pub headers: &'a [(String, String)],
    /// Hashed, unless `headers` states an `X-Sdk-Content-Sha256`.
    pub body: &'a [u8],
    /// `X-Sdk-Date`; see [`date_now`]. Ignored when `headers` has one.
    pub date: &'a str,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The URL does not parse, or is relative.
    #[error("not an absolute URL: write http://HOST[:PORT]/PATH, with everything unusual percent-encoded")]
    Url,
}

impl Signer<'_> {
    /// Gives every header to send, in order: the caller's, `X-Sdk-Date`, `Host`, `Authorization`.
    ///
    /// # Errors
    /// [`SignError::Url`] if `request.url` is not an absolute URL.
    pub fn sign(&self, request: &Unsigned<'_>) -> Result<Vec<(String, String)>, SignError> {
        let uri: Uri = request.url.parse().map_err(|_| SignError::Url)?;
        let authority = uri.authority().ok_or(SignError::Url)?;
        let mut headers: Vec<(String, String)> =
            request.headers.iter().map(|(name, value)| (name.clone(), value.trim().to_owned())).collect();
        add_missing(&mut headers, "X-Sdk-Date", request.date);
        add_missing(&mut headers, "Host", authority.as_str());

        let (canonical, signed_names) = canonical_request(request, &uri, &headers);
        let date = find(&headers, "x-sdk-date").unwrap_or_default();
        headers.push(("Authorization".to_owned(), self.authorization(&canonical, &signed_names, date)));
        Ok(headers)
    }

    fn authorization(&self, canonical: &str, signed_names: &str, date: &str) -> String {
        let digest = sha256_hex(canonical.as_bytes());
        let access_key = self.access_key;
        match self.scheme {
            Scheme::Sdk => {
                let text = format!("SDK-HMAC-SHA256\n{date}\n{digest}");
                let signature = hex(&hmac_sha256(self.secret_key.as_bytes(), text.as_bytes()));
                format!(
                    "SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={signed_names}, Signature={signature}"
                )
            }
            Scheme::V11 { region, service } => {
                let day = date.get(..8).unwrap_or(date);
                let scope = format!("{day}/{region}/{service}");
                let text = format!("V11-HMAC-SHA256\n{date}\n{scope}\n{digest}");
                let signature = hex(&hmac_sha256(self.derived_key(&scope).as_bytes(), text.as_bytes()));
                format!(
                    "V11-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed_names}, Signature={signature}"
                )
            }
        }
    }

    /// HKDF-SHA256 (RFC 5869) with the access key as salt, one block; used as its own hex text.
    fn derived_key(&self, scope: &str) -> String {
        let extracted = hmac_sha256(self.access_key.as_bytes(), self.secret_key.as_bytes());
        let mut info = scope.as_bytes().to_vec();
        info.push(1);
        hex(&hmac_sha256(&extracted, &info))
    }
}

impl std::fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("access_key", &self.access_key)
            .field("secret_key", &"***")
            .field("scheme", &self.scheme)
            .finish()
    }
}

/// The canonical request, and the list of names it signs.
fn canonical_request(request: &Unsigned<'_>, uri: &Uri, headers: &[(String, String)]) -> (String, String) {
    let mut signed: Vec<(String, &str)> = headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
        .collect();
    signed.sort();
    let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");

    let mut text = request.method.to_ascii_uppercase();
    let _ =
        write!(text, "\n{}\n{}\n", canonical_path(uri.path()), canonical_query(uri.query().unwrap_or("")));
    for (name, value) in &signed {
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "\n{names}\n{}", body_hash(request.body, headers));
    (text, names)
}

/// Decodes once, encodes each segment again, and ends in `/`.
fn canonical_path(path: &str) -> String {
    let decoded = decode(path);
    let mut text = decoded.split(|&b| b == b'/').map(encode).collect::<Vec<_>>().join("/");
    if !text.ends_with('/') {
        text.push('/');
    }
    text
}

/// Sorts by decoded key, then decoded value; a key without a value gets an empty one.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    pairs.sort();
    pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The stated hash if there is one, taken as it stands, else the body's own.
fn body_hash(body: &[u8], headers: &[(String, String)]) -> String {
    find(headers, "x-sdk-content-sha256").map_or_else(|| sha256_hex(body), str::to_owned)
}

fn find<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn add_missing(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if find(headers, name).is_none() {
        headers.push((name.to_owned(), value.to_owned()));
    }
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = bytes.get(i + 1..i + 3).filter(|_| bytes[i] == b'%').and_then(hex_byte);
        out.push(escaped.unwrap_or(bytes[i]));
        i += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(out)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    match digits {
        [high, low] => Some((value(*high)? * 16 + value(*low)?) as u8),
        _ => None,
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, in upper-case hex.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    //! Known answers were made with the vendor's own SDK (huaweicloudsdkcore 3.1.219), for made-up keys.
    use super::*;

    const AK: &str = "FAKEAK0000EXAMPLE001";
    const SK: &str = "fakeSK000000000000000000000000EXAMPLE001";
    const CHAT: &str = "https://pangu.example.com/v1/0123456789abcdef0123456789abcdef/deployments/5d0a1c3e-0000-4000-8000-00000000aaaa/chat/completions";
    const BODY: &str = r#"{"messages":[{"role":"user","content":"hello"}],"stream":false,"max_tokens":16}"#;
    const JSON: (&str, &str) = ("Content-Type", "application/json");

    fn signature(
        signer: &Signer<'_>,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let request =
            Unsigned { method, url, headers: &headers, body: body.as_bytes(), date: "20240115T083000Z" };
        let sent = signer.sign(&request).unwrap();
        let (name, value) = sent.last().unwrap();
        assert_eq!(name, "Authorization");
        value.clone()
    }

    fn assert_sdk(method: &str, url: &str, headers: &[(&str, &str)], body: &str, expected: &str) {
        let signer = Signer { access_key: AK, secret_key: SK, scheme: Scheme::Sdk };
        let value = signature(&signer, method, url, headers, body);
        let expected = format!("SDK-HMAC-SHA256 Access={AK}, SignedHeaders={expected}");
        assert_eq!(value, expected, "{method} {url}");
    }

    #[test]
    fn plain_requests_match_the_sdk() {
        assert_sdk(
            "GET",
            "https://pangu.example.com/",
            &[],
            "",
            "host;x-sdk-date, Signature=2c890c2853a774b3f9d4e422f9b143404fb823cbb3832f5c1f804c71573e255f",
        );
        assert_sdk(
            "post",
            CHAT,
            &[
                JSON,
                ("X-Project-Id", "0123456789abcdef0123456789abcdef"),
                ("X-Security-Token", "gQpjbi1ub3J0aC00FAKESECURITYTOKENabc/+=="),
            ],
            BODY,
            "content-type;host;x-project-id;x-sdk-date;x-security-token, Signature=2b4bde3471ae8419dbd44208cc8825cc5d6a3377f7b70e7422bda3f2aebea4fc",
        );
    }

    #[test]
    fn odd_paths_and_queries_match_the_sdk() {
        let cases = [
            ("/v1/100%2525/x", "80562cc5e96029524bfb43258753bff6aedee7d87e549499c4eb30eef35c8192"),
            (
                "/v1/a:b@c!d$e&f'g(h)i*j+k,l;m=n",
                "f1b22e95a996664991cc8a18acf61b9f42deb8ab54f3ab01563a99b86f8c6230",
            ),
            (
                "/v2/x?q=a%20b%2Bc%2Fd%3De%26f~g%2Ah%27%28i%29",
                "23c22d95292c60480c1faf01257dded98ff454a16e7d5701e3987e81a4209657",
            ),
            ("/v2/x?a-=2&a%2F=1", "526bb7a82f1f7b26f2761b071987fda778dc4d31b127dba9054b0ca667b54f94"),
        ];
        for (target, signature) in cases {
            let url = format!("https://pangu.example.com{target}");
            assert_sdk("GET", &url, &[], "", &format!("host;x-sdk-date, Signature={signature}"));
        }
    }

    #[test]
    fn odd_headers_match_the_sdk() {
        let url = "https://pangu.example.com/v2/x";
        assert_sdk(
            "GET",
            url,
            &[("X_UNDER_SCORE", "v"), ("X-Ok", "v")],
            "",
            "host;x-ok;x-sdk-date, Signature=41a3f2d7e0cc8f246feef452c2f18a378fc314c174ed8c462979b534399dd233",
        );
        assert_sdk(
            "GET",
            url,
            &[("X-Pad", "  \t padded value \t ")],
            "",
            "host;x-pad;x-sdk-date, Signature=2979b725279066302425f36c1669da7bb4afb18a781ef8c7947db07cb8e70b38",
        );
        assert_sdk(
            "GET",
            url,
            &[("X-Name", "盘古")],
            "",
            "host;x-name;x-sdk-date, Signature=5a088c7c05a2924bb45db46445cca2fc1c258f16bff93055fc089b3ad1d7e710",
        );
    }

    #[test]
    fn a_stated_body_hash_is_signed_as_it_stands() {
        assert_sdk(
            "POST",
            "https://pangu.example.com/v1/infers/f76f20ba-78f5-44e8-893a-37c8c600c02f/v1/chat/completions",
            &[("Content-Type", "text/plain"), ("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")],
            "abc",
            "content-type;host;x-sdk-content-sha256;x-sdk-date, Signature=9adbf7974eaaa0862a702cb363866540c42aa890fcf9090cd796d9fa4d250c97",
        );
    }

    #[test]
    fn an_app_key_with_a_stage_matches_the_sdk() {
        let signer = Signer {
            access_key: "FAKEAPPKEY-4f5f626b-073f",
            secret_key: "fake!App@Secret#2024",
            scheme: Scheme::Sdk,
        };
        let url = "https://pangu.example.com/v1/infers/f76f20ba-78f5-44e8-893a-37c8c600c02f";
        let value = signature(&signer, "POST", url, &[("x-stage", "RELEASE"), JSON], "{}");
        assert!(
            value.ends_with("Signature=27b0e550bbdbac51d8d2e421c06a82d201f6300bef51e2c459e30360e1150fd2"),
            "{value}"
        );
    }

    #[test]
    fn a_derived_key_matches_the_sdk() {
        let scheme = Scheme::V11 { region: "cn-southwest-2", service: "apic" };
        let signer = Signer { access_key: AK, secret_key: SK, scheme };
        let headers = [JSON, ("X-Project-Id", "0123456789abcdef0123456789abcdef")];
        assert_eq!(
            signature(&signer, "POST", CHAT, &headers, BODY),
            "V11-HMAC-SHA256 Credential=FAKEAK0000EXAMPLE001/20240115/cn-southwest-2/apic, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=79b750620f7840daf753423f2221467c066ffae5d454b0679ad8949f0460d22e"
        );
        assert_eq!(
            signature(&signer, "GET", "https://pangu.example.com/v2/x?limit=2", &[], ""),
            "V11-HMAC-SHA256 Credential=FAKEAK0000EXAMPLE001/20240115/cn-southwest-2/apic, SignedHeaders=host;x-sdk-date, Signature=a51ebc521ee9c56ee3571047253a1b064ba23b59058224ee18989d1eaa3fa651"
        );
    }

    #[test]
    fn the_secret_is_not_in_debug() {
        let signer = Signer { access_key: AK, secret_key: SK, scheme: Scheme::Sdk };
        assert!(!format!("{signer:?}").contains(SK));
    }

    #[test]
    fn dates_have_the_sdk_form() {
        assert_eq!(date_at(1_705_307_400), "20240115T083000Z");
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
