//! What reading promises, checked against `serde_json`, against a plain reader of whole streams, and against other
//! splits of the same bytes.

mod answer;
mod asked;
mod beginning;
mod edit;
mod ending;
mod json;
mod stream;

use super::*;
use bytes::Bytes;
use std::sync::Arc;

const STRIP: Holding = Holding { strip_usage: true, whole_events: false };
const WHOLE: Holding = Holding { strip_usage: false, whole_events: true };

/// Reads an answer in these pieces: what went down, and what was seen.
fn pass<'a>(
    shape: Shape,
    framing: Framing,
    holding: Holding,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Seen) {
    let mut reader = Reader::new(Arc::new(shape), framing, holding);
    let mut sent = Vec::new();
    for piece in pieces {
        for bytes in reader.feed(Bytes::copy_from_slice(piece)) {
            sent.extend_from_slice(&bytes);
        }
    }
    sent.extend_from_slice(&reader.end());
    (sent, reader.seen())
}

fn text(ascii: u64, wide: u64) -> Text {
    Text { ascii, wide }
}
