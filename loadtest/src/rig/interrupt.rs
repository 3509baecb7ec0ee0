//! Interrupt: on Ctrl-C or SIGTERM nothing is left behind.

use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use super::Problem;
use super::gateway::Slot;

/// As a shell reports a program that Ctrl-C ended.
const EXIT_CODE: i32 = 130;

/// From now on either signal ends the gateway in `slot`, removes its files, and then ends this program with exit
/// code 130.
///
/// # Errors
/// Signals cannot be taken.
pub fn watch(slot: &Slot) -> Result<(), Problem> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Problem::Thread)?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        let take = |kind| signal(kind).map_err(Problem::Thread);
        (take(SignalKind::terminate())?, take(SignalKind::interrupt())?)
    };
    let slot = Slot::clone(slot);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        eprintln!("interrupted; nothing was written");
        // The lock is kept: nobody may start another gateway now.
        let mut slot = slot.lock();
        drop(slot.take());
        std::process::exit(EXIT_CODE);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop).map_err(Problem::Thread)
}
