//! The list of headers a signature covers.

use super::denied::Denied;

/// The names a signature covers, as listed by the caller.
#[derive(Clone)]
pub(super) struct SignedHeaders<'a> {
    list: &'a str,
    /// Where each name ends.
    ends: [usize; NAMES_MAX],
    count: usize,
}

/// No client signs this many; with "none twice" it bounds the canonical request by the size of the head.
const NAMES_MAX: usize = 64;

impl<'a> SignedHeaders<'a> {
    /// # Errors
    /// [`Denied::Malformed`]: too many names, or one twice.
    pub(super) fn parse(list: &'a str) -> Result<SignedHeaders<'a>, Denied> {
        let mut parsed = SignedHeaders { list, ends: [0; NAMES_MAX], count: 0 };
        let mut begin = 0;
        for end in memchr::memchr_iter(b';', list.as_bytes()).chain([list.len()]) {
            if parsed.count == NAMES_MAX {
                return Err(Denied::Malformed("SignedHeaders lists too many names"));
            }
            if parsed.contains(&list[begin..end]) {
                return Err(Denied::Malformed("SignedHeaders lists a name twice"));
            }
            parsed.ends[parsed.count] = end;
            parsed.count += 1;
            begin = end + 1;
        }
        Ok(parsed)
    }

    /// As received.
    pub(super) fn as_str(&self) -> &'a str {
        self.list
    }

    /// In the order received.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let mut begin = 0;
        self.ends[..self.count].iter().map(move |end| {
            let name = &self.list[begin..*end];
            begin = end + 1;
            name
        })
    }

    /// In whatever case.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names().any(|listed| listed.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_as_they_were_listed() {
        for list in ["", "host", "host;x-sdk-date", ";host;", "X-Number;content-type;host"] {
            let names = SignedHeaders::parse(list).map(|listed| listed.names().collect::<Vec<_>>());
            if list == ";host;" {
                assert!(matches!(names, Err(Denied::Malformed(_))), "two names of nothing");
            } else {
                assert_eq!(names, Ok(list.split(';').collect()), "{list}");
            }
        }
    }

    #[test]
    fn as_many_as_a_head_should_have_and_none_twice() {
        let list = |count: u32| (0..count).map(|i| format!("x-{i}")).collect::<Vec<_>>().join(";");
        let (most, more) = (list(NAMES_MAX as u32), list(NAMES_MAX as u32 + 1));
        let parsed = SignedHeaders::parse(&most).unwrap();
        assert_eq!(parsed.names().count(), NAMES_MAX);
        assert!(parsed.contains("X-63") && !parsed.contains("x-64") && !parsed.contains("x-6;"));
        assert!(matches!(SignedHeaders::parse(&more), Err(Denied::Malformed(why)) if why.contains("many")));
        let twice = SignedHeaders::parse("host;date;Host");
        assert!(matches!(twice, Err(Denied::Malformed(why)) if why.contains("twice")));
    }
}
