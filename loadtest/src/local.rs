//! Local: what runs on the one thread that began it.

use std::io;
use std::net::TcpListener as StdListener;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

/// Spawns on the thread's own runtime.
#[derive(Debug, Clone, Copy)]
pub struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// Lets `accept` have `listener` on a runtime of this thread until `stop` says so or is dropped; whatever it has
/// spawned ends with it.
///
/// # Errors
/// The runtime cannot be made, or does not take the listener.
pub fn listen(
    listener: StdListener,
    mut stop: watch::Receiver<bool>,
    accept: impl AsyncFnOnce(TcpListener),
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        tokio::select! {
            () = accept(listener) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        Ok(())
    })
}
