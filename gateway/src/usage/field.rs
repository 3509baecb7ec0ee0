//! The keys of a request's body that are read, per API.

use super::paths::{BadPath, Paths};
use std::sync::LazyLock;

/// Whose request bodies these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// OpenAI shape: MaaS, Pangu V2, ModelArts LLM services.
    OpenAi,
    /// Pangu V1.
    Pangu,
    /// Some JSON: what looks like the others is read, and all its strings count as text.
    Unknown,
}

/// A key that is read, or the body itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Body,
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    MaxTokens,
    MaxCompletionTokens,
    MaxNewTokens,
    MaxOutputTokens,
    N,
    BestOf,
    Messages,
    Prompt,
    Suffix,
    System,
    Instructions,
    Input,
    Query,
    Documents,
    Conversation,
    PreviousResponse,
    Tools,
    Functions,
    /// An image, sound, film or file in a prompt.
    Media,
}

use Field::*;

/// What a value must be.
const WHOLE: &str = "a whole number";
const FLAG: &str = "true or false";

/// Fields by key, and what their values must be.
#[rustfmt::skip]
const FIELDS: &[(Field, &str, &str)] = &[
    (Model,               "model",                        "a text of at most 128 bytes"),
    (Stream,              "stream",                       FLAG),
    (StreamOptions,       "stream_options",               "an object"),
    (IncludeUsage,        "stream_options.include_usage", FLAG),
    (MaxTokens,           "max_tokens",                   WHOLE),
    (MaxCompletionTokens, "max_completion_tokens",        WHOLE),
    (MaxNewTokens,        "max_new_tokens",               WHOLE),
    (MaxOutputTokens,     "max_output_tokens",            WHOLE),
    (N,                   "n",                            WHOLE),
    (BestOf,              "best_of",                      WHOLE),
    (Messages,            "messages",                     "a list"),
    (Prompt,              "prompt",                       "a text or a list"),
    (Suffix,              "suffix",                       "a text"),
    (System,              "system",                       "a text or a list"),
    (Instructions,        "instructions",                 "a text or a list"),
    (Input,               "input",                        "a text or a list"),
    (Query,               "query",                        "a text"),
    (Documents,           "documents",                    "a list"),
    (Tools,               "tools",                        "a list"),
    (Functions,           "functions",                    "a list"),
    (Conversation,        "conversation",                 "a text or an object"),
    (PreviousResponse,    "previous_response_id",         "a text"),
];

/// Keys of what the model sees in another form than text: an image of a megabyte has no token per byte.
const MEDIA: [&str; 7] = ["image", "image_url", "video", "video_url", "audio_url", "input_audio", "file"];

/// The same in the Responses API only: elsewhere they may be what is known of a text.
const FILES: [&str; 3] = ["file_data", "file_url", "file_id"];

impl Field {
    pub(super) fn key(self) -> &'static str {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or("", |(_, key, _)| key)
    }

    pub(super) fn expected(self) -> &'static str {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or("an object", |(.., expected)| expected)
    }

    /// Keys that bound an answer's length.
    pub(super) const LIMIT_KEYS: [Field; 4] = [MaxTokens, MaxCompletionTokens, MaxNewTokens, MaxOutputTokens];

    /// The keys of which one bounds an answer, each time of one API that may take a body for its own; where none is given
    /// the first is added.
    pub(super) const OF_CHAT: &[&[Field]] = &[&[MaxTokens, MaxCompletionTokens]];
    pub(super) const OF_RESPONSES: &[&[Field]] = &[&[MaxOutputTokens]];
    pub(super) const OF_EITHER: &[&[Field]] = &[&[MaxTokens, MaxCompletionTokens], &[MaxOutputTokens]];
    pub(super) const OF_ANY: &[&[Field]] = &[&Self::LIMIT_KEYS];

    /// Which of these this is, if it is one.
    pub(super) fn limit_key(self) -> Option<usize> {
        Self::LIMIT_KEYS.iter().position(|field| *field == self)
    }

    /// For sets of fields.
    pub(super) fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The strings of all that is below this are the prompt's text.
    pub(super) fn is_prompt(self) -> bool {
        matches!(self, Messages | Prompt | Suffix | System | Instructions | Input | Query | Documents)
    }
}

impl Api {
    /// Whether upstreams of this kind know a key. A bound under a key that they do not know would bound nothing.
    fn knows(self, field: Field) -> bool {
        match (self, field) {
            (Api::Unknown, _) => true,
            (_, MaxNewTokens) | (Api::Pangu, MaxCompletionTokens | MaxOutputTokens) => false,
            _ => true,
        }
    }

    fn fields(self) -> impl Iterator<Item = (Field, &'static str)> {
        FIELDS.iter().filter(move |(field, ..)| self.knows(*field)).map(|&(field, key, _)| (field, key))
    }

    /// The field whose key this is but for capital letters and their like, which decoders such as Go's overlook. An
    /// unknown API may mean two things by them.
    pub(super) fn in_other_letters(self, key: &[u8]) -> Option<Field> {
        if self == Api::Unknown {
            return None;
        }
        let is_ascii = key.is_ascii();
        let is_it = |known: &str| {
            if is_ascii {
                known.as_bytes().eq_ignore_ascii_case(key)
            } else {
                folds_to(key, known.as_bytes())
            }
        };
        self.fields().find(|(_, known)| is_it(known)).map(|(field, _)| field)
    }

    pub(super) fn paths(self) -> &'static Paths<Field> {
        static OPEN_AI: LazyLock<Paths<Field>> = LazyLock::new(|| Api::OpenAi.made());
        static PANGU: LazyLock<Paths<Field>> = LazyLock::new(|| Api::Pangu.made());
        static UNKNOWN: LazyLock<Paths<Field>> = LazyLock::new(|| Api::Unknown.made());
        match self {
            Api::OpenAi => &OPEN_AI,
            Api::Pangu => &PANGU,
            Api::Unknown => &UNKNOWN,
        }
    }

    fn made(self) -> Paths<Field> {
        self.try_made().expect("the names above are good paths; a test makes them all")
    }

    fn try_made(self) -> Result<Paths<Field>, BadPath> {
        let root =
            if self == Api::Unknown { Paths::new().below("", Body)? } else { Paths::new().at("", Body)? };
        self.fields().try_fold(root, |paths, (field, key)| {
            if !field.is_prompt() {
                return paths.at(key, field);
            }
            let prompt = paths.below(key, field)?;
            let files = FILES.iter().filter(|_| field == Input);
            MEDIA.iter().chain(files).try_fold(prompt, |paths, media| paths.apart(key, media, Media))
        })
    }
}

/// Is this key another one by Unicode's simple folding? Two letters beyond ASCII fold into it: the Kelvin sign and the long s.
fn folds_to(key: &[u8], known: &[u8]) -> bool {
    let fold = |letter| match letter {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        letter => letter.to_ascii_lowercase(),
    };
    std::str::from_utf8(key).is_ok_and(|key| key.chars().map(fold).eq(known.iter().copied().map(char::from)))
}
