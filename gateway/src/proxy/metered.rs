//! What may this request cost? Read off its body, before it is admitted.
//!
//! On a route to a model endpoint the body is read whole: which model it is for, how long the prompt is and how much
//! answer it asks for decide whether there is room for it. A body with two readings is refused, since the upstream might
//! take the other, and so is one that only the upstream might read. What nobody takes for JSON is metered by its bytes.

use super::body::Held;
use crate::limit::{self, Permit};
use crate::policy::{Api, Ceilings, Metering, Model, Route, Snapshot};
use crate::reject::Reject;
use crate::usage::{self, Asked, Changes, NotRead, Text, Tokens};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::sync::Arc;

/// Tokens that an image, a piece of sound or film, or a file counts for until the model has told: about an image of a
/// megapixel. Sizes are not looked at, as models see them in ways of their own.
const MEDIA_TOKENS: u64 = 1_000;

/// A request as the model will see it.
pub struct Ask {
    /// The model it is for.
    pub model: Arc<Model>,
    /// Text of its prompt.
    pub text: Text,
    /// Messages, or prompts of a list.
    pub messages: u32,
    /// Prompt tokens that no text tells: of lists of token numbers, and of images and the like.
    beyond_text: u64,
    /// Has the prompt images and the like, or more that is kept upstream? How many tokens its text is cannot be learned
    /// from what the model tells.
    more_than_text: bool,
    /// Completions it asks for; at least 1.
    pub choices: u32,
    /// Its prompt tokens, as estimated: what is charged if nobody tells the truth.
    pub prompt: u64,
    /// The caller did not ask to be told the usage, so that it is taken out of the stream again.
    pub strip_usage: bool,
    /// No bound is written into its body; see [`Metering::textless`].
    textless: bool,
    ceilings: Ceilings,
    /// None: no JSON, or no object; see [`may_stay_unread`].
    asked: Option<Asked>,
}

impl Ask {
    /// Reads a body.
    ///
    /// # Errors
    /// A body with two readings, or a request for more than a ceiling allows.
    pub fn read(
        policy: &Snapshot,
        route: &Route,
        metering: &Metering,
        plan: Ceilings,
        body: &[u8],
    ) -> Result<Ask, Reject> {
        let api = api(route.api);
        let read = Asked::read(api, body);
        let model = model(policy, metering, read.as_ref().ok());
        let ceilings = route.ceilings.and(plan).and(model.ceilings);
        let odd_bound =
            read.as_ref().ok().filter(|_| bounds_completion(&ceilings)).and_then(Asked::odd_bound);
        if let Some(unclear) = odd_bound {
            return Err(Reject::BodyUnclear { what: unclear });
        }
        let asked = match read {
            Ok(asked) => Some(asked),
            Err(unread) if may_stay_unread(api, unread, body, metering, &ceilings) => None,
            Err(unclear) => return Err(Reject::BodyUnclear { what: unclear }),
        };
        let (text, messages, choices) = match &asked {
            Some(asked) => (asked.prompt, asked.messages, asked.completions),
            None => (Text::plain(body), 1, 1),
        };
        let media = asked.as_ref().map_or(0, |asked| asked.media);
        let numbers = asked.as_ref().map_or(0, |asked| asked.prompt_tokens);
        let beyond_text = numbers.saturating_add(media.saturating_mul(MEDIA_TOKENS));
        let estimator = model.limits.estimator();
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        let ask = Ask {
            text,
            messages,
            beyond_text,
            more_than_text: media > 0 || asked.as_ref().is_some_and(|asked| asked.refers),
            choices: u32::try_from(choices).unwrap_or(u32::MAX),
            prompt: estimator.reserve(text, messages).saturating_add(beyond_text),
            strip_usage: false,
            textless: metering.textless,
            ceilings,
            asked,
            model,
        };
        let expected = estimator.expect(text, messages).saturating_add(beyond_text);
        ask.check_ceilings(expected)?;
        Ok(ask)
    }

    fn check_ceilings(&self, prompt: u64) -> Result<(), Reject> {
        let Ceilings { prompt_tokens, completion_tokens, clamp, .. } = self.ceilings;
        if let Some(cap) = prompt_tokens.filter(|cap| prompt > *cap) {
            return Err(Reject::PromptTooLong { tokens: prompt, cap });
        }
        match (self.asked.as_ref().and_then(Asked::greatest_bound), completion_tokens) {
            (Some(asked), Some(cap)) if asked > cap && !clamp => Err(Reject::AnswerTooLong { asked, cap }),
            _ => Ok(()),
        }
    }

    /// Completion tokens of one choice, as the caller bounds them.
    fn asked_max(&self) -> Option<u64> {
        self.asked.as_ref().and_then(|asked| asked.max_tokens)
    }

