//! The command `agree`.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cli::AgreeArgs;
use crate::peers::{interrupted, raise_on_signal};
use pangu_loadtest::agree;
use pangu_loadtest::compare::Problem;

/// Lets the generators take turns, prints the table, and writes it where that was asked for and they agree.
pub fn agree(args: &AgreeArgs) -> Result<ExitCode, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    raise_on_signal(Arc::clone(&stop))?;
    let outcome = match agree::run(&args.options(), &stop) {
        Err(Problem::Ended) => return Ok(interrupted()),
        other => other?,
    };
    writeln!(stdout(), "{}", agree::text(&outcome))?;
    let disagreements = agree::disagreements(&outcome);
    if !disagreements.is_empty() {
        return Err(format!("the generators do not agree:\n{}", disagreements.join("\n")).into());
    }
    if args.write {
        agree::write(&outcome, Path::new("."))?;
    }
    Ok(ExitCode::SUCCESS)
}
