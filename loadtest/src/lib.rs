//! Load and test tools for the gateway: the mock model endpoints, and a second signer.
//!
//! Nothing here links the gateway. What these tools say about it, they know from the wire alone; that is
//! why the signer is written again instead of shared.

pub mod clock;

pub mod mock;

pub mod sign;
