//! Showing a run: on standard output, as a page, and against an earlier one.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

use crate::cli::ReportArgs;
use pangu_loadtest::measure::Report;
use pangu_loadtest::report;

/// Shows a run that was kept as JSON.
pub fn kept(args: &ReportArgs) -> Result<(), Box<dyn Error>> {
    let run = read(&args.run)?;
    let baseline = args.baseline.as_deref().map(read).transpose()?;
    show(&run, baseline.as_ref(), args.html.as_deref())
}

/// Prints a run, and what changed since the baseline; writes the page.
pub fn show(run: &Report, baseline: Option<&Report>, html: Option<&Path>) -> Result<(), Box<dyn Error>> {
    // The page first: who reads only the head of the table gets it all the same.
    if let Some(file) = html {
        write(file, &report::html(run, baseline))?;
    }
    write!(stdout(), "{}", report::table(run))?;
    if let Some(baseline) = baseline {
        write!(stdout(), "\n{}", report::changes(baseline, run))?;
    }
    if let Some(file) = html {
        writeln!(stdout(), "\npage: {}", file.display())?;
    }
    Ok(())
}

/// Reads a run that was kept as JSON.
pub fn read(file: &Path) -> Result<Report, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(report::read(&text).map_err(|e| format!("{}: {e}", file.display()))?)
}

/// Writes a file of a run.
pub fn write(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    fs::write(file, text).map_err(|e| format!("cannot write {}: {e}", file.display()).into())
}
