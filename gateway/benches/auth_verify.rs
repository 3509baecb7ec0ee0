//! What authentication costs per request, among 10,000 credentials; and what it costs to sign one for a backend.
//!
//! `app_code` is one call of `identify`; the others are `identify`, the body's digest, `verify`, and the
//! release of the signature (which stands for the replay cache's work). Bars: an AppCode well below 1 us, a
//! signed request of 2 KB at most 6 us above it. `sign_2kb` and `sign_v11_2kb` hash a body and write the headers of a
//! credential.
#![allow(missing_docs)] // criterion's macros make public items

use aws_lc_rs::digest;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use pangu_gateway::auth::{Claim, Digest, Keyring, KeyringBuilder, Live, Request, Rules, identify};
use pangu_gateway::clock::Now;
use pangu_gateway::ids::CallerId;
use pangu_gateway::signing::Signer;
use pangu_gateway::upstream::{AkSk, Credential, Outgoing, SignedBody};
use signer::Unsigned;
use sm3::{Digest as _, Sm3};
use std::hint::black_box;

#[path = "../src/auth/tests/signer.rs"]
mod signer;

const CREDENTIALS: u32 = 10_000;
const SECRET_KEY: &str = "sk-0123456789-abcdefghijklmnopqrstuvwxyz";
const BODY: [u8; 2048] = [b'x'; 2048];
const NOW: Now = Now { mono_us: 1_000_000, wall_ms: signer::DATE_MS };

fn app_code(i: u32) -> String {
    format!("{i:064}")
}

fn keyring(live: &Live) -> Keyring {
    let mut keys = KeyringBuilder::new();
    for i in 0..CREDENTIALS {
        let digest = digest::digest(&digest::SHA256, app_code(i).as_bytes());
        let digest = digest.as_ref().try_into().expect("SHA-256 is 32 bytes long");
        keys.app_code(CallerId(i), digest).expect("codes differ");
        keys.ak_sk(CallerId(i), &format!("AK{i:018}"), SECRET_KEY.as_bytes(), None).expect("keys differ");
    }
    keys.build(live)
}

fn verify(criterion: &mut Criterion) {
    let live = Live::default();
    let keys = keyring(&live);
    let rules = Rules::default();
    let ask = |headers: &HeaderMap| {
        let request = Request {
            method: &Method::POST,
            path: "/v1/chat/completions",
            query: "",
            authority: None,
            headers: black_box(headers),
            peer: [192, 0, 2, 1].into(),
        };
        match identify(&keys, &live, &rules, &request, NOW).expect("a good credential") {
            Claim::Proven(caller) => caller,
            Claim::Token(_) => unreachable!("no token is sent"),
            Claim::Signed(signed) => {
                let verified = match signed.digest() {
                    Digest::Sha256 => signed.verify(digest::digest(&digest::SHA256, &BODY).as_ref(), NOW),
                    Digest::Sm3 => signed.verify(&Sm3::digest(BODY), NOW),
                    Digest::None => signed.verify(&[], NOW),
                };
                verified.expect("a good signature").caller
            }
        }
    };

    let mut group = criterion.benchmark_group("auth_verify");
    let code = HeaderMap::from_iter([
        ("host".parse().expect("a name"), signer::HOST.parse().expect("a value")),
        ("x-apig-appcode".parse().expect("a name"), app_code(4711).parse().expect("a value")),
    ]);
    group.bench_function("app_code", |bencher| bencher.iter(|| ask(&code)));
    for (name, algorithm) in
        [("ak_sk_2kb", "SDK-HMAC-SHA256"), ("v11_2kb", "V11-HMAC-SHA256"), ("sm3_2kb", "SDK-HMAC-SM3")]
    {
        let headers = vec![
            ("content-type", "application/json"),
            ("user-agent", "huaweicloud-usdk-python/3.0"),
            ("x-project-id", "0123456789abcdef0123456789abcdef"),
        ];
        let access_key = "AK000000000000004711";
        let request = Unsigned { headers, body: &BODY, ..Unsigned::new(algorithm, access_key, SECRET_KEY) };
        let headers = request.sign();
        group.bench_function(name, |bencher| bencher.iter(|| ask(&headers)));
    }
    group.finish();
}

fn sign(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("auth_verify");
    let access_key = "AK000000000000004711";
    let secret_key = SECRET_KEY.as_bytes();
    for (name, signer) in [
        ("sign_2kb", Signer::sdk(access_key, secret_key)),
        ("sign_v11_2kb", Signer::v11(access_key, secret_key, "cn-southwest-2", "apic")),
    ] {
        let (unsigned_payload, project_id, security_token) = (false, None, None);
        let pair = AkSk { signer, unsigned_payload, project_id, security_token };
        let credential = Credential::AkSk(pair.into());
        let mut out = Vec::with_capacity(1024);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let outgoing = Outgoing {
                    method: &Method::POST,
                    base_path: "",
                    target: "/v1/chat/completions",
                    host: signer::HOST.as_bytes(),
                    content_type: Some(b"application/json"),
                    body: &SignedBody::of(black_box(&BODY)),
                    nonce: "0123456789abcdef0123456789abcdef",
                };
                out.clear();
                credential.dress(&outgoing, NOW.wall_ms, |name, value| {
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(value);
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, verify, sign);
criterion_main!(benches);
