//! The questions before a request may go upstream, in the order that costs a stranger's request least:
//! which route, how often from this address, does the head fit, who calls, does the body fit, how much.

use super::body::{self, Held};
use super::finish::Exchange;
use super::grpc;
use super::metered::{Ask, check_coding};
use super::token;
use super::upgrade;
use super::usage::Usage;
use crate::auth::{self, Claim, Digest, Signed};
use crate::clock::Now;
use crate::ids::RouteId;
use crate::limit::{self, Permit};
use crate::policy::{Ceilings, Metering, Route};
use crate::reject::Reject;
use http::header::{EXPECT, HOST};
use http::request::Parts;
use hyper::body::Incoming;

/// A body that may go upstream.
pub enum Admitted {
    /// Read and verified.
    Held(Held),
    /// Still with the caller; at most so many bytes of it.
    Passing(Incoming, u64),
}

/// Asks all questions; on `Ok` the exchange knows its route, its caller and its permit.
///
/// # Errors
/// The first "no". Nothing was charged.
pub async fn admit(exchange: &mut Exchange, head: &Parts, body: Incoming) -> Result<Admitted, Reject> {
    let policy = exchange.policy.clone();
    let route = policy.route(find(exchange, head)?);
    grpc::check(exchange, route, head)?;
    check_flood(exchange)?;
    check_head(route, head)?;
    upgrade::check(route, head, &body)?;
    let claim = identify(exchange, route, head)?;
    match &claim {
        Some(Claim::Proven(caller)) => exchange.called_by(*caller),
        Some(Claim::Token(token)) => {
            let caller = token::holder(exchange, token).await?;
            exchange.called_by(caller);
        }
        Some(Claim::Signed(_)) | None => {}
    }
    body::check_declared(&body, exchange.body_max(route))?;
    let (body, seen) = match claim {
        Some(Claim::Signed(signed)) if signed.digest() == Digest::None => {
            // The signature leaves the body out, as this route allows: nothing of it has to be awaited.
            let verified = verify(exchange, signed, &[])?;
            let cap = exchange.body_max(route);
            body::check_declared(&body, cap)?;
            (Admitted::Passing(body, cap), verified.seen)
        }
        Some(Claim::Signed(signed)) => {
            let held = body::read_whole(exchange, body, exchange.body_max(route)).await?;
            let verified = verify(exchange, signed, &held.bytes)?;
            check_read(exchange, exchange.body_max(route))?;
            (Admitted::Held(held), verified.seen)
        }
        Some(Claim::Proven(_) | Claim::Token(_)) | None => {
            (Admitted::Passing(body, exchange.body_max(route)), None)
        }
    };
    let body = match &route.metering {
        Some(metering) => take_metered(exchange, route, metering, head, body).await?,
        None => {
            let now = if matches!(body, Admitted::Held(_)) { Now::read() } else { exchange.began };
            take(exchange, route, None, false, now)?;
            body
        }
    };
    if let Some(seen) = seen {
        seen.keep();
    }
    Ok(body)
}

fn find(exchange: &mut Exchange, head: &Parts) -> Result<RouteId, Reject> {
    let id = exchange.policy.table.find(host(head), &head.method, head.uri.path())?;
    exchange.routed(id);
    Ok(id)
}

/// HTTP/1.1 names the host in a header, HTTP/2 as a rule in `:authority`.
fn host(head: &Parts) -> &str {
    match head.headers.get(HOST) {
        Some(host) => host.to_str().unwrap_or_default(),
        None => head.uri.authority().map_or("", |authority| authority.as_str()),
    }
}

fn check_flood(exchange: &Exchange) -> Result<(), Reject> {
    match exchange.policy.guard_per_address {
        0 => Ok(()),
        per_second => {
            let guard = &exchange.connection.worker.shared.guard;
            guard.admit(exchange.address, per_second, exchange.began).map_err(|wait| Reject::Flood { wait })
        }
    }
}

fn check_head(route: &Route, head: &Parts) -> Result<(), Reject> {
    let caps = &route.caps;
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > caps.target_max as usize {
        return Err(Reject::TargetTooLong { cap: caps.target_max });
    }
    if head.headers.len() > usize::from(caps.headers_max) {
        return Err(Reject::TooManyHeaders { cap: caps.headers_max });
    }
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > caps.head_max as usize {
        return Err(Reject::HeadTooLarge { cap: caps.head_max });
    }
    match head.headers.get(EXPECT) {
        Some(expect) if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") => Err(Reject::Expectation),
        _ => Ok(()),
    }
}

fn identify(exchange: &Exchange, route: &Route, head: &Parts) -> Result<Option<Claim>, Reject> {
    let Some(rules) = &route.auth else { return Ok(None) };
    let request = auth::Request {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        authority: head.uri.authority().map(|authority| authority.as_str()),
        headers: &head.headers,
        peer: exchange.address,
    };
    let live = &exchange.connection.worker.shared.policy.live().auth;
    Ok(Some(auth::identify(&exchange.policy.keys, live, rules, &request, exchange.began)?))
}

/// Once its signature names the caller, a body that was read under the route's cap meets the plan's.
fn check_read(exchange: &Exchange, cap: u64) -> Result<(), Reject> {
    if exchange.bytes_in > cap { Err(Reject::BodyTooLarge { cap }) } else { Ok(()) }
}

/// Names the caller. Reads the clock again: the body may have taken its time.
fn verify(exchange: &mut Exchange, signed: Signed, body: &[u8]) -> Result<auth::Verified, Reject> {
    let digest = signed.digest().of(body);
    let verified = signed.verify(&digest, Now::read())?;
    exchange.called_by(verified.caller);
    Ok(verified)
}

/// Admits a request by what it may cost, which its body says: that is read whole. Reads the clock again then: limits
/// may have room by that time, and a wait counts from there.
async fn take_metered(
    exchange: &mut Exchange,
    route: &Route,
    metering: &Metering,
    head: &Parts,
    body: Admitted,
) -> Result<Admitted, Reject> {
    // Who has no room for anything is not read.
    limit::check(&asking(exchange, route, None, false), exchange.began)?;
    let mut held = match body {
        Admitted::Held(held) => held,
        Admitted::Passing(body, cap) => body::read_whole(exchange, body, cap).await?,
    };
    check_coding(route.api, &head.headers, &held.bytes)?;
    let plan = exchange.caller().map_or_else(Ceilings::default, |caller| caller.terms.ceilings);
    let mut ask = Ask::read(&exchange.policy, route, metering, plan, &held.bytes)?;
    let permit = take(exchange, route, Some(ask.metered()), ask.wants_spare(), Now::read())?;
    ask.edit(route.api, &mut held, permit);
    exchange.usage = Some(Box::new(Usage::of(ask)));
    Ok(Admitted::Held(held))
}

fn take<'a>(
    exchange: &'a mut Exchange,
    route: &Route,
    metered: Option<limit::Metered<'_>>,
    spare: bool,
    now: Now,
) -> Result<&'a mut Permit, Reject> {
    let permit = limit::admit(&asking(exchange, route, metered, spare), now)?;
    Ok(exchange.permit.insert(permit))
}

fn asking<'a>(
    exchange: &'a Exchange,
    route: &'a Route,
    metered: Option<limit::Metered<'a>>,
    spare: bool,
) -> limit::Asking<'a> {
    let caller = exchange.caller().map(|caller| (&caller.tenant, caller.user));
    limit::Asking { caller, route: &route.limits, metered, report: route.rate_headers || spare }
}
