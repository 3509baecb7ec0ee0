//! Events of a stream: which tokens came with this piece?
//!
//! Pieces are cut anywhere. Only what is left of an event is kept from one to the next.

use memchr::{memchr_iter, memmem};

/// Longest event looked at as a whole. What is longer counts as a token without being read.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Reads one stream.
#[derive(Debug, Default)]
pub struct Events {
    rest: Vec<u8>,
    done: bool,
}

impl Events {
    /// Takes the next piece, and gives the number of tokens that it completes.
    pub fn push(&mut self, piece: &[u8]) -> u32 {
        if self.rest.is_empty() {
            let (tokens, used) = self.scan(piece);
            self.rest.extend_from_slice(&piece[used..]);
            return tokens;
        }
        let mut text = std::mem::take(&mut self.rest);
        text.extend_from_slice(piece);
        let (tokens, used) = self.scan(&text);
        text.drain(..used);
        if text.len() > EVENT_BYTES_MAX {
            text.clear();
        }
        self.rest = text;
        tokens
    }

    /// Whether the closing `[DONE]` has come.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Tokens of the events that are whole, and the bytes these take.
    fn scan(&mut self, text: &[u8]) -> (u32, usize) {
        let (mut tokens, mut used) = (0, 0);
        for newline in memchr_iter(b'\n', text) {
            let end = match text[newline + 1..] {
                [b'\n', ..] => newline + 2,
                [b'\r', b'\n', ..] => newline + 3,
                _ => continue,
            };
            if end > used + 2 {
                tokens += u32::from(self.is_token(&text[used..newline]));
            }
            used = end;
        }
        (tokens, used)
    }

    fn is_token(&mut self, event: &[u8]) -> bool {
        let Some(at) = memmem::find(event, b"data:") else { return false }; // a comment, which keeps a connection alive
        let data = event[at + 5..].trim_ascii();
        if data.starts_with(b"[DONE]") {
            self.done = true;
            return false;
        }
        // Chat streams open with a role and close with a reason and a count, none of which the model has said.
        memmem::find(data, b"\"choices\":").is_none() || has_text(data)
    }
}

/// Whether a chat chunk carries text: a `content`, `reasoning_content` or `text` that is a string and not empty.
fn has_text(data: &[u8]) -> bool {
    [&b"content\":"[..], b"text\":"].into_iter().any(|key| {
        memmem::find_iter(data, key).any(|at| {
            let value = data[at + key.len()..].trim_ascii_start();
            matches!(value, [b'"', first, ..] if *first != b'"')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"The \"}}]}\n\n",
        ": keep-alive\r\n\r\n",
        "data: {\"choices\": [{\"delta\": {\"reasoning_content\": \"river \"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"completion_tokens\":2}}\n\n",
        "data:[DONE]\n\n",
    );

    #[test]
    fn tokens_are_counted_wherever_the_stream_is_cut() {
        for piece_bytes in 1..=CHAT.len() {
            let mut events = Events::default();
            let tokens: u32 = CHAT.as_bytes().chunks(piece_bytes).map(|piece| events.push(piece)).sum();
            assert_eq!(tokens, 2, "pieces of {piece_bytes}");
            assert!(events.is_done());
            assert!(events.rest.is_empty());
        }
    }

    #[test]
    fn a_token_counts_when_its_event_is_whole() {
        let mut events = Events::default();
        assert_eq!(events.push(b"event: x\ndata: 1\n"), 0);
        assert_eq!(events.push(b"\ndata: 2\n\ndata: 3"), 2);
        assert!(!events.is_done());
    }

    #[test]
    fn an_event_without_end_is_not_kept_for_ever() {
        let mut events = Events::default();
        for _ in 0..100 {
            events.push(&[b'x'; 10_000]);
        }
        assert!(events.rest.len() <= EVENT_BYTES_MAX + 10_000);
    }
}
