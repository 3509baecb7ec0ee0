//! How a posture looks to people.

use super::{ModelPosture, Posture, RoutePosture, versions};
use std::fmt;

impl fmt::Display for Posture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in &self.routes {
            writeln!(f, "{route}")?;
        }
        // Nothing to tell if all there is is the one that stands for all others.
        for model in self.models.iter().filter(|model| self.models.len() > 1 || model.is_told()) {
            writeln!(f, "{model}")?;
        }
        for stream in &self.streams {
            writeln!(f, "{stream}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let of_streams = self.streams.iter().map(|stream| stream.notes.len()).sum::<usize>();
        let worth =
            self.notes.len() + of_streams + self.routes.iter().map(|route| route.notes.len()).sum::<usize>();
        write!(f, "{} routes, {worth} things worth a look", self.routes.len())
    }
}

impl fmt::Display for RoutePosture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} -> {}", self.name, self.takes, self.pool)?;
        let more = self.tenants_total - self.tenants.len();
        let tenants = match (self.tenants.join(", "), more) {
            (names, 0) => names,
            (names, more) => format!("{names} and {more} more"),
        };
        match self.credentials.join(", ").as_str() {
            "" => writeln!(f, "  who may call    anybody")?,
            kinds if self.tenants_total == 0 => writeln!(f, "  who may call    nobody yet, by {kinds}")?,
            kinds => writeln!(f, "  who may call    {tenants}, by {kinds}")?,
        }
        if self.shown != "none" {
            writeln!(f, "  shows backends  {}", self.shown)?;
        }
        for limit in &self.limits {
            writeln!(f, "  limit           {limit}")?;
        }
        for (plan, limits) in &self.plan_limits {
            for limit in limits {
                writeln!(f, "  limit of {plan:<6} {limit}")?;
            }
        }
        if self.limits.is_empty() && self.plan_limits.values().all(Vec::is_empty) {
            writeln!(f, "  limit           none")?;
        }
        writeln!(f, "  caps            {}", self.caps)?;
        if let Some(model) = &self.model {
            writeln!(f, "  model           {model}")?;
        }
        if let Some(ceilings) = &self.ceilings {
            writeln!(f, "  ceilings        {ceilings}")?;
        }
        for (plan, ceilings) in &self.plan_ceilings {
            writeln!(f, "  ceilings {plan:<6} {ceilings}")?;
        }
        versions::write(f, &self.versions, &self.version_rules)?;
        if let Some(queue) = &self.queue {
            writeln!(f, "  queue           {queue}")?;
        }
        for (plan, share) in &self.plan_shares {
            writeln!(f, "  turn of {plan:<7} {share}")?;
        }
        if let Some(retry) = &self.retry {
            writeln!(f, "  retry           {retry}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note            {note}")?;
        }
        Ok(())
    }
}

impl ModelPosture {
    /// Is anything decided for it?
    fn is_told(&self) -> bool {
        self.price.is_some() || !self.limits.is_empty() || self.ceilings.is_some()
    }
}

impl fmt::Display for ModelPosture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model {}", self.name)?;
        if !self.names.is_empty() {
            writeln!(f, "  also called     {}", self.names.join(", "))?;
        }
        writeln!(f, "  price           {}", self.price.as_deref().unwrap_or("none"))?;
        for limit in &self.limits {
            writeln!(f, "  limit           {limit}")?;
        }
        if let Some(ceilings) = &self.ceilings {
            writeln!(f, "  ceilings        {ceilings}")?;
        }
        Ok(())
    }
}
