//! Paths: what was matched is what goes upstream, byte for byte, or nothing does.

use crate::support::*;
use harness::Conn;

/// What must become of a spelling.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// Upstream sees exactly these bytes.
    Same,
    /// 400, and upstream sees nothing: two parsers could read it differently.
    Ambiguous,
    /// 404, and upstream sees nothing.
    NoRoute,
    /// 400 or 404: another name of a known path must not be matched as that path.
    NotServed,
}
use Fate::*;

const SPELLINGS: &[(&[u8], Fate)] = &[
    (b"/open/a", Same),
    (b"/open/a/b/c", Same),
    (b"/open/A", Same),
    (b"/open/a-b_c.d~e", Same),
    (b"/open/a:b", Same),
    (b"/open/a@b", Same),
    (b"/open/a!b$c&d'e(f)g*h+i,j=k", Same),
    (b"/open/...", Same),
    (b"/open/..a", Same),
    (b"/open/a..", Same),
    (b"/open/.a", Same),
    (b"/open/a%20b", Same),
    (b"/open/%E6%A8%A1%E5%9E%8B", Same),
    (b"/open/%e6%a8%a1", Same),
    (b"/open/a?x=1", Same),
    (b"/open/a?x=1&x=2&y", Same),
    (b"/open/a?next=/../b//c;d", Same),
    (b"/open/a?x=%2F%5c%00%252e", Same),
    (b"/open/a?", Same),
    (b"/open/a?b?c", Same),
    (b"/open/100%25", Same),
    (b"/open/a%3Ab", Same),
    (b"/open/a/", Same),
    // an encoded separator
    (b"/open/a%2Fb", Ambiguous),
    (b"/open/a%2fb", Ambiguous),
    (b"/open%2Fa", Ambiguous),
    (b"/open/a%5Cb", Ambiguous),
    (b"/open/a%5cb", Ambiguous),
    (b"/open/a\\b", Ambiguous),
    (b"/open\\a", Ambiguous),
    // an empty segment
    (b"//open/a", Ambiguous),
    (b"/open//a", Ambiguous),
    (b"/open/a//b", Ambiguous),
    (b"/open/a//", Ambiguous),
    // a dot segment, however written
    (b"/open/./a", Ambiguous),
    (b"/open/a/.", Ambiguous),
    (b"/open/../open/a", Ambiguous),
    (b"/open/a/..", Ambiguous),
    (b"/open/a/../../admin", Ambiguous),
    (b"/../open/a", Ambiguous),
    (b"/open/%2e/a", Ambiguous),
    (b"/open/%2E%2E/a", Ambiguous),
    (b"/open/.%2e/a", Ambiguous),
    (b"/open/%2e./a", Ambiguous),
    // parameters of a segment
    (b"/open/a;b", Ambiguous),
    (b"/open/a;b=c/d", Ambiguous),
    (b"/open/..;/a", Ambiguous),
    // encoded twice
    (b"/open/a%252Fb", Ambiguous),
    (b"/open/%252e%252e/a", Ambiguous),
    (b"/open/a%255cb", Ambiguous),
    // NUL, control characters and bytes that are no ASCII
    (b"/open/a%00", Ambiguous),
    (b"/open/a%00b", Ambiguous),
    (b"/open/a\x01b", Ambiguous),
    (b"/open/a\x7fb", Ambiguous),
    (b"/open/a\tb", Ambiguous),
    (b"/open/\xe6\xa8\xa1", Ambiguous),
    // escaped without need: another name for a path that has one
    (b"/%6fpen/a", Ambiguous),
    (b"/o%70en/a", Ambiguous),
    (b"/open/%61", Ambiguous),
    (b"/open/a%2Db", Ambiguous),
    // escapes that are no UTF-8
    (b"/open/%c0%ae%c0%ae/a", Ambiguous),
    (b"/open/%ff", Ambiguous),
    (b"/open/%ed%a0%80", Ambiguous),
    // an escape that is none
    (b"/open/a%", Ambiguous),
    (b"/open/a%4", Ambiguous),
    (b"/open/a%zz", Ambiguous),
    (b"/open/a%2", Ambiguous),
    // no path at all
    (b"open/a", Ambiguous),
    (b"*", NotServed),
    (b"/open/a#b", NotServed),
    // other paths
    (b"/open", NoRoute),
    (b"/OPEN/a", NoRoute),
    (b"/opena", NoRoute),
    (b"/", NoRoute),
    (b"/open%20/a", NoRoute),
];

#[test]
fn what_is_matched_is_what_goes_upstream_or_nothing_does() {
    let (mock, gateway) = start();
    assert!(SPELLINGS.len() >= 60);
    let mut wrong = Vec::new();
    for &(spelling, fate) in SPELLINGS {
        mock.reset();
        let mut conn = Conn::open(gateway.http);
        conn.send([b"GET ", spelling, b" HTTP/1.1\r\nhost: gateway.test\r\n\r\n"].concat());
        let status = conn.response().map(|answer| answer.status);
        let upstream: Vec<String> = mock.last(10).into_iter().map(|seen| seen.target).collect();
        let as_told = match fate {
            Same => upstream == [String::from_utf8_lossy(spelling)],
            Ambiguous => status == Some(400) && upstream.is_empty(),
            NoRoute => status == Some(404) && upstream.is_empty(),
            NotServed => matches!(status, Some(400 | 404)) && upstream.is_empty(),
        };
        if !as_told {
            let spelling = spelling.escape_ascii();
            wrong.push(format!("{spelling}: {fate:?}, but {status:?}, upstream {upstream:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), SPELLINGS.len(), wrong.join("\n"));
}
