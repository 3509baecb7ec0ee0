//! The command `compare`.

use std::error::Error;
use std::io::{self, Write, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::CompareArgs;
use pangu_loadtest::compare::{self, Problem};

/// As a shell reports a program that Ctrl-C ended.
const ENDED: u8 = 130;

/// Compares, prints the tables, and writes what was asked for.
pub fn compare(args: &CompareArgs) -> Result<ExitCode, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    raise_on_signal(Arc::clone(&stop))?;
    let outcome = match compare::run(&args.options(), &stop) {
        Err(Problem::Ended) => return Ok(interrupted()),
        other => other?,
    };
    writeln!(stdout(), "{}", compare::text(&outcome))?;
    if let Some(file) = &args.json {
        compare::write_json(&outcome, file)?;
    }
    if args.write {
        compare::write(&outcome, Path::new("."))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says that a signal has ended it.
pub fn interrupted() -> ExitCode {
    eprintln!("interrupted; nothing was written");
    ExitCode::from(ENDED)
}

/// Raises the flag on SIGTERM or SIGINT, so that what was started is ended too; a run that is under way ends first.
pub fn raise_on_signal(flag: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        flag.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
