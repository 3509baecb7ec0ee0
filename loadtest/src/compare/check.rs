//! Check: do all peers decide alike, and does the origin see the same of each? Asked before any load.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::ask::{self, Answer, Terms};
use super::callers::Caller;
use super::case::Case;
use super::origin::{ANSWER_BYTES, Origin};
use super::problem::{Context, Problem};
use super::proxy::{Lines, Proxy};
use crate::sign::sha256_hex;

/// Any caller but the first.
const CALLER: Caller = Caller(4321);
const BODY_BYTES_MAX: u64 = 1 << 20;
/// Looks at a log, until the lines are there: the slowest writes once a second.
const LOG_POLLS: u32 = 60;
const LOG_EVERY: Duration = Duration::from_millis(50);
/// Time between two events, and how much of it must be seen: what is held back is held for 40 ms at least.
const EVENTS_EVERY: Duration = Duration::from_millis(500);
const EVENTS_GAP_MIN: Duration = Duration::from_millis(470);
const EVENT_TRIES: u32 = 5;
/// From where nobody is known, and how much of plain TCP is looked at byte by byte.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);
const ECHOED_BYTES: u32 = 1 << 20;
/// Headers that say who answers or what becomes of the connection; peers may differ in them.
const OF_THE_SERVER: [&str; 4] = ["server", "date", "connection", "keep-alive"];

/// What must be the same for all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Of a good answer, sorted.
    answer_headers: Vec<String>,
    body_sha256: String,
    /// Of the request as the origin got it, sorted.
    origin_headers: Vec<(String, String)>,
    terms: Terms,
}

impl Seen {
    /// What differs, in words.
    fn differences(&self, first: &Seen, name: &str) -> String {
        let aspects = [
            (
                "headers of the answer",
                format!("{:?}", self.answer_headers),
                format!("{:?}", first.answer_headers),
            ),
            ("body of the answer", self.body_sha256.clone(), first.body_sha256.clone()),
            (
                "headers at the origin",
                format!("{:?}", self.origin_headers),
                format!("{:?}", first.origin_headers),
            ),
            ("terms of TLS", format!("{:?}", self.terms), format!("{:?}", first.terms)),
        ];
        let differ = aspects.iter().filter(|(_, own, other)| own != other);
        differ.map(|(what, own, other)| format!("\n{what}: {own}\n{name}: {other}")).collect()
    }
}

/// Asks every proxy for what is allowed and what is not. The origin has to be a mock that records.
///
/// # Errors
/// One decides otherwise, sends other headers, settles on other terms of TLS, or logs otherwise.
pub fn policy(proxies: &[Proxy], origin: &Origin, authority: &std::path::Path) -> Result<(), Problem> {
    let mut first: Option<Seen> = None;
    for proxy in proxies.iter().filter(|proxy| proxy.peer.knows_requests()) {
        let seen = look(proxy, origin, authority)?;
        match &first {
            None => first = Some(seen),
            Some(first) if *first == seen => {}
            Some(first) => return Err(unequal(proxy, seen.differences(first, proxies[0].peer.name()))),
        }
    }
    proxies.iter().filter(|proxy| Case::Tcp.is_for(proxy.peer)).try_for_each(bytes_pass)
}

fn look(proxy: &Proxy, origin: &Origin, authority: &std::path::Path) -> Result<Seen, Problem> {
    let target = format!("/mock/bytes/{ANSWER_BYTES}");
    let code = CALLER.code();
    let known = ("X-Apig-AppCode", code.as_str());
    let unknown = ("X-Apig-AppCode", "00000000000000000000000000000000");
    let too_long = (BODY_BYTES_MAX + 1).to_string();
    let too_long = ("Content-Length", too_long.as_str());

    proxy.empty_log()?;
    let wanted: [(&[(&str, &str)], u16); 4] =
        [(&[], 401), (&[unknown], 401), (&[known, too_long], 413), (&[known], 200)];
    let mut good = None;
    for (headers, status) in wanted {
        let answer =
            ask::get(proxy.http, &target, headers).while_doing(format!("ask {}", proxy.peer.name()))?;
        if answer.status != status {
            return Err(unequal(proxy, format!("it answers {} where {status} is right", answer.status)));
        }
        good = Some(answer);
    }
    let answer = good.expect("four requests were asked");
    let origin_headers = origin_headers(proxy, origin)?;
    let (secure, terms) = ask::get_tls(proxy.https, authority, &target, &[known])
        .while_doing(format!("ask {} over TLS", proxy.peer.name()))?;
    if secure.status != 200 || secure.body != answer.body {
        return Err(unequal(proxy, format!("over TLS it answers {}", secure.status)));
    }
    log_lines(proxy)?;
    events_pass(proxy, known)?;
    let body_sha256 = sha256_hex(&answer.body);
    Ok(Seen { answer_headers: answer_headers(proxy, &answer)?, body_sha256, origin_headers, terms })
}

