//! Changes to a request's body that leave every other byte as the caller wrote it.

use super::asked::{Asked, Inside, Options, Places};
use super::field::Field::{IncludeUsage, Model, StreamOptions};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// What should be different in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes<'a> {
    /// Another model; where the body names none it is added.
    pub model: Option<&'a str>,
    /// Ask for usage at the end of a stream: `"stream_options":{"include_usage":true}`. For streams only; upstreams
    /// refuse it elsewhere.
    pub include_usage: bool,
    /// Completion tokens that one answer may have at most: a greater bound becomes this, and where there is none it
    /// is added: as `max_output_tokens` to a body of the Responses API, else as `max_tokens`. A lower bound stays.
    pub max_tokens: Option<u64>,
}

/// The body with these changes; the very same bytes if it is so already. `asked` must have been read from `body`;
/// with another body nothing is changed, nor is a key to which an [unknown](super::Api::Unknown) API gives another meaning.
pub fn edit(body: &Bytes, asked: &Asked, changes: Changes<'_>) -> Bytes {
    let places = &asked.places;
    debug_assert_eq!(places.len, body.len(), "read from another body");
    let mut splices = Vec::new();
    let mut members = Vec::new();
    let is_odd = |field| places.is_odd(field);
    if changes.include_usage && !asked.include_usage && !is_odd(StreamOptions) && !is_odd(IncludeUsage) {
        include_usage(places, &mut splices, &mut members);
    }
    if let Some(model) = changes.model.filter(|_| !is_odd(Model)) {
        name(places, model, &mut splices, &mut members);
    }
    if let Some(most) = changes.max_tokens {
        bound(places, most, &mut splices, &mut members);
    }
    if !members.is_empty() {
        splices.push(insert(places.body, &members.join(",")));
    }
    splices.sort_by_key(|splice| splice.at.start);
    apply(body, &splices)
}

/// New text in the place of some old.
struct Splice {
    at: Range<usize>,
    new: String,
}

fn include_usage(places: &Places, splices: &mut Vec<Splice>, members: &mut Vec<String>) {
    match &places.stream_options {
        None => members.push(r#""stream_options":{"include_usage":true}"#.to_owned()),
        Some(Options::Null(at)) => {
            splices.push(Splice { at: at.clone(), new: r#"{"include_usage":true}"#.to_owned() })
        }
        Some(Options::Object { include_usage: Some(at), .. }) => {
            splices.push(Splice { at: at.clone(), new: "true".to_owned() });
        }
        Some(Options::Object { inside, include_usage: None }) => {
            splices.push(insert(*inside, r#""include_usage":true"#));
        }
    }
}

fn name(places: &Places, model: &str, splices: &mut Vec<Splice>, members: &mut Vec<String>) {
    let quoted = serde_json::Value::from(model).to_string();
    match &places.model {
        Some(at) => splices.push(Splice { at: at.clone(), new: quoted }),
        None => members.push(format!(r#""model":{quoted}"#)),
    }
}

fn bound(places: &Places, most: u64, splices: &mut Vec<Splice>, members: &mut Vec<String>) {
    for keys in places.bounds {
        let given = || places.given(keys);
        let bounded = given().any(|(_, tokens)| tokens.is_some());
        for (at, tokens) in given() {
            // `null` is no bound; but beside a key that has one it says nothing and may stay.
            if tokens.map_or(!bounded, |tokens| tokens > most) {
                splices.push(Splice { at: at.clone(), new: most.to_string() });
            }
        }
        let is_odd = keys.iter().any(|field| places.is_odd(*field));
        if let (None, Some(first), false) = (given().next(), keys.first(), is_odd) {
            members.push(format!(r#""{}":{most}"#, first.key()));
        }
    }
}

/// Members at the front of an object.
fn insert(Inside { at, empty }: Inside, members: &str) -> Splice {
    Splice { at: at..at, new: if empty { members.to_owned() } else { format!("{members},") } }
}

fn apply(body: &Bytes, splices: &[Splice]) -> Bytes {
    let added: usize = splices.iter().map(|splice| splice.new.len()).sum();
    let mut edited = BytesMut::with_capacity(body.len() + added);
    let mut from = 0;
    for Splice { at, new } in splices {
        let Some(before) = body.get(from..at.start) else { return body.clone() };
        edited.extend_from_slice(before);
        edited.extend_from_slice(new.as_bytes());
        from = at.end;
    }
    match body.get(from..) {
        Some(rest) if from > 0 => {
            edited.extend_from_slice(rest);
            edited.freeze()
        }
        _ => body.clone(),
    }
}