    /// What admission is to make room for.
    pub fn metered(&self) -> limit::Metered<'_> {
        let bounds = [self.asked_max(), self.ceilings.completion_tokens];
        limit::Metered {
            model: &self.model.limits,
            price: self.model.price,
            prompt: self.prompt,
            completion_max: bounds.into_iter().flatten().min(),
            choices: self.choices,
            clamp: self.ceilings.clamp_to_budget && self.asked.is_some(), // else there is nothing to cut
        }
    }

    /// Does the permit have to tell what is left of the budgets?
    pub fn wants_spare(&self) -> bool {
        self.ceilings.clamp_to_budget
    }

    /// The body to send: with what the ceilings and the budgets leave of its `max_tokens`, and asking for usage at the
    /// end of a stream. All else as it came.
    pub fn edit(&mut self, api: Api, held: &mut Held, permit: &Permit) {
        let Some(asked) = &self.asked else { return };
        let include_usage =
            api == Api::OpenAi && asked.stream && !asked.include_usage && !asked.is_response();
        let spare = permit.spare_completion().filter(|_| self.ceilings.clamp_to_budget);
        let spare = spare.map(|spare| (spare / u64::from(self.choices.max(1))).max(1));
        let bounds = [self.ceilings.completion_tokens, spare].into_iter().flatten();
        let max_tokens = bounds.min().filter(|_| !self.textless);
        held.bytes = usage::edit(&held.bytes, asked, Changes { include_usage, max_tokens, model: None });
        self.strip_usage = include_usage;
    }

    /// Lets the model's estimator learn that the prompt was `actual` tokens.
    pub fn learn(&self, actual: u64) {
        let of_text = actual.saturating_sub(self.beyond_text);
        if !self.more_than_text {
            self.model.limits.teach(|estimator| estimator.learn(self.text, self.messages, of_text));
        }
    }

    /// Is a stream asked for?
    pub fn streams(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.stream)
    }

    /// Is its usage to be told at the end of the stream?
    pub fn wants_usage(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.include_usage)
    }

    /// Charged where the upstream was asked, but told nothing.
    pub fn least(&self) -> Tokens {
        Tokens { prompt: self.prompt, completion: 0 }
    }
}

/// The body for another model, all else as it was. What is no JSON names no model.
pub fn rename(of: Api, held: &mut Held, model: &str) {
    // Read again: this happens when an upstream has failed, and what was read before may have been edited since.
    if let Ok(asked) = Asked::read(api(of), &held.bytes) {
        held.bytes = usage::edit(&held.bytes, &asked, Changes { model: Some(model), ..Changes::default() });
    }
}

/// May a body pass that was not read? Not if an upstream may read in it what was to be asked here: parsers take byte order
/// marks, UTF-16, `NaN` and what follows the end.
fn may_stay_unread(
    api: usage::Api,
    why: NotRead,
    body: &[u8],
    metering: &Metering,
    ceilings: &Ceilings,
) -> bool {
    match (api, why) {
        (_, NotRead::Ambiguous { .. } | NotRead::Kind { .. } | NotRead::Coded) => false,
        // Besides JSON these take forms in parts, for sound and files. Services of other words take anything.
        (usage::Api::OpenAi | usage::Api::Pangu, _) => body.is_empty() || usage::resembles_multipart(body),
        (usage::Api::Unknown, NotRead::NotObject) => true,
        (usage::Api::Unknown, NotRead::NotJson) => {
            let is_asked = !metering.fixed || bounds_completion(ceilings);
            !is_asked || !usage::resembles_json(body)
        }
    }
}

fn bounds_completion(ceilings: &Ceilings) -> bool {
    ceilings.completion_tokens.is_some() || ceilings.clamp_to_budget
}

/// Refuses a body that claims a content coding where the API takes JSON: what stands in it may be JSON as it is, and another
/// once it is undone.
///
/// # Errors
/// It has one, other than `identity`.
pub fn check_coding(api: Api, headers: &HeaderMap, body: &[u8]) -> Result<(), Reject> {
    let is_none = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    let is_coded = headers.get_all(CONTENT_ENCODING).iter().any(|coding| !is_none(coding.as_bytes()));
    let is_read = matches!(api, Api::OpenAi | Api::Pangu) && !body.is_empty();
    if is_coded && is_read { Err(Reject::BodyUnclear { what: NotRead::Coded }) } else { Ok(()) }
}

/// Which model a request is for.
fn model(policy: &Snapshot, metering: &Metering, asked: Option<&Asked>) -> Arc<Model> {
    let named = asked.and_then(Asked::model).filter(|_| !metering.fixed).map(|name| policy.models.find(name));
    let model = named.or(metering.model.as_ref()).unwrap_or(policy.models.other());
    Arc::clone(model)
}

/// How bodies of a route are read.
pub fn api(api: Api) -> usage::Api {
    match api {
        Api::OpenAi => usage::Api::OpenAi,
        Api::Pangu => usage::Api::Pangu,
        Api::ModelArts | Api::Grpc | Api::Plain => usage::Api::Unknown,
    }
}
