//! gRPC: calls below `/mock.{service}/{method}`, whose messages nobody here looks into.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::ask::Usage;
use super::reply::{Content, Reply};
use super::sse::Script;

/// A call, by its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpc {
    /// `mock.Echo/{any}`: every message comes back as it arrives.
    Echo,
    /// `mock.Status/{n}`: the same, and the call ends with status n.
    Status(u16),
    /// `mock.Refuse/{n}`: no message, and status n in the head.
    Refuse(u16),
    /// `mock.Count/{n}`: n messages, each of which is its number in eight bytes, at the pace of the plan.
    Count(u32),
}

impl Rpc {
    /// The call that a path names.
    pub fn find(path: &str) -> Option<Rpc> {
        let (service, method) = path.strip_prefix("/mock.")?.split_once('/')?;
        Some(match service {
            "Echo" => Rpc::Echo,
            "Status" => Rpc::Status(method.parse().ok()?),
            "Refuse" => Rpc::Refuse(method.parse().ok()?),
            "Count" => Rpc::Count(method.parse().ok()?),
            _ => return None,
        })
    }

    /// Does its answer begin before the request has come to its end?
    pub fn echoes(self) -> bool {
        matches!(self, Rpc::Echo | Rpc::Status(_))
    }

    /// What it answers.
    pub fn reply(self) -> Reply {
        let (status, body) = match self {
            Rpc::Echo => (0, Content::Echo),
            Rpc::Status(status) => (status, Content::Echo),
            Rpc::Refuse(status) => (status, Content::Whole(Bytes::new())),
            Rpc::Count(n) => (0, Content::Events(Script::new(Vec::new(), n, number, Vec::new()))),
        };
        Reply {
            status: StatusCode::OK,
            content_type: Some("application/grpc"),
            wait: Duration::ZERO,
            spent: Usage::default(),
            body,
            grpc_status: Some(status),
        }
    }
}

/// What tells how a call went.
pub fn status(status: u16) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from(status))])
}

/// A message as gRPC frames it: not compressed, its length, its bytes.
fn number(n: u32) -> Bytes {
    let mut message = BytesMut::with_capacity(13);
    message.put_u8(0);
    message.put_u32(8);
    message.put_u64(n.into());
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_their_path() {
        assert_eq!(Rpc::find("/mock.Echo/Say"), Some(Rpc::Echo));
        assert_eq!(Rpc::find("/mock.Status/5"), Some(Rpc::Status(5)));
        assert_eq!(Rpc::find("/mock.Refuse/14"), Some(Rpc::Refuse(14)));
        assert_eq!(Rpc::find("/mock.Count/3"), Some(Rpc::Count(3)));
        for unknown in ["/mock.Status/x", "/mock.Other/Say", "/mock.Echo", "/mock/echo"] {
            assert_eq!(Rpc::find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_counted_message_is_framed() {
        assert_eq!(&number(258)[..], [0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2]);
    }
}
