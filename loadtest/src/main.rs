//! The program: arguments in, one of the tools out.
//!
//! Exit codes: 0 done and good, 1 bad arguments, nothing could be started, or generators that do not agree, 2 a run
//! that the oracle found a violation in, 3 a run whose figures must not be used, 130 ended by a signal during a run.

mod agreement;
mod cli;

mod memory;
mod peers;
mod run;
mod show;

use std::error::Error;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use cli::{Cli, Command, MockArgs, SignArgs};
use pangu_loadtest::compare;
use pangu_loadtest::mock::Mock;
use pangu_loadtest::sign::{self, Scheme, Signer, Unsigned};

/// As in the gateway: its engine measured faster with it, and the mock must not be the slow end of a comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(other) => return say_usage(&other),
    };
    let done = match command {
        Command::Run(args) => run::run(&args),
        Command::Scenarios => run::list().map(|()| ExitCode::SUCCESS),
        Command::Policy(args) => run::write_policy(&args).map(|()| ExitCode::SUCCESS),
        Command::Report(args) => show::kept(&args).map(|()| ExitCode::SUCCESS),
        Command::Mock(args) => serve_mock(&args).map(|()| ExitCode::SUCCESS),
        Command::Hash { string } => print_hash(&string).map(|()| ExitCode::SUCCESS),
        Command::Sign(args) => print_signed(&args).map(|()| ExitCode::SUCCESS),
        Command::Compare(args) => peers::compare(&args),
        Command::Relay { listen, origin } => relay(listen, origin),
        Command::Agree(args) => agreement::agree(&args),
        Command::Footprint(args) => memory::footprint(&args),
    };
    match done {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Relays until a signal ends it.
fn relay(listen: SocketAddr, origin: SocketAddr) -> Result<ExitCode, Box<dyn Error>> {
    compare::relay::serve(listen, origin).map_err(|e| format!("cannot relay from {listen}: {e}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Help is no failure; and clap's exit code for bad arguments would be taken for a violation.
fn say_usage(other: &clap::Error) -> ExitCode {
    let _ = other.print(); // a closed pipe is nobody to tell
    if other.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print_hash(string: &str) -> Result<(), Box<dyn Error>> {
    writeln!(stdout(), "{}", sign::sha256_hex(string.as_bytes()))?;
    Ok(())
}

/// Serves until SIGTERM or SIGINT. The lines it prints mean: ready.
fn serve_mock(args: &MockArgs) -> Result<(), Box<dyn Error>> {
    let options = args.options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the ready lines: who reads them may send a signal at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mock = Mock::start(&options).map_err(|e| {
            let addresses = [options.listen, options.control].into_iter().chain(options.tcp);
            let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
            format!("cannot listen on {}: {e}", addresses.join(" or "))
        })?;
        writeln!(stdout(), "mock listening on {}", mock.url())?;
        writeln!(stdout(), "mock control on http://{}", mock.control_address())?;
        if let Some(address) = mock.tcp_address() {
            writeln!(stdout(), "mock TCP echo on {address}")?;
        }
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

fn split_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("--header {text}: write Name: value"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
