//! What a request asks for, read from its body before it is admitted.

use super::field::{Api, Field};
use super::json::{At, Kind, Scanner, Value, Visitor};
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
    /// Completion tokens that one answer may have; the greatest if several keys say it. Default: the model's own.
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
    model: Short<{ Self::MODEL_MAX }>,
    pub(super) places: Places,
}

/// Where things stand that may be edited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    /// Of the whole body.
    pub len: usize,
    pub body: Inside,
    /// A key that an edit may concern has a value of another kind than expected.
    pub odd: bool,
    pub stream_options: Option<Options>,
    /// By what [`Field::limit_keys`] says; a value of `null` is no number.
    pub max_tokens: [Option<(Range<usize>, Option<u64>)>; 4],
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
    /// Not one JSON object in UTF-8 without a byte order mark.
    NotJson,
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

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => {
                f.write_str("the body is not one JSON object; send UTF-8 without a byte order mark")
            }
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
        let paths = api.paths();
        let mut reading = Reading::new(api, body);
        let mut scanner = Scanner::default();
        scanner.feed(paths, body, &mut reading);
        if !scanner.finish(paths, &mut reading) || !reading.is_object {
            return Err(NotRead::NotJson);
        }
        reading.asked()
    }

    /// The model that was named; `None` if none was, or the name is longer than [`MODEL_MAX`](Self::MODEL_MAX).
    pub fn model(&self) -> Option<&str> {
        self.model.as_str().filter(|name| !name.is_empty())
    }
}

/// A body while it is read.
struct Reading<'a> {
    api: Api,
    body: &'a [u8],
    asked: Asked,
    is_object: bool,
    /// Bit by field.
    seen: u32,
    n: u64,
    best_of: u64,
    /// In a list of prompts.
    prompts: u64,
    /// Where the value of the field at hand begins.
    begin: usize,
    trouble: Option<NotRead>,
}

impl<'a> Reading<'a> {
    fn new(api: Api, body: &'a [u8]) -> Self {
        let asked = Asked {
            stream: false,
            include_usage: false,
            max_tokens: None,
            completions: 1,
            messages: 0,
            prompt: Text::default(),
            prompt_tokens: 0,
            model: Short::EMPTY,
            places: Places { len: body.len(), ..Places::default() },
        };
        Self {
            api,
            body,
            asked,
            is_object: false,
            seen: 0,
            n: 1,
            best_of: 1,
            prompts: 0,
            begin: 0,
            trouble: None,
        }
    }

    fn asked(mut self) -> Result<Asked, NotRead> {
        if self.asked.model.as_str().is_none() {
            self.kind(Field::Model);
            self.asked.model = Short::EMPTY;
        }
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        let given = self.asked.places.max_tokens.iter().flatten();
        self.asked.max_tokens = given.filter_map(|(_, tokens)| *tokens).max();
        self.asked.completions = self.n.max(self.best_of).max(1).saturating_mul(self.prompts.max(1));
        Ok(self.asked)
    }

    /// Notes a value of an unexpected kind; the first trouble is the one that is told.
    fn kind(&mut self, field: Field) {
        if self.api == Api::Unknown {
            self.asked.places.odd = true;
        } else {
            let trouble = NotRead::Kind { key: field.key(), expected: field.expected() };
            self.trouble.get_or_insert(trouble);
        }
    }

    fn ambiguous(&mut self, field: Field) {
        self.trouble.get_or_insert(NotRead::Ambiguous { key: field.key() });
    }

    fn include_usage(&mut self, value: Value, at: Range<usize>) {
        let Some(Options::Object { include_usage, .. }) = &mut self.asked.places.stream_options else {
            return;
        };
        match value {
            Value::Bool(asked) => self.asked.include_usage = asked,
            Value::Null => {}
            _ => return self.kind(Field::IncludeUsage),
        }
        *include_usage = Some(at);
    }

    fn max_tokens(&mut self, field: Field, value: Value, at: Range<usize>) {
        let slot = field.limit_key().and_then(|key| self.asked.places.max_tokens.get_mut(key));
        match (slot, value) {
            (Some(slot), Value::Number(Some(tokens))) => *slot = Some((at, Some(tokens))),
            (Some(slot), Value::Null) => *slot = Some((at, None)),
            _ => self.kind(field),
        }
    }

