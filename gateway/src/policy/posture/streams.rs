//! What a stream amounts to.

use super::versions;
use crate::policy::check::{Checked, Stream};
use crate::stream::{Admits, Rules};
use std::fmt;

/// The posture of one stream.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StreamPosture {
    /// As in the files.
    pub name: String,
    /// Where its connections come in.
    pub listener: String,
    /// Where they go.
    pub pool: String,
    /// How tenants are known; empty: anybody is let in.
    pub credentials: Vec<&'static str>,
    /// Tenants that may connect.
    pub tenants: usize,
    /// What each of them may use, by the stream itself.
    pub limits: Vec<String>,
    /// Versions of the pool, and how many get each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// Who gets which, whatever they weigh.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub version_rules: Vec<String>,
    /// What is missing or worth a look.
    pub notes: Vec<String>,
}

pub fn of_stream(stream: &Stream, checked: &Checked) -> StreamPosture {
    let (certificate, network) = match stream.admits {
        Admits::Anybody => (false, false),
        Admits::Tenants { certificate, network } => (certificate, network),
    };
    let known = [("client_cert", certificate), ("network", network)];
    let members = checked.tenants.iter().filter(|tenant| tenant.on_streams);
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_string());
    if stream.admits == Admits::Anybody {
        note("anybody may connect (`auth: none`)");
    } else if members.clone().next().is_none() {
        note("no tenant has a network or a certificate: nobody may connect");
    }
    let by_plan = |rules: fn(&Rules) -> bool| {
        stream.admits != Admits::Anybody
            && members.clone().next().is_some()
            && members.clone().all(|tenant| rules(&checked.plans[tenant.plan].streams))
    };
    if stream.rules.connections.is_none() && !by_plan(|rules| rules.connections.is_some()) {
        note("no limit on connections for every tenant");
    }
    let pool = &checked.pools[stream.pool];
    StreamPosture {
        name: stream.name.to_string(),
        listener: stream.listener.to_string(),
        pool: pool.name.to_string(),
        credentials: known.into_iter().filter_map(|(kind, on)| on.then_some(kind)).collect(),
        tenants: members.count(),
        limits: limits(&stream.rules),
        versions: versions::lines(pool),
        version_rules: versions::rules(pool),
        notes,
    }
}

fn limits(rules: &Rules) -> Vec<String> {
    let speeds = [("in", rules.bytes_in), ("out", rules.bytes_out), ("both ways", rules.bytes)];
    let speeds = speeds.into_iter().filter_map(|(way, rate)| Some(format!("{} bytes/s {way}", rate?)));
    let connections = rules.connections.map(|most| format!("{most} connections"));
    let connects = rules
        .connects
        .map(|(most, period)| format!("{most} connects in {}", humantime::format_duration(period)));
    connections.into_iter().chain(connects).chain(speeds).collect()
}

impl fmt::Display for StreamPosture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "stream {}: listener {} -> {}", self.name, self.listener, self.pool)?;
        match self.credentials.join(", ").as_str() {
            "" => writeln!(f, "  who may connect anybody")?,
            kinds => writeln!(f, "  who may connect {} tenants, by {kinds}", self.tenants)?,
        }
        for limit in &self.limits {
            writeln!(f, "  limit           {limit}")?;
        }
        versions::write(f, &self.versions, &self.version_rules)?;
        for note in &self.notes {
            writeln!(f, "  note            {note}")?;
        }
        Ok(())
    }
}
