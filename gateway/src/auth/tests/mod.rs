//! What a caller can do to `auth`, case by case.

mod headers;
mod life;
mod properties;
mod secrets;
mod signer;
mod vectors;

use super::*;
use crate::clock::Now;
use crate::ids::CallerId;
use signer::{DATE_MS, Unsigned};
use std::net::Ipv4Addr;

const ALICE: CallerId = CallerId(7);
const AK: &str = "AKACMEALICE";
const SK: &str = "sk-of-alice-0123456789-abcdefghijklmnop";
const APP_CODE: &str = "app-code-of-alice-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789";
const API_KEY: &str = "api-key-of-alice";
const TOKEN: &str = "security-token-of-alice==";
const NOW: Now = Now { mono_us: 1_000_000_000, wall_ms: DATE_MS };
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A keyring, its live state, and the rules of the route asked.
struct Gate {
    keys: Keyring,
    live: Live,
    rules: Rules,
}

impl Gate {
    fn new() -> Gate {
        let live = Live::default();
        let keys = keyring(&live, SK);
        Gate { keys, live, rules: Rules::default() }
    }

    fn identify(&self, request: &Unsigned<'_>, headers: &HeaderMap, now: Now) -> Result<Claim, Denied> {
        let request = Request {
            method: &request.method,
            path: request.path,
            query: request.query,
            authority: None,
            headers,
            peer: PEER,
        };
        identify(&self.keys, &self.live, &self.rules, &request, now)
    }

    /// The whole way: head, body, verdict.
    fn verify(&self, request: &Unsigned<'_>, headers: &HeaderMap, now: Now) -> Result<Verified, Denied> {
        match self.identify(request, headers, now)? {
            Claim::Proven(_) | Claim::Token(_) => panic!("a signature is not proven by its head"),
            Claim::Signed(signed) if signed.digest() == Digest::None => signed.verify(&[], now),
            Claim::Signed(signed) => signed.verify(&request.hash(request.body), now),
        }
    }

    /// Signs, sends, and drops what was reserved.
    fn send(&self, request: &Unsigned<'_>) -> Result<CallerId, Denied> {
        self.verify(request, &request.sign(), NOW).map(|verified| verified.caller)
    }
}

fn keyring(live: &Live, secret_key: &str) -> Keyring {
    let mut keys = KeyringBuilder::new();
    keys.ak_sk(ALICE, AK, secret_key.as_bytes(), None).unwrap();
    keys.ak_sk(ALICE, "temporary", SK.as_bytes(), Some(crate::signing::sha256(TOKEN.as_bytes()))).unwrap();
    keys.app_code(ALICE, crate::signing::sha256(APP_CODE.as_bytes())).unwrap();
    keys.api_key(ALICE, crate::signing::sha256(API_KEY.as_bytes())).unwrap();
    keys.build(live)
}

fn sha256() -> Unsigned<'static> {
    Unsigned::new("SDK-HMAC-SHA256", AK, SK)
}

fn every_algorithm() -> [Unsigned<'static>; 3] {
    ["SDK-HMAC-SHA256", "V11-HMAC-SHA256", "SDK-HMAC-SM3"].map(|algorithm| Unsigned::new(algorithm, AK, SK))
}
