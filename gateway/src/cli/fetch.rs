//! One question to the admin API of a running gateway: a GET on a connection of its own.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// Longest silence, also of the connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer: a hundred times what any page has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// An answer's status and body.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks `base` (such as `http://127.0.0.1:9900`) for `target`, with the token in `token_file` if there is one.
///
/// # Errors
/// One sentence that says what to do.
pub fn get(base: &str, target: &str, token_file: Option<&Path>) -> Result<Answer, String> {
    let host = base.strip_prefix("http://").map(|host| host.trim_end_matches('/'));
    let host = host.filter(|host| !host.contains('/') && host.contains(':'));
    let Some(host) = host else {
        return Err(format!("--admin {base}: write `http://HOST:PORT`, such as http://127.0.0.1:9900"));
    };
    let token = token_file.map(read_token).transpose()?;
    let unreachable = |e| format!("{base}: {e}; is the gateway running, and is this its `admin.address`?");
    let mut stream = connect(host).map_err(unreachable)?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n{authorization}\r\n"
    );
    let mut raw = Vec::new();
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.take(ANSWER_BYTES_MAX).read_to_end(&mut raw))
        .map_err(unreachable)?;
    parse(raw).ok_or_else(|| format!("{base}: this is no admin API of a gateway; see `admin.address`"))
}

/// The file's content is never part of an error.
fn read_token(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("--token-file {}: {e}", file.display()))?;
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_ascii_control()) {
        return Err(format!("--token-file {}: not a token; it must be one line of text", file.display()));
    }
    Ok(token.to_owned())
}

fn connect(host: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "this name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The admin API declares the length of every answer, so that a body cut short is told from a whole one.
fn parse(mut raw: Vec<u8>) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body_at) = head.parse(&raw).ok()? else { return None };
    let status = head.code?;
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = std::str::from_utf8(length.value).ok()?.trim().parse().ok()?;
    (raw.len() - body_at == length).then(|| Answer { status, body: raw.split_off(body_at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nContent-Length: 3\r\n\r\nabc";
        let answer = parse(whole.to_vec()).expect("whole");
        assert_eq!((answer.status, &answer.body[..]), (404, &b"abc"[..]));
        for cut in 0..whole.len() {
            assert!(parse(whole[..cut].to_vec()).is_none(), "{cut} bytes of it");
        }
        assert!(parse(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()).is_none());
    }

    #[test]
    fn what_is_no_admin_address_is_told_before_anything_is_sent() {
        for base in ["127.0.0.1:9900", "https://127.0.0.1:9900", "http://127.0.0.1", "http://h:1/path", ""] {
            let error = get(base, "/", None).err().expect("refused");
            assert!(error.contains("http://HOST:PORT"), "{error}");
        }
    }

    #[test]
    fn a_token_file_never_shows_its_content() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("token");
        std::fs::write(&file, "secret-one\nsecret-two\n").expect("ours");
        let error = get("http://127.0.0.1:1", "/", Some(&file)).err().expect("refused");
        assert!(error.contains("one line") && !error.contains("secret"), "{error}");
    }
}
