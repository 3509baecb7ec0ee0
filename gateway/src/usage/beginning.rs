//! How does a prompt begin? What requests with the same beginning have in common may be in a model's cache.

use super::field::{Api, Field};
use super::json::{Scanner, Visitor};

/// So much of a body is looked at before asking whether that was enough.
const STEP_BYTES: usize = 512;

/// Gives the first `most` bytes of a prompt's text to `take`, in pieces as they come, and says how many there were. The text
/// is that of [`Asked::prompt`](super::Asked::prompt) but for tools: the strings of messages, prompts and inputs in the
/// order of the body. What is malformed is read up to there.
///
/// Reads no further than it has to, and allocates nothing.
pub fn beginning(api: Api, body: &[u8], most: usize, take: impl FnMut(&[u8])) -> usize {
    let mut beginning = Beginning { api, left: most, take };
    let mut scanner = Scanner::default();
    for step in body.chunks(STEP_BYTES) {
        scanner.feed(api.paths(), step, &mut beginning);
        if beginning.left == 0 || scanner.is_broken() {
            break;
        }
    }
    most - beginning.left
}

struct Beginning<F> {
    api: Api,
    left: usize,
    take: F,
}

impl<F: FnMut(&[u8])> Visitor<Field> for Beginning<F> {
    fn text(&mut self, field: Field, piece: &[u8]) {
        let is_text = field.is_prompt() || (field == Field::Body && self.api == Api::Unknown);
        let piece = &piece[..piece.len().min(self.left)];
        if is_text && !piece.is_empty() {
            self.left -= piece.len();
            (self.take)(piece);
        }
    }
}
