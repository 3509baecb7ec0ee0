//! Arguments of `agree`.

use clap::Args;

use pangu_loadtest::agree::Options;

/// Arguments of `agree`.
#[derive(Debug, Args)]
pub struct AgreeArgs {
    /// Rounds; in each of them every generator has its turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of a turn, seconds
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Put the result into loadtest/README.md of this directory, if they agree
    #[arg(long)]
    pub write: bool,
}

impl AgreeArgs {
    /// Turns the arguments into options.
    pub fn options(&self) -> Options {
        let (rounds, seconds) = (self.rounds, self.seconds);
        let command = format!("pangu-loadtest agree --rounds {rounds} --seconds {seconds}");
        Options { rounds, seconds, command }
    }
}
