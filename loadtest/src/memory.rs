//! The command `footprint`.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::FootprintArgs;
use crate::show;
use pangu_loadtest::footprint;

/// Measures, prints the table, and writes what was asked for. Fails if a reload has cost a request.
pub fn footprint(args: &FootprintArgs) -> Result<ExitCode, Box<dyn Error>> {
    let outcome = footprint::run(&args.options())?;
    writeln!(stdout(), "{}", footprint::text(&outcome))?;
    if let Some(file) = &args.json {
        show::write(file, &serde_json::to_string_pretty(&outcome)?)?;
    }
    if args.write {
        footprint::write(&outcome, Path::new("."))?;
    }
    Ok(if outcome.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
