//! What outlives a policy: tokens, what is known of callers' tokens, and the way to the main thread.

use super::budget::Budget;
use super::checks::{CheckSpec, Checks, Question};
use super::judge::judge;
use super::login::Login;
use super::source::{Source, keep};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Sources and checks, kept across reloads; one per gateway.
pub struct Live {
    /// How often the gateway may ask.
    pub budget: Arc<Budget>,
    sources: Mutex<Sources>,
    checks: Mutex<Option<(CheckSpec, Weak<Checks>)>>,
    fresh: UnboundedSender<Weak<Source>>,
    questions: UnboundedSender<Question>,
    /// Until somebody serves it.
    work: Mutex<Option<Work>>,
}

/// By the name of who uses them and what they are asked for with.
type Sources = HashMap<(Arc<str>, Login), Weak<Source>>;

/// What the main thread is to do. Sources are as many as policy names, questions as many as [`Checks`] lets through.
struct Work {
    fresh: UnboundedReceiver<Weak<Source>>,
    questions: UnboundedReceiver<Question>,
}

impl Default for Live {
    fn default() -> Live {
        let ((fresh, sources), (questions, asked)) = (unbounded_channel(), unbounded_channel());
        Live {
            budget: Arc::default(),
            sources: Mutex::default(),
            checks: Mutex::default(),
            fresh,
            questions,
            work: Mutex::new(Some(Work { fresh: sources, questions: asked })),
        }
    }
}

impl Live {
    /// The token that `name` uses: the one there is, or a new one.
    ///
    /// # Errors
    /// As [`Source::new`].
    pub fn source(&self, name: &Arc<str>, login: &Login) -> Result<Arc<Source>, String> {
        let mut sources = self.sources.lock();
        let key = (name.clone(), login.clone());
        if let Some(source) = sources.get(&key).and_then(Weak::upgrade) {
            return Ok(source);
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(Source::new(name.clone(), login.clone())?);
        sources.insert(key, Arc::downgrade(&source));
        // Fails only while the gateway ends.
        let _ = self.fresh.send(Arc::downgrade(&source));
        Ok(source)
    }

    /// What is known of callers' tokens: it stays while policy says the same of it.
    pub fn checks(&self, spec: &CheckSpec, source: &Arc<Source>) -> Arc<Checks> {
        let mut held = self.checks.lock();
        let same = held.as_ref().filter(|(had, _)| had == spec).and_then(|(_, checks)| checks.upgrade());
        if let Some(checks) = same.filter(|checks| Arc::ptr_eq(&checks.source, source)) {
            return checks;
        }
        let checks = Arc::new(Checks::new(spec.clone(), source.clone(), self.questions.clone()));
        *held = Some((spec.clone(), Arc::downgrade(&checks)));
        checks
    }

    /// Forgets what nobody needs; how many callers' tokens are known.
    pub fn sweep(&self) -> usize {
        self.budget.sweep();
        let checks = self.checks.lock().as_ref().and_then(|(_, checks)| checks.upgrade());
        checks.map_or(0, |checks| checks.count())
    }
}

/// Does all that is to be sent to IAM. Once per gateway, on the main thread's runtime; does not return.
pub async fn serve(live: &Live) {
    let Some(Work { mut fresh, mut questions }) = live.work.lock().take() else { return };
    loop {
        tokio::select! {
            Some(source) = fresh.recv() => drop(tokio::spawn(keep(source, live.budget.clone()))),
            Some(question) = questions.recv() => drop(tokio::spawn(judge(question))),
        }
    }
}
