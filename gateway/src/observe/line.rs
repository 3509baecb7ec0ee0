//! One line of the access log.

use super::json::Json;
use crate::usage::Tokens;
use std::net::IpAddr;

/// What one line says. Strings are escaped, so that every line parses whatever a caller sends.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, serde::Serialize))] // what serde makes of it is what `append` is compared with
pub struct Line<'a> {
    /// When the request head was complete, as RFC 3339 in UTC.
    pub time: &'a str,
    /// `X-Request-Id` of the answer.
    pub request_id: &'a str,
    /// Listener's name.
    pub listener: &'a str,
    /// Caller's address.
    pub peer: IpAddr,
    /// `h1` or `h2`.
    pub protocol: &'static str,
    /// Request method.
    pub method: &'a str,
    /// Raw path, without the query (which may carry what is not for logs), cut at 1 KiB.
    pub path: &'a str,
    /// Route's name.
    pub route: Option<&'a str>,
    /// Tenant's name, once authenticated.
    pub tenant: Option<&'a str>,
    /// User's name, once authenticated.
    pub user: Option<&'a str>,
    /// Status the caller got; where there was none, 499 if the caller left, and 503 if the gateway ended (`drained`). Of a call of gRPC, which always gets 200, what
    /// `grpc_status` stands for in HTTP.
    pub status: u16,
    /// How a call of gRPC went.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub grpc_status: Option<u8>,
    /// `ok`, `cancelled`, `cut` (upstream broke off), `drained` (cut by the gateway at its end), the refusal's code, or how a WebSocket came to its end.
    pub outcome: &'static str,
    /// What the log may know and the caller may not: why a credential was refused, which error an upstream gave.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub detail: Option<&'a str>,
    /// Body bytes read.
    pub bytes_in: u64,
    /// Body bytes written.
    pub bytes_out: u64,
    /// Head in to last byte out.
    pub duration_us: u64,
    /// How long it waited for its turn before the pool, if it did.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub queued_us: Option<u64>,
    /// Head in to head of the answer.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub first_byte_us: Option<u64>,
    /// `host:port` of the backend asked; of several the last.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub backend: Option<&'a str>,
    /// How many times a backend was asked, if more than once.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub attempts: Option<u32>,
    /// The model or pool of the fallback, if that was asked.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub fallback: Option<&'a str>,
    /// The version of the pool that it belongs to, if the pool has versions.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub version: Option<&'a str>,
    /// The model's name in policy, on a route to a model.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub model: Option<&'a str>,
    /// Model tokens it was charged for.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub tokens: Option<Tokens>,
    /// Version of the policy that decided.
    pub policy: u64,
}

