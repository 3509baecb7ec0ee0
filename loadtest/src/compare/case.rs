//! Case: one kind of load, and what is measured under it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::peer::Peer;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// GET on 64 connections, one AppCode.
    Get,
    /// GET on 64 connections, 10,000 AppCodes in turn.
    Keys,
    /// POST of 2 KB on 64 connections.
    Post,
    /// The same POST made anew each time, with an AppCode; of the gateway alone.
    Coded,
    /// The same, each signed with AK/SK in place of the AppCode.
    Signed,
    /// GET over TLS 1.3 on 64 connections.
    Tls,
    /// GET over TLS 1.3, a connection each.
    Handshake,
    /// GET over HTTP/2 and TLS 1.3, 8 connections with 10 streams.
    H2,
    /// Bytes on 16 connections of plain TCP, to an echo and back, as fast as they go.
    Tcp,
    /// GET on one connection, the next when the last is answered.
    Latency1,
    /// 2,000 GET per second, evenly spaced.
    Latency2000,
    /// 256 streams of events at once, an event each 10 ms.
    Sse,
    /// 16 of them: so few that neither origin nor generator makes an event wait.
    First,
    /// Unary calls of gRPC over HTTP/2 and TLS 1.3, 8 connections with 10 streams; in clear to the origin.
    Grpc,
    /// Messages that are echoed, one at a time on each of 64 WebSockets.
    WebSocket,
}

/// What is measured in a run; lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Processor time of the proxy per unit, us.
    Cpu,
    /// Median of the latency (of streams: of the time to the first event), us.
    P50,
    /// 99th percentile of the same, us.
    P99,
}

impl Case {
    /// All, in the order of tables.
    pub const ALL: [Case; 15] = [
        Case::Get,
        Case::Keys,
        Case::Post,
        Case::Coded,
        Case::Signed,
        Case::Tls,
        Case::Handshake,
        Case::H2,
        Case::Tcp,
        Case::Latency1,
        Case::Latency2000,
        Case::Sse,
        Case::First,
        Case::Grpc,
        Case::WebSocket,
    ];

    /// As arguments and files name it.
    pub fn name(self) -> &'static str {
        match self {
            Case::Get => "get",
            Case::Keys => "keys",
            Case::Post => "post",
            Case::Coded => "coded",
            Case::Signed => "signed",
            Case::Tls => "tls",
            Case::Handshake => "handshake",
            Case::H2 => "h2",
            Case::Tcp => "tcp",
            Case::Latency1 => "latency1",
            Case::Latency2000 => "latency2000",
            Case::Sse => "sse",
            Case::First => "first",
            Case::Grpc => "grpc",
            Case::WebSocket => "websocket",
        }
    }

    /// As tables name it.
    pub fn title(self) -> &'static str {
        match self {
            Case::Get => "GET, one key",
            Case::Keys => "GET, 10,000 keys in turn",
            Case::Post => "POST 2 KB, one key",
            Case::Coded => "POST 2 KB, made anew each time",
            Case::Signed => "POST 2 KB, made anew and signed with AK/SK",
            Case::Tls => "GET over TLS 1.3, keep-alive",
            Case::Handshake => "GET over TLS 1.3, a connection each",
            Case::H2 => "GET over HTTP/2 and TLS, 10 streams a connection",
            Case::Tcp => "MiB of plain TCP there and back, 16 connections",
            Case::Latency1 => "GET, one connection",
            Case::Latency2000 => "GET, 2,000 per second",
            Case::Sse => "SSE event, 256 streams, each 10 ms",
            Case::First => "first SSE event of 16 streams",
            Case::Grpc => "gRPC call, unary, over HTTP/2 and TLS, 10 streams a connection",
            Case::WebSocket => "WebSocket message of 100 bytes and its echo",
        }
    }

    /// What stands beside it in every round: the difference is the result, and drifts from case to case are as large.
    pub fn beside(self) -> Option<Case> {
        (self == Case::Signed).then_some(Case::Coded)
    }

    /// Whether only the gateway can do it.
    pub fn is_of_the_gateway(self) -> bool {
        matches!(self, Case::Coded | Case::Signed)
    }

    /// Whether it is measured of this peer. What is not HTTP has one yardstick, and the relay takes no TLS.
    pub fn is_for(self, peer: Peer) -> bool {
        match self {
            Case::Coded | Case::Signed => peer == Peer::Gateway,
            Case::Tcp => matches!(peer, Peer::Gateway | Peer::Haproxy),
            Case::Grpc | Case::WebSocket => matches!(peer, Peer::Gateway | Peer::Nginx),
            _ => peer.knows_requests() || !self.tls(),
        }
    }

    /// The status in the access logs when all went well.
    pub fn status(self) -> u16 {
        if self == Case::WebSocket { 101 } else { 200 }
    }

    /// Whether callers come with TLS.
    pub fn tls(self) -> bool {
        matches!(self, Case::Tls | Case::Handshake | Case::H2 | Case::Grpc)
    }

    /// Whether the mock is the origin, and not the fixed answer.
    pub fn wants_mock(self) -> bool {
        self.streams() || matches!(self, Case::Grpc | Case::WebSocket | Case::Tcp)
    }

    /// Whether several requests share a connection at a time.
    pub fn is_multiplexed(self) -> bool {
        matches!(self, Case::H2 | Case::Grpc)
    }

    /// Whether answers are streams of events.
    pub fn streams(self) -> bool {
        matches!(self, Case::Sse | Case::First)
    }

    /// Whether times are measured, and the origin itself too, to subtract its own.
    pub fn is_timed(self) -> bool {
        matches!(self, Case::Latency1 | Case::Latency2000 | Case::First)
    }

    /// Whether processor time per unit is a result. At a low rate it is not: most of it is waking up.
    pub fn is_counted(self) -> bool {
        !matches!(self, Case::Latency1 | Case::Latency2000 | Case::First)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