    fn stream_options(&mut self, value: Value, at: Range<usize>) {
        match (value, &mut self.asked.places.stream_options) {
            (Value::Null, options) => *options = Some(Options::Null(at)),
            (Value::Object { empty }, Some(Options::Object { inside, .. })) => inside.empty = empty,
            _ => self.kind(Field::StreamOptions),
        }
    }

    /// A value of the body's own keys has ended.
    fn member(&mut self, field: Field, value: Value, at: Range<usize>) {
        match (field, value) {
            (Field::Tools | Field::Functions, _) => {
                let definitions = self.body.get(at).unwrap_or_default();
                self.asked.prompt.add(Text::json(definitions));
            }
            (Field::StreamOptions, _) => self.stream_options(value, at),
            (_, Value::Null) if field.limit_key().is_none() => {}
            (Field::Model, Value::Text) | (Field::Stream, Value::Bool(false)) => {}
            (Field::Stream, Value::Bool(true)) => self.asked.stream = true,
            (Field::N, Value::Number(Some(n))) => self.n = n,
            (Field::BestOf, Value::Number(Some(n))) => self.best_of = n,
            (Field::Model | Field::Stream | Field::N | Field::BestOf, _) => self.kind(field),
            _ if field.limit_key().is_some() => self.max_tokens(field, value, at),
            _ => {}
        }
    }
}

impl Visitor<Field> for Reading<'_> {
    fn begin(&mut self, field: Field, kind: Kind, At { depth, offset }: At) {
        match (field, depth) {
            (Field::Body, _) if depth == 0 => {
                self.is_object = kind == Kind::Object;
                self.asked.places.body.at = offset + 1;
            }
            (Field::IncludeUsage, 2) | (_, 1) => {
                let bit = 1 << field as u32;
                if self.seen & bit != 0 {
                    self.ambiguous(field);
                }
                self.seen |= bit;
                self.begin = offset;
            }
            _ => {}
        }
        match (field, depth, kind) {
            (Field::StreamOptions, 1, Kind::Object) => {
                let inside = Inside { at: offset + 1, empty: false };
                self.asked.places.stream_options = Some(Options::Object { inside, include_usage: None });
            }
            (Field::Messages, 2, Kind::Object) => self.asked.messages += 1,
            (Field::Prompt | Field::Input | Field::Documents, 1, Kind::Text) => self.asked.messages += 1,
            (Field::Prompt | Field::Input | Field::Documents, 2, kind) if kind != Kind::Other => {
                self.asked.messages += 1;
                self.prompts += u64::from(field == Field::Prompt);
            }
            _ => {}
        }
    }

    #[inline]
    fn text(&mut self, field: Field, piece: &[u8]) {
        match field {
            Field::Model => self.asked.model.push(piece),
            Field::Messages
            | Field::Prompt
            | Field::Suffix
            | Field::Input
            | Field::Query
            | Field::Documents => {
                self.asked.prompt.add(Text::plain(piece));
            }
            Field::Body if self.api == Api::Unknown => self.asked.prompt.add(Text::plain(piece)),
            _ => {}
        }
    }

    #[inline]
    fn end(&mut self, field: Field, value: Value, At { depth, offset }: At) {
        match (field, depth, value) {
            (Field::Body, 0, Value::Object { empty }) => self.asked.places.body.empty = empty,
            (Field::Body, ..) => {}
            (Field::IncludeUsage, 2, _) => self.include_usage(value, self.begin..offset),
            (Field::Prompt | Field::Input, 2.., Value::Number(_)) => {
                self.asked.prompt_tokens += 1;
                self.asked.messages = self.asked.messages.max(1);
            }
            (_, 1, _) => self.member(field, value, self.begin..offset),
            _ => {}
        }
    }

    fn other_key(&mut self, within: Field, key: &[u8]) {
        let field = self.api.in_other_letters(key).filter(|_| within == Field::Body);
        if let Some(field) = field {
            self.ambiguous(field);
        }
    }
}
