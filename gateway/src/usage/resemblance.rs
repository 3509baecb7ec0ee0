//! What may a body be that is not read as JSON? Its beginning says; a `Content-Type` is the caller's word, and many upstreams
//! do not look at it.

/// Longest boundary of a multipart body (RFC 2046, section 5.1.1), in bytes.
const BOUNDARY_MAX: usize = 70;

/// Begins like a form in parts: a boundary on a line of its own, then a header of the first part. No parser takes that for
/// JSON, no compression that names itself begins so.
pub fn resembles_multipart(body: &[u8]) -> bool {
    let Some(rest) = body.strip_prefix(b"--") else { return false };
    let Some(end) = rest.iter().take(BOUNDARY_MAX + 1).position(|&byte| byte == b'\r') else { return false };
    let (boundary, rest) = rest.split_at(end);
    let header = rest.strip_prefix(b"\r\n").and_then(|rest| rest.get(..8));
    let is_printed = |byte: &u8| matches!(byte, b' '..=b'~');
    !boundary.is_empty()
        && boundary.iter().all(is_printed)
        && header.is_some_and(|header| header.eq_ignore_ascii_case(b"content-"))
}

/// Begins as an object or a list in JSON, in whatever encoding of Unicode: after byte order marks, zeros and blanks.
pub fn resembles_json(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !matches!(byte, 0..=b' ' | 0xef | 0xbb | 0xbf | 0xfe | 0xff));
    matches!(first, Some(b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_begins_with_a_boundary_and_a_header() {
        for form in [
            &b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\xff\xfb\r\n--x--\r\n"[..],
            b"------WebKitFormBoundary7MA4YWxk\r\ncontent-type: audio/wav\r\n",
        ] {
            assert!(resembles_multipart(form), "{}", form.escape_ascii());
        }
        let long = format!("--{}\r\nContent-Type: a/b", "x".repeat(BOUNDARY_MAX + 1));
        for other in [
            "",
            "-",
            "--",
            "--x",
            "--x\r\n",
            "--\r\nContent-Type: a/b",
            "--x\u{7f}\r\nContent-Type: a/b",
            "--x\r\n{}",
            " --x\r\nContent-Type: a/b",
            "{\"--x\r\nContent-Type\":1}",
            &long,
        ] {
            assert!(!resembles_multipart(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn json_is_seen_in_every_encoding() {
        for object in [
            &b"{"[..],
            b" \r\n\t[",
            b"\xef\xbb\xbf{",
            b"\xfe\xff\0{",
            b"\xff\xfe{\0",
            b"\0\n\0{",
            b"\0\0\xfe\xff\0\0\0{",
            b"\xff\xfe\0\0{\0\0\0",
        ] {
            assert!(resembles_json(object), "{}", object.escape_ascii());
        }
        for other in [&b""[..], b" ", b"x", b"\x89PNG{", b"\xff\xd8\xff\xe0{", b"--x\r\n{", b"\x1f\x8b\x08{"]
        {
            assert!(!resembles_json(other), "{}", other.escape_ascii());
        }
    }
}
