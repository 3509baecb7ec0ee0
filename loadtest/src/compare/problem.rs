//! Problem: why a comparison cannot be made, or would not be one.

use std::fmt::Display;
use std::io;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A program is not there.
    #[error("{program} is missing; {help}")]
    Missing {
        /// Its name, or where it should be.
        program: String,
        /// What brings it.
        help: String,
    },
    /// This machine cannot do it.
    #[error("{0}")]
    Machine(&'static str),
    /// A program does not listen.
    #[error("{name} does not listen; its last words:\n{last_words}")]
    Silent {
        /// Its name.
        name: &'static str,
        /// The end of what it printed.
        last_words: String,
    },
    /// A program has ended while it was needed.
    #[error("{name} has ended by {how} while it was needed; its last words:\n{last_words}")]
    Lost {
        /// Its name.
        name: &'static str,
        /// Signal or exit code.
        how: String,
        /// The end of what it printed.
        last_words: String,
    },
    /// Two peers do not do the same work.
    #[error("{peer} does not do what the others do: {what}")]
    Unequal {
        /// The one that differs.
        peer: &'static str,
        /// In which respect.
        what: String,
    },
    /// A run cannot be counted.
    #[error("{case}, {peer}: {what}")]
    Spoilt {
        /// Title of the case.
        case: &'static str,
        /// Who was under load.
        peer: &'static str,
        /// What went wrong.
        what: String,
    },
    /// The generator was late: that says nothing of the peer.
    #[error("{case}, {peer}: {what}")]
    Late {
        /// Title of the case.
        case: &'static str,
        /// Who was under load.
        peer: &'static str,
        /// How late.
        what: String,
    },
    /// A file that should take the result has no place for it.
    #[error(
        "{file} has no place for the result; put a line `<!-- {marker} -->` and a line `<!-- /{marker} -->` there"
    )]
    NoPlace {
        /// The file.
        file: String,
        /// Name of the marker.
        marker: String,
    },
    /// A signal asked for the end.
    #[error("ended by a signal")]
    Ended,
    /// The system refuses.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

/// Says what was tried when the system refuses.
pub trait Context<T> {
    /// `doing` completes the words "cannot ...".
    ///
    /// # Errors
    /// The one that was there.
    fn while_doing(self, doing: impl Display) -> Result<T, Problem>;
}

impl<T> Context<T> for io::Result<T> {
    fn while_doing(self, doing: impl Display) -> Result<T, Problem> {
        self.map_err(|source| Problem::Io { doing: doing.to_string(), source })
    }
}
