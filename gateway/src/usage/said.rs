//! What an answer has said so far: usage, text, and the names that its last event repeats.

use super::json::{At, Kind, Value, Visitor};
use super::shape::Part;
use super::short::Short;
use super::tokens::Text;

/// Greatest believable count of one answer. What is above, negative or broken is not believed, so that an upstream
/// cannot wrap a counter.
const TOKENS_MAX: u64 = u32::MAX as u64;

/// What was said; filled by a scanner, document by document.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    usage: Usage,
    /// Of the usage at hand, until it is whole: half of it could be taken for something else.
    counts: Counts,
    pub text: Text,
    /// Bytes of text before this document.
    text_before: u64,
    /// This document tells how many tokens were generated.
    tells: bool,
    /// Text has come in documents after the last one that told.
    outdated: bool,
    /// It was told that nothing was generated.
    denied: bool,
    /// A document had a place for text that is known: a message in a choice, or the output of a response.
    pub has_place: bool,
    choices: Choices,
    /// Number of the choice at hand.
    choice: u8,
    /// Choices that this document ends; bit by number.
    ends: u128,
    /// This document has an object for `usage`.
    has_usage: bool,
    pub names: Names,
}

/// Usage as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    pub prompt: Option<u64>,
    pub completion: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
}

/// `choices` of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Choices {
    #[default]
    Unknown,
    None,
    Some,
}

/// What the first event called the answer, for the event that ends it.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    known: bool,
    pub id: Short<64>,
    pub model: Short<128>,
    pub created: u64,
    /// Greatest number of a choice.
    pub last_choice: u8,
    /// Choices whose end whole events have told; bit by number.
    ended: u128,
    /// The event that `include_usage` adds has come.
    pub told_usage: bool,
    /// Choices are text, not messages.
    pub text_completion: bool,
    /// Events are those of the Responses API.
    pub response: bool,
    /// Number of the latest of them.
    pub sequence: u64,
}

impl Names {
    /// Choices that have not ended yet.
    pub fn open_choices(&self) -> impl Iterator<Item = u8> {
        (0..=self.last_choice).filter(|choice| self.ended >> choice & 1 == 0)
    }
}

impl Usage {
    /// With what a later document says: it counts in place of what was said before and is never added to it, since
    /// each event tells all so far. What only a total tells is the rest of it; a total alone counts as prompt.
    fn then(self, Counts { prompt, completion, total }: Counts) -> Self {
        let rest = |of: Option<u64>| total?.checked_sub(of?);
        let prompt = prompt.or(rest(completion));
        let completion = completion.or(rest(prompt.or(self.prompt)));
        match (self.prompt, prompt, completion, total) {
            (None, None, None, Some(total)) => Self { prompt: Some(total), completion: Some(0) },
            _ => Self { prompt: prompt.or(self.prompt), completion: completion.or(self.completion) },
        }
    }
}

impl Said {
    /// Usage as the latest document told it.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether the text cannot have cost as little as was told: it was told of as nothing, or some came in documents
    /// after the last one that told.
    pub fn exceeds_usage(&self) -> bool {
        self.outdated || (self.denied && self.text.bytes() > 0)
    }

    /// This document has told usage and has no choices: the event that `include_usage` adds to a stream.
    pub fn only_usage(&self) -> bool {
        self.has_usage && self.choices == Choices::None
    }

    /// This document may still become one of those.
    pub fn may_be_only_usage(&self) -> bool {
        self.choices != Choices::Some
    }

    /// This document has told the usage of a response, as the last one of a stream does.
    pub fn ends_response(&self) -> bool {
        self.names.response && self.has_usage
    }

    /// A new document begins.
    #[inline]
    pub fn next(&mut self) {
        self.settle();
        let text = self.text.bytes();
        self.outdated = !self.tells && (self.outdated || text > self.text_before);
        self.names.ended |= std::mem::take(&mut self.ends);
        self.names.told_usage |= self.only_usage();
        (self.choices, self.has_usage, self.tells, self.text_before) = (Choices::Unknown, false, false, text);
        let names = &mut self.names;
        names.known |= !names.id.is_empty();
        if !names.known {
            names.model.clear();
        }
    }

    #[inline]
    fn settle(&mut self) {
        let counts = std::mem::take(&mut self.counts);
        // A total alone counts as prompt, and denies nothing unless it is zero itself.
        if let Some(told) = counts.completion.or(counts.total) {
            (self.tells, self.denied) = (true, told == 0);
        }
        self.usage = self.usage.then(counts);
    }
}

impl Visitor<Part> for Said {
    #[inline]
    fn begin(&mut self, part: Part, kind: Kind, At { depth, .. }: At) {
        self.has_place |= matches!(part, Part::Message | Part::Completion | Part::Whole);
        match part {
            Part::Choices if depth > 1 => (self.choices, self.choice) = (Choices::Some, 0),
            Part::Usage => self.has_usage |= kind == Kind::Object,
            Part::Completion => self.names.text_completion = true,
            Part::Response => self.names.response |= kind == Kind::Object,
            _ => {}
        }
    }

    #[inline]
    fn text(&mut self, part: Part, piece: &[u8]) {
        match part {
            Part::Message | Part::Text | Part::Completion => self.text.add(Text::plain(piece)),
            Part::Whole if self.text_before == 0 => self.text.add(Text::plain(piece)),
            Part::Finish => self.ends |= 1 << self.choice,
            Part::Id if !self.names.known => self.names.id.push(piece),
            Part::Model if !self.names.known => self.names.model.push(piece),
            _ => {}
        }
    }

    #[inline]
    fn end(&mut self, part: Part, value: Value, At { depth, .. }: At) {
        let believable = |count: &u64| *count <= TOKENS_MAX;
        let count = match value {
            Value::Number(number) => number.filter(believable),
            Value::Decimal(number) => Some(number).filter(believable),
            Value::Array { empty: true }
                if part == Part::Choices && depth == 1 && self.choices == Choices::Unknown =>
            {
                return self.choices = Choices::None;
            }
            Value::Object { .. } if part == Part::Usage => return self.settle(),
            _ => return,
        };
        match part {
            // Some tell it by two names, one of which may be zero.
            Part::PromptTokens => self.counts.prompt = self.counts.prompt.max(count),
            Part::CompletionTokens => self.counts.completion = self.counts.completion.max(count),
            Part::TotalTokens => self.counts.total = self.counts.total.max(count),
            Part::Created => self.names.created = count.unwrap_or(0),
            Part::Sequence => self.names.sequence = count.unwrap_or(0),
            Part::Index => {
                self.choice = count.map_or(0, |index| index.min(127) as u8);
                self.names.last_choice = self.names.last_choice.max(self.choice);
            }
            _ => {}
        }
    }
}
