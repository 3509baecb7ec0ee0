//! Which credential a request carries, and what a signature's header says.

use super::denied::Denied;
use super::rules::{Kind, Kinds};
use super::signed_headers::SignedHeaders;
use crate::signing::Algorithm;
use http::header::{AUTHORIZATION, AsHeaderName};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The one credential that counts. It must hold: after a failure no other one is tried.
pub(super) enum Chosen<'a> {
    /// The text after the algorithm's name.
    Signature(Algorithm, &'a [u8]),
    AppCode(&'a [u8]),
    ApiKey(&'a [u8]),
    IamToken(&'a HeaderValue),
}

/// Picks the credential: of the kinds the route accepts, the first that was sent of signature, AppCode, IAM token,
/// Bearer.
///
/// Clients do send two. The Huawei SDKs sign beside a preset X-Apig-AppCode, and then the signature says more;
/// `openai` cannot leave Authorization out, so it sends a Bearer that often means nothing beside an AppCode.
///
/// # Errors
/// none was sent, or none that the route accepts, or one of the two headers came twice
pub(super) fn choose(headers: &HeaderMap, accepted: Kinds) -> Result<Chosen<'_>, Denied> {
    let scheme = one(headers, &AUTHORIZATION)?.map(Scheme::of);
    let app_code = one(headers, &X_APIG_APPCODE)?;

    match scheme {
        Some(Scheme::Signature(algorithm, fields)) if accepted.contains(Kind::AkSk) => {
            return Ok(Chosen::Signature(algorithm.ok_or(Denied::UnsupportedAlgorithm)?, fields));
        }
        _ => {}
    }
    match (app_code, scheme) {
        (Some(code), _) if accepted.contains(Kind::AppCode) => Ok(Chosen::AppCode(code)),
        _ if accepted.contains(Kind::IamToken) && one(headers, &X_AUTH_TOKEN)?.is_some() => {
            Ok(Chosen::IamToken(&headers[&X_AUTH_TOKEN]))
        }
        (_, Some(Scheme::Bearer(key))) if accepted.contains(Kind::ApiKey) => Ok(Chosen::ApiKey(key)),
        (None, None) if !headers.contains_key(&X_AUTH_TOKEN) => Err(Denied::NoCredential { accepted }),
        (None, Some(Scheme::Other)) => Err(Denied::UnsupportedScheme { accepted }),
        _ => Err(Denied::KindNotAccepted { accepted }),
    }
}

/// Parsed here, once: a look-up by text parses the text each time, which costs more than the look-up.
static X_APIG_APPCODE: HeaderName = HeaderName::from_static("x-apig-appcode");
static X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// What an Authorization header starts with.
#[derive(Clone, Copy)]
enum Scheme<'a> {
    /// None: an algorithm Huawei's SDKs know and this gateway does not.
    Signature(Option<Algorithm>, &'a [u8]),
    Bearer(&'a [u8]),
    Other,
}

impl<'a> Scheme<'a> {
    fn of(value: &'a [u8]) -> Scheme<'a> {
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (name, rest) = value.split_at(end);
        let rest = rest.trim_ascii_start();
        match name {
            b"SDK-HMAC-SHA256" => Scheme::Signature(Some(Algorithm::Sha256), rest),
            b"V11-HMAC-SHA256" => Scheme::Signature(Some(Algorithm::V11), rest),
            b"SDK-HMAC-SM3" => Scheme::Signature(Some(Algorithm::Sm3), rest),
            b"SDK-ECDSA-P256-SHA256" | b"SDK-SM2-SM3" => Scheme::Signature(None, rest),
            _ if name.eq_ignore_ascii_case(b"Bearer") => Scheme::Bearer(rest),
            _ => Scheme::Other,
        }
    }
}

/// `Access=<AK>, SignedHeaders=<a;b>, Signature=<64 hex>`, or `Credential=<AK>/<day>/<region>/<service>` for V11.
pub(super) struct Fields<'a> {
    pub(super) access_key: &'a str,
    /// V11: `<day>/<region>/<service>`; else empty.
    pub(super) scope: &'a str,
    pub(super) signed_headers: SignedHeaders<'a>,
    pub(super) signature: [u8; 32],
}

/// Longer than any region and service; bounds what the key cache stores.
const SCOPE_MAX: usize = 128;

impl<'a> Fields<'a> {
    /// # Errors
    /// [`Denied::Malformed`]
    pub(super) fn parse(algorithm: Algorithm, text: &'a [u8]) -> Result<Fields<'a>, Denied> {
        let text = std::str::from_utf8(text).map_err(|_| Denied::Malformed("Authorization is not ASCII"))?;
        let (mut who, mut signed_headers, mut signature) = (None, None, None);
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(Denied::Malformed(LAYOUT))?;
            let field = match name {
                "Access" if algorithm != Algorithm::V11 => &mut who,
                "Credential" if algorithm == Algorithm::V11 => &mut who,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(Denied::Malformed(LAYOUT)),
            };
            if value.is_empty() || field.replace(value).is_some() {
                return Err(Denied::Malformed(LAYOUT));
            }
        }
        let (Some(who), Some(signed_headers), Some(signature)) = (who, signed_headers, signature) else {
            return Err(Denied::Malformed(LAYOUT));
        };
        let (access_key, scope) = if algorithm == Algorithm::V11 { split_scope(who)? } else { (who, "") };
        Ok(Fields {
            access_key,
            scope,
            signed_headers: SignedHeaders::parse(signed_headers)?,
            signature: unhex(signature)
                .ok_or(Denied::Malformed("Signature must be 64 lower-case hex digits"))?,
        })
    }
}

const LAYOUT: &str = "Authorization must read `<algorithm> Access=<key>, SignedHeaders=<names>, Signature=<hex>` \
     (V11: `Credential=<key>/<day>/<region>/<service>`)";

/// Splits from the right: a key may hold a slash, the other three cannot.
fn split_scope(credential: &str) -> Result<(&str, &str), Denied> {
    let (at, _) = credential.rmatch_indices('/').nth(2).ok_or(Denied::Malformed(LAYOUT))?;
    let (access_key, scope) = (&credential[..at], &credential[at + 1..]);
    if access_key.is_empty() || scope.len() > SCOPE_MAX {
        return Err(Denied::Malformed(LAYOUT));
    }
    Ok((access_key, scope))
}

/// Lower case only, as every SDK writes it: one signature has one spelling.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let (mut bytes, mut bad) = ([0; 32], 0);
    for (byte, pair) in bytes.iter_mut().zip(text.as_chunks().0) {
        let [high, low] = pair.map(|digit| NIBBLES[usize::from(digit)]);
        bad |= high | low;
        *byte = high << 4 | low;
    }
    (bad < 16).then_some(bytes)
}

/// What each digit stands for; more than 15 where there is none.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [16; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};

/// The value of a header that must not come twice, without blanks around it; None if it was not sent.
///
/// # Errors
/// [`Denied::HeaderRepeated`]
pub(super) fn one<N: AsHeaderName + AsRef<str> + Copy>(
    headers: &HeaderMap,
    name: N,
) -> Result<Option<&[u8]>, Denied> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some()
        && let Ok(name) = name.as_ref().parse()
    {
        return Err(Denied::HeaderRepeated(name));
    }
    Ok(first.map(|value| value.as_bytes().trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const HEX: &str = "2c890c2853a774b3f9d4e422f9b143404fb823cbb3832f5c1f804c71573e255f";

    fn fields(algorithm: Algorithm, text: &str) -> Result<(String, String, String), Denied> {
        Fields::parse(algorithm, text.as_bytes())
            .map(|f| (f.access_key.into(), f.scope.into(), f.signed_headers.as_str().into()))
    }

    #[test]
    fn the_three_fields_are_read_in_any_order() {
        let expected = Ok(("AK".into(), String::new(), "host;x-sdk-date".into()));
        let plain = format!("Access=AK, SignedHeaders=host;x-sdk-date, Signature={HEX}");
        let other = format!("Signature={HEX},SignedHeaders=host;x-sdk-date,Access=AK");
        assert_eq!(fields(Algorithm::Sha256, &plain), expected);
        assert_eq!(fields(Algorithm::Sm3, &other), expected);
        let v11 = format!("Credential=A/K/20240115/cn-1/apic, SignedHeaders=x-sdk-date, Signature={HEX}");
        assert_eq!(
            fields(Algorithm::V11, &v11),
            Ok(("A/K".into(), "20240115/cn-1/apic".into(), "x-sdk-date".into()))
        );
    }

    #[test]
    fn anything_else_is_malformed() {
        let upper = HEX.to_uppercase();
        for text in [
            String::new(),
            "Access=AK".into(),
            format!("Access=AK, SignedHeaders=host, Signature={upper}"),
            format!("Access=AK, SignedHeaders=host, Signature={HEX}0"),
            format!("Access=, SignedHeaders=host, Signature={HEX}"),
            format!("Access=AK, SignedHeaders=, Signature={HEX}"),
            format!("Access=AK, Access=AK, SignedHeaders=host, Signature={HEX}"),
            format!("Access=AK, SignedHeaders=host, Signature={HEX}, Extra=1"),
            format!("Credential=AK/1/2/3, SignedHeaders=host, Signature={HEX}"),
            format!("Access=AK, SignedHeaders=host;Host, Signature={HEX}"),
            format!("Access=AK, SignedHeaders={}, Signature={HEX}", ["a"; 65].join(";")),
        ] {
            assert!(matches!(fields(Algorithm::Sha256, &text), Err(Denied::Malformed(_))), "{text}");
        }
        for credential in ["AK", "AK/1/2", "/1/2/3", &format!("AK/1/2/{}", "x".repeat(200))] {
            let text = format!("Credential={credential}, SignedHeaders=host, Signature={HEX}");
            assert!(matches!(fields(Algorithm::V11, &text), Err(Denied::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_signature_goes_before_an_app_code_and_that_before_a_bearer() {
        let all: Kinds = Kind::ALL.into_iter().collect();
        let chosen = |headers: &[(&'static str, &'static str)], accepted: Kinds| {
            let map: HeaderMap =
                headers.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect();
            choose(&map, accepted).map(|chosen| match chosen {
                Chosen::Signature(..) => Kind::AkSk,
                Chosen::AppCode(_) => Kind::AppCode,
                Chosen::ApiKey(_) => Kind::ApiKey,
                Chosen::IamToken(_) => Kind::IamToken,
            })
        };
        let signed = ("authorization", "SDK-HMAC-SHA256 Access=AK");
        let ecdsa = ("authorization", "SDK-ECDSA-P256-SHA256 Access=AK");
        let bearer = ("authorization", "bearer key");
        let basic = ("authorization", "Basic QTpC");
        let code = ("x-apig-appcode", "code");

        assert_eq!(chosen(&[signed, code], all), Ok(Kind::AkSk));
        assert_eq!(chosen(&[bearer, code], all), Ok(Kind::AppCode));
        let token = ("x-auth-token", "MII");
        assert_eq!(chosen(&[token, bearer], all), Ok(Kind::IamToken), "openai cannot leave the Bearer out");
        assert_eq!(chosen(&[token, code], all), Ok(Kind::AppCode));
        assert_eq!(chosen(&[token, bearer], Kind::ApiKey.into()), Ok(Kind::ApiKey), "it is for the upstream");
        let accepted = Kind::ApiKey.into();
        assert_eq!(chosen(&[token], accepted), Err(Denied::KindNotAccepted { accepted }));
        assert_eq!(chosen(&[bearer], all), Ok(Kind::ApiKey));
        assert_eq!(chosen(&[ecdsa, code], all), Err(Denied::UnsupportedAlgorithm));
        assert_eq!(chosen(&[basic, code], all), Ok(Kind::AppCode));
        assert_eq!(chosen(&[basic], all), Err(Denied::UnsupportedScheme { accepted: all }));
        assert_eq!(chosen(&[], all), Err(Denied::NoCredential { accepted: all }));

        let bearer_only = Kinds::from(Kind::ApiKey);
        assert_eq!(
            chosen(&[bearer, code], bearer_only),
            Ok(Kind::ApiKey),
            "what the route does not accept is not chosen"
        );
        assert_eq!(chosen(&[signed, code], Kind::AppCode.into()), Ok(Kind::AppCode));
        assert_eq!(chosen(&[signed], bearer_only), Err(Denied::KindNotAccepted { accepted: bearer_only }));
        assert_eq!(chosen(&[code], bearer_only), Err(Denied::KindNotAccepted { accepted: bearer_only }));

        assert!(matches!(chosen(&[bearer, bearer], all), Err(Denied::HeaderRepeated(_))));
        assert!(matches!(chosen(&[code, code], all), Err(Denied::HeaderRepeated(_))));
    }
}