/// Names of the headers of an answer; one of them says which request it was.
fn answer_headers(proxy: &Proxy, answer: &Answer) -> Result<Vec<String>, Problem> {
    let names = answer.headers.iter().map(|(name, _)| name.clone());
    let mut names: Vec<String> = names.filter(|name| !OF_THE_SERVER.contains(&name.as_str())).collect();
    names.sort();
    if names.iter().filter(|name| *name == "x-request-id").count() != 1 {
        return Err(unequal(proxy, format!("its answer has the headers {names:?}")));
    }
    Ok(names)
}

/// Headers at the origin, without what differs from request to request.
fn origin_headers(proxy: &Proxy, origin: &Origin) -> Result<Vec<(String, String)>, Problem> {
    let mut headers = origin.last_headers()?;
    let value = |name: &str| headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str());
    let right = value("x-tenant") == Some(&CALLER.tenant())
        && value("x-apig-appcode").is_none()
        && value("x-forwarded-for") == Some("127.0.0.1")
        && value("x-forwarded-proto") == Some("http")
        && value("x-request-id").is_some_and(|id| id.len() >= 16);
    if !right {
        return Err(unequal(proxy, format!("it sends the origin {headers:?}")));
    }
    for (name, value) in &mut headers {
        if name == "x-request-id" {
            value.clear();
        }
    }
    Ok(headers)
}

/// The five requests have left five lines, two of them good and with the tenant.
fn log_lines(proxy: &Proxy) -> Result<(), Problem> {
    let wanted = Lines::from([(200, 2), (401, 2), (413, 1)]);
    let lines = lines_when(proxy, |lines| lines.all() >= wanted.all())?;
    let text = proxy.log_text()?;
    let tenants = text.matches(&format!(r#""tenant":"{}""#, CALLER.tenant())).count();
    if lines != wanted || tenants < 2 {
        return Err(unequal(proxy, format!("its log has {lines:?} where {wanted:?} is right:\n{text}")));
    }
    Ok(())
}

/// Events pass as they come: the first does not wait for the second. Somebody who gathers small writes saves time that the
/// others spend. One that is late by chance may try again; one that is late by intent is so every time.
fn events_pass(proxy: &Proxy, known: (&str, &str)) -> Result<(), Problem> {
    let target = format!("/mock/sse?chunks=2&every={}", EVENTS_EVERY.as_millis());
    proxy.empty_log()?;
    let mut gap = Duration::ZERO;
    for tries in 1..=EVENT_TRIES {
        gap = ask::gap(proxy.http, &target, &[known])
            .while_doing(format!("read a stream through {}", proxy.peer.name()))?;
        if gap >= EVENTS_GAP_MIN {
            // A line that came later would be taken for another's.
            return lines_when(proxy, |lines| lines.all() >= tries.into()).map(drop);
        }
    }
    Err(unequal(
        proxy,
        format!("events sent {EVENTS_EVERY:?} apart arrive {gap:?} apart: the first is held back"),
    ))
}

/// Plain TCP: a stranger is not let in; of the tenant all bytes come back, the end behind them, and a line is left.
fn bytes_pass(proxy: &Proxy) -> Result<(), Problem> {
    proxy.empty_log()?;
    let sent: Vec<u8> = (0..ECHOED_BYTES).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect();
    if ask::echo(STRANGER, proxy.tcp, &sent).is_ok_and(|got| !got.is_empty()) {
        return Err(unequal(proxy, "it lets a stranger's plain TCP in".to_owned()));
    }
    let got = ask::echo(Ipv4Addr::LOCALHOST, proxy.tcp, &sent)
        .while_doing(format!("send plain TCP through {}", proxy.peer.name()))?;
    if got != sent {
        return Err(unequal(
            proxy,
            format!("of {} bytes of plain TCP {} come back right", sent.len(), got.len()),
        ));
    }
    let lines = lines_when(proxy, |lines| lines.with(200) > 0)?;
    let text = proxy.log_text()?;
    if lines.with(200) != 1 || !text.contains(r#""tenant":"vpc""#) {
        return Err(unequal(proxy, format!("its log of plain TCP says:\n{text}")));
    }
    Ok(())
}

/// The lines of the log: once there are enough, or as they are when it has been waited for long enough.
fn lines_when(proxy: &Proxy, enough: impl Fn(&Lines) -> bool) -> Result<Lines, Problem> {
    let mut log = proxy.log()?;
    for _ in 0..LOG_POLLS {
        if enough(log.lines()?) {
            break;
        }
        std::thread::sleep(LOG_EVERY);
    }
    Ok(log.lines()?.clone())
}

fn unequal(proxy: &Proxy, what: String) -> Problem {
    Problem::Unequal { peer: proxy.peer.name(), what }
}
