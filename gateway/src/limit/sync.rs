//! What the levels lie under: the [`lock`](super::lock), atomics of the standard library.
//!
//! The tests put stand-ins in their place, so that a scheduler of its own (the crate `shuttle`) may decide at every lock
//! and every atomic which thread goes on. Counters that nothing is decided by (`tally`, `guard`) stay as they are.

#[cfg(not(test))]
pub(super) use super::lock::{Mutex, MutexGuard};
#[cfg(not(test))]
pub(super) use arc_swap::ArcSwapOption;
#[cfg(not(test))]
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64};

#[cfg(test)]
pub(super) use super::tests::stand_ins::{ArcSwapOption, AtomicBool, AtomicU64, Mutex, MutexGuard};
