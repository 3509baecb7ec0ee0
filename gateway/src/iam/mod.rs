//! IAM: tokens of the gateway's own, and tokens that callers show.
//!
//! *Our own.* A [`Source`] holds a token for what upstreams or IAM itself want to see: fetched by one task, renewed at
//! about 80 % of its life, alive as long as it is valid whether IAM answers or not. Reading it is one load.
//!
//! *Callers'.* [`Checks`] remembers what IAM has said of which token; [`Directory`] says which tenant and user it stands
//! for. A token that is not known is a question for the main thread, one for all who wait.
//!
//! *Threads.* Workers read and wait. All that is sent to IAM is sent by [`serve`], on the main thread's runtime.
//!
//! *Outages.* Known tokens hold until `ttl`, and `stale` longer while IAM does not answer; unknown ones are a 503, never
//! a 401. One that was refused stays refused for `negative`.
//!
//! *Secrets.* Tokens are known by their SHA-256, sensitive header values, or not at all; errors tell nothing but a status.
//! What the gateway logs in with, the question it is in and the token it gets are wiped once nobody has them any more; what
//! connections copy of them on the way is not ours to wipe.
//!
//! *Not here.* Which header a caller shows a token in (`auth`), what it is refused with (`reject`), policy keys (`policy`).

mod names;
pub use names::{Named, Ref};

mod login;
pub use login::{Agency, Login, Secret, Who};

mod answer;
pub use answer::Identity;

mod budget;
pub use budget::Budget;

mod client;
pub use client::AUTH_TOKEN;

mod pace;

mod source;
pub use source::Source;

mod own;
pub use own::Own;

mod known;
pub use known::{Known, Terms};

mod checks;
pub use checks::{CheckSpec, Checks, Doubt, Unsure};

mod judge;

mod directory;
pub use directory::{Directory, Member, Membership};

mod live;
pub use live::{Live, serve};

use crate::upstream::BackendSpec;
use std::sync::Arc;
use std::time::Duration;

/// What one policy makes of callers' tokens; part of the snapshot.
#[derive(Debug)]
pub struct Callers {
    /// What IAM has said.
    pub checks: Arc<Checks>,
    /// Whom that stands for.
    pub directory: Directory,
}

/// Could IAM be asked there?
///
/// # Errors
/// One sentence: a name that is none, or authorities that cannot be read.
pub fn reachable(endpoint: BackendSpec) -> Result<(), String> {
    client::Client::new(endpoint, Duration::ZERO).map(drop)
}

fn fingerprint(token: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
