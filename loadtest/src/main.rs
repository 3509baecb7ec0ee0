//! The program: arguments in, one of the tools out, exit code 0 or 1.

mod cli;

use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use cli::{Cli, Command, MockArgs, ReportArgs, SignArgs};
use pangu_loadtest::measure::Report;
use pangu_loadtest::mock::Mock;
use pangu_loadtest::report;
use pangu_loadtest::sign::{self, Scheme, Signer, Unsigned};

/// As in the gateway: its engine measured faster with it, and the mock must not be the slow end of a comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Mock(args) => serve_mock(&args),
        Command::Hash { string } => {
            writeln!(stdout(), "{}", sign::sha256_hex(string.as_bytes())).map_err(Into::into)
        }
        Command::Sign(args) => print_signed(&args),
        Command::Report(args) => show_report(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM or SIGINT. The two lines it prints mean: ready.
fn serve_mock(args: &MockArgs) -> Result<(), Box<dyn Error>> {
    let options = args.options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the ready lines: who reads them may send a signal at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mock = Mock::start(&options)
            .map_err(|e| format!("cannot listen on {} or {}: {e}", options.listen, options.control))?;
        writeln!(stdout(), "mock listening on {}", mock.url())?;
        writeln!(stdout(), "mock control on http://{}", mock.control_address())?;
        stdout().flush()?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

fn print_signed(args: &SignArgs) -> Result<(), Box<dyn Error>> {
    let secret_key = std::env::var(&args.secret_key_env).map_err(|_| {
        format!("the environment variable {} does not hold a secret key", args.secret_key_env)
    })?;
    let scheme = match args.v11.as_deref().map(|scope| scope.split_once('/')) {
        None => Scheme::Sdk,
        Some(Some((region, service))) => Scheme::V11 { region, service },
        Some(None) => return Err("--v11: write REGION/SERVICE".into()),
    };
    let body = args.body_file.as_ref().map(std::fs::read).transpose()?.unwrap_or_default();
    let headers = args.header.iter().map(|text| split_header(text)).collect::<Result<Vec<_>, _>>()?;
    let date = args.date.clone().unwrap_or_else(sign::date_now);
    let signer = Signer { access_key: &args.access_key, secret_key: &secret_key, scheme };
    let unsigned =
        Unsigned { method: &args.method, url: &args.url, headers: &headers, body: &body, date: &date };
    for (name, value) in signer.sign(&unsigned)? {
        if args.curl {
            writeln!(stdout(), "-H {}", shell_quoted(&format!("{name}: {value}")))?;
        } else {
            writeln!(stdout(), "{name}: {value}")?;
        }
    }
    Ok(())
}

/// Prints a kept run, and what changed since the baseline; writes the page.
fn show_report(args: &ReportArgs) -> Result<(), Box<dyn Error>> {
    let run = read_report(&args.run)?;
    let baseline = args.baseline.as_deref().map(read_report).transpose()?;
    // The page first: who reads only the head of the table gets it all the same.
    if let Some(file) = &args.html {
        std::fs::write(file, report::html(&run, baseline.as_ref()))
            .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    }
    write!(stdout(), "{}", report::table(&run))?;
    if let Some(baseline) = &baseline {
        write!(stdout(), "\n{}", report::changes(baseline, &run))?;
    }
    if let Some(file) = &args.html {
        writeln!(stdout(), "\npage: {}", file.display())?;
    }
    Ok(())
}

fn read_report(file: &Path) -> Result<Report, Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(report::read(&text).map_err(|e| format!("{}: {e}", file.display()))?)
}

fn split_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("--header {text}: write Name: value"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
