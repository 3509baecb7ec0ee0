//! Signed: signs the requests of a run beforehand, so that whoever sends them has no more to do than for others.
//!
//! Each is good for one request: a signature that comes again is a replay. They differ in a number, in a signed header.

use std::io::{self, BufWriter, Write};

use crate::compare::callers::{SIGNERS, Signer};
use crate::sign::{self, Scheme, Unsigned};

/// Requests that are signed for each second of load. A proxy that is faster meets replays, and the run is none.
const PER_SECOND: u64 = 80_000;
/// As `peers/signed.lua` sends it.
const BODY: [u8; 2048] = [b'x'; 2048];

/// Writes what `peers/signed.lua` reads: the date of all, then the value of `Authorization` of each, one a line.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: impl Write, url: &str, seconds: u64) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    let date = sign::date_now();
    writeln!(file, "{date}")?;
    for number in 1..=PER_SECOND * seconds {
        writeln!(file, "{}", authorization(url, &date, number)?)?;
    }
    file.flush()
}

fn authorization(url: &str, date: &str, number: u64) -> io::Result<String> {
    let signer = Signer((number % SIGNERS as u64) as usize);
    let (access_key, secret_key) = (signer.access_key(), signer.secret_key());
    let signer = sign::Signer { access_key: &access_key, secret_key: &secret_key, scheme: Scheme::Sdk };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers =
        [header("Content-Type", "application/octet-stream"), header("X-Number", &number.to_string())];
    let unsigned = Unsigned { method: "POST", url, headers: &headers, body: &BODY, date };
    let signed = signer.sign(&unsigned).map_err(io::Error::other)?;
    let (_, authorization) = signed.into_iter().next_back().expect("the signature is the last header");
    Ok(authorization)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://localhost:1/signed/bytes/1024";

    #[test]
    fn no_two_requests_are_signed_alike() {
        let mut lines = Vec::new();
        write(&mut lines, URL, 1).unwrap();
        let text = String::from_utf8(lines).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len() as u64, lines[0].len()), (PER_SECOND + 1, "20240115T083000Z".len()));
        let names = "SignedHeaders=content-type;host;x-number;x-sdk-date, ";
        assert!(lines[1].starts_with("SDK-HMAC-SHA256 Access=BENCH1, ") && lines[1].contains(names));
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len() as u64, PER_SECOND + 1);
    }

    #[test]
    fn the_script_sends_the_body_and_the_headers_that_are_signed() {
        let script = include_str!("../../../peers/signed.lua");
        for part in [
            "string.rep(\"x\", 2048)",
            "[\"Content-Type\"] = \"application/octet-stream\"",
            "[\"X-Sdk-Date\"] = lines()",
            ".. \"X-Number: \"",
            "before .. turn .. between .. signatures[turn] .. after",
        ] {
            assert!(script.contains(part), "{part}");
        }
    }
}
