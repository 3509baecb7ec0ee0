//! `run`, `scenarios` and `policy`: from arguments to the rig, and from its report to an exit code.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::process::ExitCode;

use crate::cli::{PolicyArgs, RunArgs};
use crate::show;
use pangu_loadtest::measure::Report;
use pangu_loadtest::report;
use pangu_loadtest::rig::{self, Stage, gateway};
use pangu_loadtest::scenario::{self, Adjust, builtin, policy};

/// Plays a scenario, prints what was seen, and writes the files that were asked for.
pub fn run(args: &RunArgs) -> Result<ExitCode, Box<dyn Error>> {
    let setup = scenario::load(&args.scenario, &args.adjust.adjust())?;
    // Before the run: a baseline that cannot be read should not cost ten seconds.
    let baseline = args.baseline.as_deref().map(show::read).transpose()?;
    let options = rig::Options { stage: stage(args), threads: args.threads };
    let report = rig::run(&setup, &options)?;

    // Kept first: whatever becomes of the rest, the run need not be repeated.
    if let Some(file) = &args.json {
        show::write(file, &report::json(&report))?;
    }
    show::show(&report, baseline.as_ref(), args.html.as_deref())?;
    Ok(exit_code(&report))
}

/// Prints the built-in scenarios, each with what it shows.
pub fn list() -> Result<(), Box<dyn Error>> {
    for (name, _) in builtin::BUILT_IN {
        let setup = scenario::load(name, &Adjust::default())?;
        writeln!(stdout(), "{name:<20}{}", setup.scenario.about)?;
    }
    Ok(())
}

/// Writes the policy of a scenario for a gateway of the user's own.
pub fn write_policy(args: &PolicyArgs) -> Result<(), Box<dyn Error>> {
    let setup = scenario::load(&args.scenario, &Adjust { seed: args.seed, ..Adjust::default() })?;
    let directory = &args.directory;
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        let what = "is not empty; name a new directory, since all files of a policy are one set";
        return Err(format!("{}: {what}", directory.display()).into());
    }
    policy::write(&setup, &args.pool, directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    writeln!(stdout(), "wrote {}; check it with: pangu-gateway check {0}", directory.display())?;
    Ok(())
}

fn stage(args: &RunArgs) -> Stage {
    match &args.target {
        None => Stage::Own(gateway::Plan {
            program: args.gateway.clone(),
            workers: args.workers,
            keep: args.keep.clone(),
        }),
        Some(url) => Stage::Given {
            url: url.clone(),
            authority: args.ca.clone(),
            evidence: args.policy.clone().zip(args.mock_control),
        },
    }
}

fn exit_code(report: &Report) -> ExitCode {
    let violated = |verdict: &pangu_loadtest::measure::Verdict| {
        verdict.checks.iter().any(|check| !check.violations.is_empty())
    };
    if report.oracle.as_ref().is_some_and(violated) {
        ExitCode::from(2)
    } else if !report.void.is_empty() {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    }
}
