//! What an operator asks for: the parameters of a query.

use std::borrow::Cow;

/// A query string, such as `tenant=acme&route=chat`.
#[derive(Clone, Copy)]
pub struct Query<'a>(pub &'a str);

impl<'a> Query<'a> {
    /// The first parameter of this name; None if it is missing or empty.
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()?;
        Some(decoded(value)).filter(|value| !value.is_empty())
    }
}

/// Writes a parameter's value so that [`Query::get`] reads it back.
pub fn encoded(value: &str) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}"); // writing to a string cannot fail
        }
    }
    text
}

/// `%` that begins no byte stands for itself: what comes of it is the name of nothing, and is said back.
fn decoded(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return value.into();
    }
    let bytes = value.as_bytes();
    let hex = |at: usize| char::from(*bytes.get(at)?).to_digit(16).map(|digit| digit as u8);
    let (mut text, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let pair = (bytes[at] == b'%').then(|| Some((hex(at + 1)?, hex(at + 2)?))).flatten();
        match pair {
            Some((high, low)) => text.push(high << 4 | low),
            None => text.push(bytes[at]),
        }
        at += if pair.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&text).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let query = Query("subtenant=no&tenant=acme&tenant=other&route=&user=a%2Fb%20%e4%B8%ad");
        assert_eq!(query.get("tenant").as_deref(), Some("acme"));
        assert_eq!(query.get("route"), None);
        assert_eq!(query.get("model"), None);
        assert_eq!(query.get("user").as_deref(), Some("a/b \u{4e2d}"));
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_panics() {
        for value in ["plain", "a b&c=d%41", "%", "%4", "%zz", "\u{4e2d}\u{6587}"] {
            let query = format!("name={}", encoded(value));
            assert_eq!(Query(&query).get("name").as_deref(), Some(value));
        }
        for raw in ["name=%", "name=%4", "name=%ff", "name=%\u{4e2d}"] {
            assert!(Query(raw).get("name").is_some(), "{raw}");
        }
    }
}
