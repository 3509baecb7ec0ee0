//! The program: arguments in, exit code out.

use clap::Parser;
use pangu_gateway::cli::Cli;
use std::process::ExitCode;

/// About 10 % less CPU per request than glibc's allocator (ARCHITECTURE.md, decisions).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Called by the loader before `main` and before the allocator's own constructor, which has no number and so comes later.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array.00099"))]
static SMALL_PAGES: extern "C" fn() = pangu_gateway::memory::small_pages;

fn main() -> ExitCode {
    Cli::parse().run()
}
