//! The command line: what can be asked of the program, and how it says what is wrong.
//!
//! Exit codes: 0 done, 1 the files are bad or it could not start, 2 the command line is bad, 130 ended by a
//! second signal.

mod dev_certs;
mod explain;
mod fetch;

use crate::observe;
use crate::policy::{self, Problem};
use crate::server::{self, StartError};
use crate::settings::Settings;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Of the package, and how it was built if that was not plainly: `+pgo` by `make release` (deploy/release/build.sh).
const VERSION: &str = match option_env!("PANGU_PGO") {
    Some(_) => concat!(env!("CARGO_PKG_VERSION"), "+pgo"),
    None => env!("CARGO_PKG_VERSION"),
};

/// An edge API gateway in front of Pangu large models, ModelArts MaaS and ModelArts real-time services.
#[derive(Debug, Parser)]
#[command(name = "pangu-gateway", version = VERSION, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until a signal ends it.
    Run {
        /// Settings (gateway.yaml). Default: built-in ones, with `policies/` and `certs/` here.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// Write the bound addresses to this file, as JSON, once everything listens.
        #[arg(long, value_name = "FILE")]
        addresses: Option<PathBuf>,
    },
    /// Say everything that is wrong with a policy directory, or that nothing is.
    Check {
        /// The directory.
        #[arg(default_value = "policies")]
        directory: PathBuf,
    },
    /// For every route: what limits it, who may call it, what is missing.
    Posture {
        /// The directory.
        #[arg(default_value = "policies")]
        directory: PathBuf,
        /// Settings (gateway.yaml) of the gateway that serves it: they say whether budgets survive a restart.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of policy files, for editors.
    Schema,
    /// Ask a running gateway which limits a request would meet, in order, and where each stands now.
    Explain(explain::Explain),
    /// Print the table of metrics.
    Metrics,
    /// Make a throw-away authority and a certificate for localhost, unless there are some.
    DevCerts {
        /// The directory.
        #[arg(default_value = "certs")]
        directory: PathBuf,
    },
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run { settings, addresses } => run(settings, addresses),
            Command::Check { directory } => match policy::check(&directory) {
                Ok(summary) => say(&summary.to_string()),
                Err(problems) => complain(&problems),
            },
            Command::Posture { directory, settings, json } => posture(&directory, settings.as_deref(), json),
            Command::Schema => {
                say(&serde_json::to_string_pretty(&policy::schema()).expect("a schema has string keys"))
            }
            Command::Explain(explain) => match explain.ask() {
                Ok(text) => say(text.trim_end()),
                Err(what) => fail(&what),
            },
            Command::Metrics => say(observe::metrics::table().trim_end()),
            Command::DevCerts { directory } => match dev_certs::make(&directory) {
                Ok(done) => say(&done),
                Err(what) => fail(&what),
            },
        }
    }
}

fn run(settings: Option<PathBuf>, addresses: Option<PathBuf>) -> ExitCode {
    observe::log::start();
    let settings = match Settings::load(settings.as_deref()) {
        Ok(settings) => settings,
        Err(what) => return fail(&what),
    };
    match server::run(settings, addresses.as_deref()) {
        Ok(code) => code,
        Err(StartError::Policy(problems)) => complain(&problems),
        Err(StartError::Other(what)) => fail(&what),
    }
}

fn posture(directory: &Path, settings: Option<&Path>, json: bool) -> ExitCode {
    let settings = match Settings::load(settings) {
        Ok(settings) => settings,
        Err(what) => return fail(&what),
    };
    match policy::posture(directory, settings.state_dir.is_some()) {
        Ok(posture) if json => {
            say(&serde_json::to_string_pretty(&posture).expect("these types have string keys"))
        }
        Ok(posture) => say(&posture.to_string()),
        Err(problems) => complain(&problems),
    }
}

/// A closed pipe is no reason to panic.
fn say(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn fail(what: &str) -> ExitCode {
    eprintln!("error: {what}");
    ExitCode::FAILURE
}

fn complain(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    eprintln!("{} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" });
    ExitCode::FAILURE
}
