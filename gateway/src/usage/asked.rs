//! What a request asks for, read from its body before it is admitted.

use super::field::{Api, Field};
use super::reading;
use super::short::Short;
use super::tokens::Text;
use std::fmt;
use std::ops::Range;

/// What a request asks for. Positions in it belong to the body that it was read from; see [`edit`](super::edit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Answer in events as they come. Default: no.
    pub stream: bool,
    /// `stream_options.include_usage`. Default: no.
    pub include_usage: bool,
    /// Completion tokens that one answer may have; the greatest if several keys say it, of those that bound it where such
    /// a body goes: `max_output_tokens` beside an `input`, `max_tokens` and its like beside `messages` or a `prompt`.
    /// Default: the model's own.
    pub max_tokens: Option<u64>,
    /// Answers generated: the greater of `n` and `best_of`, for every prompt of a list. At least 1.
    pub completions: u64,
    /// Messages, or prompts of a list.
    pub messages: u64,
    /// Text of the prompt: all strings of messages, prompts and inputs but those of images, sound and files; tool
    /// definitions as they stand in the body, since the model sees them as JSON.
    pub prompt: Text,
    /// Tokens of prompts that are lists of token numbers, which no text tells.
    pub prompt_tokens: u64,
    /// Images, pieces of sound or film, and files in the prompt.
    pub media: u64,
    /// Some of the prompt is kept upstream, and only named here: earlier answers, a conversation, a template.
    pub refers: bool,
    pub(super) model: Short<{ Self::MODEL_MAX }>,
    pub(super) places: Places,
}

/// Where things stand that may be edited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    /// Of the whole body.
    pub len: usize,
    pub body: Inside,
    /// Values of another kind than expected, which an [unknown](Api::Unknown) API may mean; bit by field.
    pub odd: u32,
    pub stream_options: Option<Options>,
    /// The value of `model`.
    pub model: Option<Range<usize>>,
    /// By what [`Field::limit_keys`] says; a value of `null` is no number.
    pub max_tokens: [Option<(Range<usize>, Option<u64>)>; 4],
    /// Which of them count: of each group one must be there, or the answer has no bound.
    pub bounds: &'static [&'static [Field]],
}

/// Just after the `{` of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Inside {
    pub at: usize,
    pub empty: bool,
}

/// The value of `stream_options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Options {
    Null(Range<usize>),
    Object { inside: Inside, include_usage: Option<Range<usize>> },
}

/// A body that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRead {
    /// Not one JSON value in UTF-8 without a byte order mark.
    NotJson,
    /// JSON, but no object.
    NotObject,
    /// In a content coding, which the upstream may undo and read something else in.
    Coded,
    /// Two readings: the key is there twice, or once in other letters, which some decoders take for the same.
    Ambiguous {
        /// The key.
        key: &'static str,
    },
    /// The value is not of the plain kind, such as `"max_tokens": "9"`, which some decoders take for a number.
    Kind {
        /// The key.
        key: &'static str,
        /// What is expected.
        expected: &'static str,
    },
}

impl Places {
    /// What is given of a group of [`bounds`](Self::bounds).
    pub(super) fn given(&self, keys: &[Field]) -> impl Iterator<Item = &(Range<usize>, Option<u64>)> {
        keys.iter().filter_map(|key| self.max_tokens.get(key.limit_key()?)?.as_ref())
    }

    pub(super) fn is_odd(&self, field: Field) -> bool {
        self.odd & field.bit() != 0
    }
}

impl NotRead {
    pub(super) fn kind(field: Field) -> NotRead {
        NotRead::Kind { key: field.key(), expected: field.expected() }
    }
}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson | Self::NotObject => {
                f.write_str("the body is not one JSON object; send UTF-8 without a byte order mark")
            }
            Self::Coded => f.write_str("the body has a content coding; send it without `Content-Encoding`"),
            Self::Ambiguous { key } => {
                write!(f, "the body has more than one `{key}`; send it once, in lower case")
            }
            Self::Kind { key, expected } => write!(f, "`{key}` must be {expected}"),
        }
    }
}

impl std::error::Error for NotRead {}

impl Asked {
    /// Longest name of a model, in bytes.
    pub const MODEL_MAX: usize = 128;

    /// Reads a whole body.
    ///
    /// Hot path, once per request of a metered route: one pass and no allocation. A body has one reading or it is
    /// refused: what an upstream's parser makes of it must not differ from what was admitted. With
    /// [`Api::Unknown`] only doubled keys are refused; what is of an unexpected kind has another meaning there, and
    /// is passed over.
    ///
    /// # Errors
    /// [`NotRead`].
    pub fn read(api: Api, body: &[u8]) -> Result<Self, NotRead> {
        reading::read(api, body)
    }

    /// A key that bounds the answer has a value that is no bound here, though it may be one upstream. Only with
    /// [`Api::Unknown`]; elsewhere such a body is not read.
    pub fn odd_bound(&self) -> Option<NotRead> {
        Field::LIMIT_KEYS.into_iter().find(|field| self.places.is_odd(*field)).map(NotRead::kind)
    }

    /// The greatest bound of an answer that it has, also where an API that may take it for its own would find none.
    pub fn greatest_bound(&self) -> Option<u64> {
        let given = self.places.bounds.iter().flat_map(|keys| self.places.given(keys));
        given.filter_map(|(_, tokens)| *tokens).max()
    }

    /// Is it a body of the Responses API? Its streams tell their usage unasked, and it has no option to ask for it.
    pub fn is_response(&self) -> bool {
        self.places.bounds == Field::OF_RESPONSES
    }

    /// The model that was named; `None` if none was, or the name is longer than [`MODEL_MAX`](Self::MODEL_MAX).
    pub fn model(&self) -> Option<&str> {
        self.model.as_str().filter(|name| !name.is_empty())
    }
}
