//! A caller that people have: `openssl s_client`, through a TLS stream to the mock's echo.

use super::*;
use callers::before;
use harness::Mock;
use harness::certs::{Pair, write_whole};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a session came to.
struct Told {
    good: bool,
    heard: String,
    complaint: String,
}

/// Says a line to the gateway, waits for one, and ends.
fn s_client(gateway: &Gateway, dir: &Path, version: &str, shown: Option<&Pair>) -> Told {
    let mut command = Command::new("timeout"); // a session that hangs is ended, and so has failed
    command.args(["20", "openssl", "s_client", "-quiet", "-no_ign_eof", version]);
    command.args(["-connect", &gateway.tls.to_string(), "-servername", "gateway.test"]);
    command.args(["-CAfile", "ca.crt", "-verify_hostname", "gateway.test", "-verify_return_error"]);
    if let Some(pair) = shown {
        pair.write(dir, "caller");
        command.args(["-cert", "caller.crt", "-key", "caller.key"]);
    }
    command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("make setup installs openssl");
    let mut says = child.stdin.take().expect("piped");
    let _ = says.write_all(b"hello\n"); // it may have been refused already
    let mut heard = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut heard).expect("text");
    drop(says);
    let ended = child.wait_with_output().expect("it ends");
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    Told { good: ended.status.success(), heard, complaint }
}

#[test]
fn openssl_shows_its_certificate_and_is_echoed() {
    let mock = Mock::start();
    let (gateway, ours, theirs) = before(mock.tcp, "[client_cert]");
    let dir = tempfile::tempdir().expect("a directory");
    write_whole(dir.path(), "ca.crt", &ours.pem());
    let pair = theirs.issue("x", &["rpc.acme.internal"]);
    for (version, sessions) in [("-tls1_2", 1), ("-tls1_3", 2)] {
        let told = s_client(&gateway, dir.path(), version, Some(&pair));
        assert!(told.good && told.heard == "hello\n", "{version}: {:?}, {}", told.heard, told.complaint);
        eventually("its line", secs(5), || {
            let log = gateway.access_log();
            let good = r#""tenant":"acme","outcome":"ok","bytes_in":6,"bytes_out":6"#;
            (log.matches(good).count() == sessions).then_some(())
        });
        assert_eq!(mock.count("tcp_bytes"), 6 * sessions as u64);
    }
}

#[test]
fn openssl_is_told_what_is_wrong_with_its_certificate() {
    let mock = Mock::start();
    let (gateway, ours, _theirs) = before(mock.tcp, "[client_cert]");
    let dir = tempfile::tempdir().expect("a directory");
    write_whole(dir.path(), "ca.crt", &ours.pem());
    // Of an authority by the same name, with another key: its signature is wrong.
    let forged = Authority::new().issue("x", &["rpc.acme.internal"]);
    for (shown, alert) in [(None, "certificate required"), (Some(&forged), "decrypt error")] {
        let told = s_client(&gateway, dir.path(), "-tls1_3", shown);
        assert!(!told.good && told.heard.is_empty(), "{:?}", told.heard);
        assert!(told.complaint.contains(alert), "{alert}: {}", told.complaint);
    }
    assert_eq!(mock.count("tcp_connections"), 0);
}
