//! The program: arguments in, exit code out.

use clap::Parser;
use pangu_gateway::cli::Cli;
use std::process::ExitCode;

/// About 10 % less CPU per request than glibc's allocator (ARCHITECTURE.md, decisions).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pangu_gateway::memory::small_pages();
    Cli::parse().run()
}
