//! Raw helpers below `/mock/`: plain bytes, echo, events, statuses.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::ask::Usage;
use super::endpoint::{Dialect, Raw};
use super::refuse;
use super::reply::{Content, Reply};
use super::sse::Script;

/// Events of `/mock/sse` unless its query says otherwise.
const CHUNKS_DEFAULT: u32 = 10;

/// Answers one helper. Second: the pace that `/mock/sse` asks for in its query.
pub fn reply(operation: Raw<'_>) -> (Reply, Option<Duration>) {
    match operation {
        Raw::Bytes(count) => (bytes(Content::Filler(count)), None),
        Raw::Echo => (bytes(Content::Echo), None),
        Raw::Status(code) => (status(code), None),
        Raw::Grpc(rpc) => (rpc.reply(), None),
        Raw::WebSocket => (status(426), None), // a handshake does not come this far
        Raw::Sse { query } => match sse(query) {
            Ok((reply, every)) => (reply, Some(every)),
            Err(what) => (refuse::bad_request(Dialect::Apig, &what), None),
        },
    }
}

fn bytes(body: Content) -> Reply {
    let content_type = Some("application/octet-stream");
    Reply {
        status: StatusCode::OK,
        content_type,
        wait: Duration::ZERO,
        spent: Usage::default(),
        body,
        grpc_status: None,
    }
}

fn status(code: u16) -> Reply {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    Reply { status, content_type: None, ..bytes(Content::Whole(Bytes::new())) }
}

fn sse(query: &str) -> Result<(Reply, Duration), String> {
    let (mut chunks, mut every_ms) = (CHUNKS_DEFAULT, 0_u32);
    for (name, value) in
        query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| pair.split_once('='))
    {
        let place = match name {
            "chunks" => &mut chunks,
            "every" => &mut every_ms,
            _ => return Err(format!("{name}: not known; write chunks=N&every=MS")),
        };
        *place = value.parse().map_err(|_| format!("{name}: not a number"))?;
    }
    let token = |i: u32| Bytes::from(format!("data: {i}\n\n"));
    Ok((
        Reply::events(0, Script::new(Vec::new(), chunks, token, Vec::new())),
        Duration::from_millis(every_ms.into()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_sse_sets_count_and_pace() {
        let (reply, every) = sse("chunks=3&every=25").unwrap();
        assert_eq!(every, Duration::from_millis(25));
        let Content::Events(script) = reply.body else { panic!("a stream") };
        assert_eq!(script.len(), 3);
        assert_eq!(script.event(2), "data: 2\n\n");
        assert!(sse("chunk=3").is_err());
        assert!(sse("chunks=x").is_err());
    }
}
