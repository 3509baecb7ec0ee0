//! A token of the gateway's own as a backend's credential holds it: a login while policy is checked, and its source from
//! the moment that policy is put in force.

use super::login::Login;
use super::source::Source;
use http::HeaderValue;
use std::sync::{Arc, OnceLock};

/// A token of the gateway's own.
#[derive(Debug)]
pub struct Own {
    login: Login,
    source: OnceLock<Arc<Source>>,
}

impl Own {
    /// Without a source yet.
    pub fn new(login: Login) -> Own {
        Own { login, source: OnceLock::new() }
    }

    /// What it is asked for with.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// Gives it its source, once.
    pub fn begin(&self, source: Arc<Source>) {
        let first = self.source.set(source);
        debug_assert!(first.is_ok(), "policy is put in force once");
    }

    /// The token; None: there is none to be had. Hot path: two loads.
    pub fn current(&self) -> Option<HeaderValue> {
        self.source.get()?.current()
    }

    /// Whose it is, for logs.
    pub fn name(&self) -> Arc<str> {
        self.source.get().map_or_else(|| "-".into(), |source| source.name.clone())
    }
}
