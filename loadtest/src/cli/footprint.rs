//! Arguments of `footprint`.

use std::path::PathBuf;

use clap::Args;

use pangu_loadtest::footprint::{Options, Part};

const TENANTS: u32 = 100_000;
const CONNECTIONS: u32 = 10_000;
const RELOADS: u32 = 1_000;

/// Arguments of `footprint`.
#[derive(Debug, Args)]
pub struct FootprintArgs {
    /// Measure only this; may be repeated: idle, tenants, connections, reloads
    #[arg(long, value_name = "NAME", value_parser = part)]
    part: Vec<Part>,
    /// Tenants of the large policy
    #[arg(long, value_name = "N", default_value_t = TENANTS, value_parser = clap::value_parser!(u32).range(1..=300_000))]
    tenants: u32,
    /// Idle connections
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    connections: u32,
    /// Policies written under load
    #[arg(long, value_name = "N", default_value_t = RELOADS, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    reloads: u32,
    /// Put the result into ARCHITECTURE.md of this directory; takes a whole measurement
    #[arg(long, conflicts_with_all = ["part", "tenants", "connections", "reloads"])]
    pub write: bool,
    /// Write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The gateway [default: pangu-gateway beside this program]
    #[arg(long, value_name = "PROGRAM")]
    gateway: Option<PathBuf>,
}

impl FootprintArgs {
    /// Turns the arguments into options.
    pub fn options(&self) -> Options {
        let chosen = |part: &Part| self.part.is_empty() || self.part.contains(part);
        Options {
            parts: Part::ALL.into_iter().filter(chosen).collect(),
            tenants: self.tenants,
            connections: self.connections,
            reloads: self.reloads,
            gateway: self.gateway.clone(),
            command: self.command(),
        }
    }

    /// The command line that leads to the same result; paths of this machine mean nothing elsewhere.
    fn command(&self) -> String {
        let parts: String = self.part.iter().map(|part| format!(" --part {}", part.name())).collect();
        let sizes = [
            ("tenants", self.tenants, TENANTS),
            ("connections", self.connections, CONNECTIONS),
            ("reloads", self.reloads, RELOADS),
        ];
        let sizes = sizes.iter().filter(|(_, size, default)| size != default);
        let sizes: String = sizes.map(|(name, size, _)| format!(" --{name} {size}")).collect();
        format!("pangu-loadtest footprint{parts}{sizes}")
    }
}

fn part(name: &str) -> Result<Part, String> {
    let found = Part::ALL.into_iter().find(|part| part.name() == name);
    found.ok_or_else(|| format!("write one of {}", Part::ALL.map(Part::name).join(", ")))
}
