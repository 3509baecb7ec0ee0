//! Load and test tools for the gateway: a load generator with an oracle, mock model endpoints, a comparison with
//! other proxies, one of the generator with others, and a second signer.
//!
//! Nothing here links the gateway. What these tools say about it, they know from the wire alone; that is
//! why the signer is written again instead of shared.

pub mod clock;
mod local;

pub mod scenario;

pub mod rig;

pub mod measure;

pub mod generate;

pub mod report;

pub mod mock;

pub mod oracle;

pub mod compare;

pub mod agree;
pub mod footprint;

pub mod sign;
