//! A path as a route writes it: `/v1/{project}/chat/completions`, `/v1/infers/{id}/{*rest}`.

use super::Conflict;
use super::spelling::spelling;

/// A well-formed pattern.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    text: &'a str,
    /// The pattern without the names of its parameters: equal for two that match the same paths.
    shape: String,
}

/// One segment of a pattern.
enum Segment<'a> {
    Literal(&'a str),
    Name(&'a str),
    Rest(&'a str),
}

impl<'a> Pattern<'a> {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Conflict::Pattern`]: what is wrong, and what to write.
    pub(super) fn parse(text: &'a str) -> Result<Pattern<'a>, Conflict> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(problem(text, "does not begin with `/`", &format!("write `/{text}`")));
        };
        let segments =
            inner.split('/').map(|part| Segment::parse(text, part)).collect::<Result<Vec<_>, _>>()?;
        check_names(text, &segments)?;
        let shape = shape(&segments);
        check_literals(text, &shape)?;
        Ok(Pattern { text, shape })
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn shape(&self) -> &str {
        &self.shape
    }
}

impl<'a> Segment<'a> {
    fn parse(pattern: &str, part: &'a str) -> Result<Segment<'a>, Conflict> {
        if !part.contains(['{', '}']) {
            return Ok(Segment::Literal(part));
        }
        let inner = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) else {
            let what = format!("`{part}` mixes text and a parameter");
            return Err(problem(pattern, &what, "a parameter is a whole segment: `/{name}/`"));
        };
        let (segment, name) = match inner.strip_prefix('*') {
            Some(name) => (Segment::Rest(name), name),
            None => (Segment::Name(inner), inner),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let what = format!("`{part}` is not a parameter");
            return Err(problem(
                pattern,
                &what,
                "write a name of letters, digits and `_`: `{name}` or `{*rest}`",
            ));
        }
        Ok(segment)
    }

    fn name(&self) -> Option<&'a str> {
        match self {
            Segment::Literal(_) => None,
            Segment::Name(name) | Segment::Rest(name) => Some(name),
        }
    }
}

/// Each name once, and `{*rest}` only at the end.
fn check_names(pattern: &str, segments: &[Segment<'_>]) -> Result<(), Conflict> {
    for (i, segment) in segments.iter().enumerate() {
        if matches!(segment, Segment::Rest(_)) && i + 1 < segments.len() {
            let help = "`{*rest}` takes all that follows: put it last, or write `{name}` for one segment";
            return Err(problem(pattern, "something follows a `{*…}`", help));
        }
        let Some(name) = segment.name() else { continue };
        if segments[..i].iter().any(|before| before.name() == Some(name)) {
            let what = format!("two parameters are named `{name}`");
            return Err(problem(pattern, &what, "give each parameter a name of its own"));
        }
    }
    Ok(())
}

/// Braces cannot stand in a literal, so `{}` and `{*}` are unmistakable.
fn shape(segments: &[Segment<'_>]) -> String {
    segments.iter().fold(String::new(), |shape, segment| {
        let part = match segment {
            Segment::Literal(text) => text,
            Segment::Name(_) => "{}",
            Segment::Rest(_) => "{*}",
        };
        shape + "/" + part
    })
}

/// A literal must be a spelling that requests may have, and the only one.
fn check_literals(pattern: &str, shape: &str) -> Result<(), Conflict> {
    if shape.contains('%') {
        let help = "take a `{name}` for a segment with escapes: it matches them in any spelling";
        return Err(problem(pattern, "a literal segment has an escape", help));
    }
    let plain = shape.replace(['{', '}'], "_");
    spelling(&plain).map_err(|why| {
        let why = why.strip_prefix("path: ").unwrap_or(why);
        problem(pattern, why, "requests with such a path are refused, so no pattern may have it")
    })
}

fn problem(pattern: &str, what: &str, help: &str) -> Conflict {
    Conflict::Pattern { what: format!("path `{pattern}`: {what}"), help: help.to_owned() }
}
