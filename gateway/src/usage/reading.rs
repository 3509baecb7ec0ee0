//! Reads a request's body, value by value.

use super::asked::{Asked, Inside, NotRead, Options, Places};
use super::field::{Api, Field};
use super::json::{At, Kind, Scanner, Value, Visitor};
use super::short::Short;
use super::tokens::Text;
use std::ops::Range;

/// What a whole body asks for.
pub(super) fn read(api: Api, body: &[u8]) -> Result<Asked, NotRead> {
    let paths = api.paths();
    let mut reading = Reading::new(api, body);
    let mut scanner = Scanner::default();
    scanner.feed(paths, body, &mut reading);
    if !scanner.finish(paths, &mut reading) {
        return Err(NotRead::NotJson);
    }
    if !reading.is_object {
        return Err(NotRead::NotObject);
    }
    reading.asked()
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
    /// It has what chats or text completions have, or the Responses API.
    is_chat: bool,
    is_response: bool,
    /// It has a key that is too long to be looked at by itself.
    has_long_key: bool,
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
            media: 0,
            refers: false,
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
            is_chat: false,
            is_response: false,
            has_long_key: false,
            begin: 0,
            trouble: None,
        }
    }

    fn asked(mut self) -> Result<Asked, NotRead> {
        if self.asked.model.as_str().is_none() {
            self.kind(Field::Model);
            self.asked.model = Short::EMPTY;
        }
        if self.has_long_key && std::str::from_utf8(self.body).is_err() {
            self.no_utf8();
        }
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        let places = &mut self.asked.places;
        places.bounds = match (self.api, self.is_chat, self.is_response) {
            (Api::Unknown, ..) => Field::OF_ANY,
            (Api::OpenAi, false, true) => Field::OF_RESPONSES,
            (Api::OpenAi, true, true) => Field::OF_EITHER,
            (Api::OpenAi, _, false) | (Api::Pangu, ..) => Field::OF_CHAT,
        };
        let bound = |keys: &&[Field]| places.given(keys).filter_map(|(_, tokens)| *tokens).max();
        self.asked.max_tokens =
            places.bounds.iter().map(bound).reduce(|one, other| Some(one?.max(other?))).flatten();
        self.asked.completions = self.n.max(self.best_of).max(1).saturating_mul(self.prompts.max(1));
        Ok(self.asked)
    }

    /// Notes a value of an unexpected kind; the first trouble is the one that is told.
    fn kind(&mut self, field: Field) {
        if self.api == Api::Unknown {
            self.asked.places.odd |= field.bit();
        } else {
            self.trouble.get_or_insert(NotRead::kind(field));
        }
    }

    fn ambiguous(&mut self, field: Field) {
        self.trouble.get_or_insert(NotRead::Ambiguous { key: field.key() });
    }

    /// Some decoders take overlong forms for letters, or leave out what is none: what is left may be a key that counts.
    fn no_utf8(&mut self) {
        self.trouble.get_or_insert(NotRead::NotJson);
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
            (Field::Model, Value::Text | Value::Null) => self.asked.places.model = Some(at),
            (_, Value::Null) if field.limit_key().is_none() => {}
            (Field::Messages, _) | (Field::Prompt, Value::Text | Value::Array { .. }) => self.is_chat = true,
            (Field::Input, _) => self.is_response = true,
            // A prompt that is an object is a template of the Responses API.
            (Field::Prompt, Value::Object { .. }) | (Field::Conversation | Field::PreviousResponse, _) => {
                (self.is_response, self.asked.refers) = (true, true);
            }
            (Field::Stream, Value::Bool(false)) => {}
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
            (Field::Body, 0) => {
                self.is_object = kind == Kind::Object;
                self.asked.places.body.at = offset + 1;
            }
            (Field::Body, _) => {} // some string of an unknown API
            (Field::IncludeUsage, 2) | (_, 1) => {
                if self.seen & field.bit() != 0 {
                    self.ambiguous(field);
                }
                self.seen |= field.bit();
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
            (Field::Media, _, Kind::Object | Kind::Text) => self.asked.media += 1, // each, if it is a list
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
            | Field::System
            | Field::Instructions
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
            (Field::Prompt | Field::Input, 2.., Value::Number(_) | Value::Decimal(_)) => {
                self.asked.prompt_tokens += 1;
                self.asked.messages = self.asked.messages.max(1);
            }
            (_, 1, _) => self.member(field, value, self.begin..offset),
            _ => {}
        }
    }

    fn other_key(&mut self, within: Field, key: Option<&[u8]>) {
        if within != Field::Body {
            return;
        }
        let Some(key) = key else { return self.has_long_key = true };
        match self.api.in_other_letters(key) {
            Some(field) => self.ambiguous(field),
            None if std::str::from_utf8(key).is_err() => self.no_utf8(),
            None => {}
        }
    }
}