impl Line<'_> {
    /// Appends the line and its end. Hot path, once per request, and spelt out: a serializer escapes byte by byte
    /// what is plain nearly always, which costs five times as much. Only what a caller or an operator can
    /// choose freely is looked through: ids, times and codes are made here, methods are tokens (RFC 9110 section
    /// 5.6.2), and names in a policy are letters, digits and `._-`.
    pub fn append(&self, out: &mut Vec<u8>) {
        let mut json = Json(out);
        json.raw(br#"{"time":""#).plain(self.time);
        json.raw(br#"","request_id":""#).plain(self.request_id);
        json.raw(br#"","listener":""#).text(self.listener);
        json.raw(br#"","peer":""#).address(self.peer);
        json.raw(br#"","protocol":""#).plain(self.protocol);
        json.raw(br#"","method":""#).plain(self.method);
        json.raw(br#"","path":""#).text(self.path);
        json.raw(br#"","route":"#).name(self.route);
        json.raw(br#","tenant":"#).name(self.tenant);
        json.raw(br#","user":"#).name(self.user);
        json.raw(br#","status":"#).number(self.status.into());
        if let Some(grpc_status) = self.grpc_status {
            json.raw(br#","grpc_status":"#).number(grpc_status.into());
        }
        json.raw(br#","outcome":""#).plain(self.outcome).raw(b"\"");
        if let Some(detail) = self.detail {
            json.raw(br#","detail":""#).text(detail).raw(b"\"");
        }
        json.raw(br#","bytes_in":"#).number(self.bytes_in);
        json.raw(br#","bytes_out":"#).number(self.bytes_out);
        json.raw(br#","duration_us":"#).number(self.duration_us);
        if let Some(queued_us) = self.queued_us {
            json.raw(br#","queued_us":"#).number(queued_us);
        }
        if let Some(first_byte_us) = self.first_byte_us {
            json.raw(br#","first_byte_us":"#).number(first_byte_us);
        }
        if let Some(backend) = self.backend {
            json.raw(br#","backend":""#).text(backend).raw(b"\"");
        }
        if let Some(attempts) = self.attempts {
            json.raw(br#","attempts":"#).number(attempts.into());
        }
        if let Some(fallback) = self.fallback {
            json.raw(br#","fallback":""#).text(fallback).raw(b"\"");
        }
        if let Some(version) = self.version {
            json.raw(br#","version":""#).plain(version).raw(b"\"");
        }
        if let Some(model) = self.model {
            json.raw(br#","model":""#).plain(model).raw(b"\"");
        }
        if let Some(Tokens { prompt, completion }) = self.tokens {
            json.raw(br#","tokens":{"prompt":"#).number(prompt);
            json.raw(br#","completion":"#).number(completion).raw(b"}");
        }
        json.raw(br#","policy":"#).number(self.policy).raw(b"}\n");
    }
}

/// What one connection of plain TCP says at its end.
#[derive(Debug)]
#[cfg_attr(test, derive(serde::Serialize))] // as with `Line`
pub struct StreamLine<'a> {
    /// When it was accepted, as RFC 3339 in UTC.
    pub time: &'a str,
    /// Tells it from others; the same form as that of requests.
    pub request_id: &'a str,
    /// Listener's name.
    pub listener: &'a str,
    /// Caller's address: the peer's, or what a trusted proxy's PROXY header says.
    pub peer: IpAddr,
    /// Stream's name.
    pub stream: Option<&'a str>,
    /// Tenant's name, once it is known.
    pub tenant: Option<&'a str>,
    /// How it ended; a closed set of words.
    pub outcome: &'static str,
    /// Why, where there is more to say.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub detail: Option<&'a str>,
    /// Bytes written to the backend.
    pub bytes_in: u64,
    /// Bytes written to the caller.
    pub bytes_out: u64,
    /// Accepted to ended.
    pub duration_us: u64,
    /// `host:port` of the backend, or of the last one that was tried.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub backend: Option<&'a str>,
    /// Version of the policy that let it in.
    pub policy: u64,
}

impl StreamLine<'_> {
    /// Appends the line and its end. Spelt out, and safe, as [`Line::append`].
    pub fn append(&self, out: &mut Vec<u8>) {
        let mut json = Json(out);
        json.raw(br#"{"time":""#).plain(self.time);
        json.raw(br#"","request_id":""#).plain(self.request_id);
        json.raw(br#"","listener":""#).text(self.listener);
        json.raw(br#"","peer":""#).address(self.peer);
        json.raw(br#"","protocol":"tcp","stream":"#).name(self.stream);
        json.raw(br#","tenant":"#).name(self.tenant);
        json.raw(br#","outcome":""#).plain(self.outcome).raw(b"\"");
        if let Some(detail) = self.detail {
            json.raw(br#","detail":""#).text(detail).raw(b"\"");
        }
        json.raw(br#","bytes_in":"#).number(self.bytes_in);
        json.raw(br#","bytes_out":"#).number(self.bytes_out);
        json.raw(br#","duration_us":"#).number(self.duration_us);
        if let Some(backend) = self.backend {
            json.raw(br#","backend":""#).text(backend).raw(b"\"");
        }
        json.raw(br#","policy":"#).number(self.policy).raw(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Plain text, text that needs escapes, and what a path cut at a limit may end in.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9/._-]{0,40}",
            r#"[a-z"\\\x00-\x20\x7f]{0,20}"#,
            any::<String>(),
            any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ]
    }

    fn name() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[a-zA-Z0-9._-]{1,40}")
    }

    fn optional() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(text())
    }

    proptest! {
        #[test]
        fn a_line_is_what_serde_would_write(
            (request_id, method, listener, path) in ("[0-9a-f]{32}", "[A-Z!#$%&'*+.^_`|~-]{1,10}", text(), text()),
            (route, tenant, user) in (name(), name(), name()),
            (detail, backend, version) in (optional(), optional(), name()),
            (peer, policy) in any::<(IpAddr, u64)>(),
            (status, grpc_status) in any::<(u16, Option<u8>)>(),
            (bytes_in, bytes_out, duration_us) in (any::<u64>(), any::<u64>(), any::<u64>()),
            (queued_us, first_byte_us) in any::<(Option<u64>, Option<u64>)>(),
            (attempts, fallback) in (any::<Option<u32>>(), proptest::option::of("\\PC{0,20}")),
            (model, tokens) in (name(), proptest::option::of((any::<u64>(), any::<u64>()))),
        ) {
            let line = Line {
                time: "2026-01-01T00:00:00.000Z",
                request_id: &request_id,
                listener: &listener,
                peer,
                protocol: "h1",
                method: &method,
                path: &path,
                route: route.as_deref(),
                tenant: tenant.as_deref(),
                user: user.as_deref(),
                status,
                grpc_status,
                outcome: "ok",
                detail: detail.as_deref(),
                bytes_in,
                bytes_out,
                duration_us,
                queued_us,
                first_byte_us,
                backend: backend.as_deref(),
                attempts,
                fallback: fallback.as_deref(),
                version: version.as_deref(),
                model: model.as_deref(),
                tokens: tokens.map(|(prompt, completion)| Tokens { prompt, completion }),
                policy,
            };
            let mut written = Vec::new();
            line.append(&mut written);
            prop_assert_eq!(written.pop(), Some(b'\n'));
            prop_assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&line).unwrap());
        }

        #[test]
        fn a_line_of_a_connection_is_what_serde_would_write(
            (request_id, listener, peer) in ("[0-9a-f]{32}", text(), any::<IpAddr>()),
            (stream, tenant) in (name(), name()),
            (detail, backend) in (optional(), optional()),
            (bytes_in, bytes_out, duration_us, policy) in any::<(u64, u64, u64, u64)>(),
        ) {
            let line = StreamLine {
                time: "2026-01-01T00:00:00.000Z",
                request_id: &request_id,
                listener: &listener,
                peer,
                stream: stream.as_deref(),
                tenant: tenant.as_deref(),
                outcome: "ok",
                detail: detail.as_deref(),
                bytes_in,
                bytes_out,
                duration_us,
                backend: backend.as_deref(),
                policy,
            };
            let mut written = Vec::new();
            line.append(&mut written);
            prop_assert_eq!(written.pop(), Some(b'\n'));
            let expected = serde_json::to_string(&line).unwrap();
            let expected = expected.replacen(r#","stream":"#, r#","protocol":"tcp","stream":"#, 1);
            prop_assert_eq!(String::from_utf8(written).unwrap(), expected);
        }
    }
}
