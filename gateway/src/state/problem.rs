//! What can be wrong with the state directory, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The directory cannot be made or written to.
    #[error("cannot use the state directory {}: {source}; make one that the gateway's user may write to", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another gateway; end that one, or give this one its own state directory", at.display())]
    InUse {
        /// The directory, or the file in it.
        at: PathBuf,
    },
    /// The file is not what this program left there.
    #[error(
        "{} is damaged ({detail}); put back a copy of it, or move it away to begin with every budget unspent",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Another version of the program wrote it.
    #[error(
        "{} was written by another version of the gateway (format {found}); run that version, or move the file \
         away to begin with every budget unspent",
        file.display()
    )]
    OtherVersion {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The name leads to no file, or to another one, while this one is open.
    #[error(
        "{} was moved, removed or replaced while the gateway runs; put the same file back, or restart the gateway: it \
         then begins with what is there",
        file.display()
    )]
    Moved {
        /// The file.
        file: PathBuf,
    },
    /// The system could not read or write it.
    #[error("cannot read or write {}: {source}; is the disk full, or the file another user's?", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Problem {
    pub(super) fn of(file: &Path, error: redb::Error) -> Problem {
        let file = file.to_path_buf();
        match error {
            redb::Error::UpgradeRequired(found) => Problem::OtherVersion { file, found: u32::from(found) },
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                Problem::InUse { at: file }
            }
            redb::Error::Io(source) if !damage(source.kind()) => Problem::Io { file, source },
            redb::Error::PreviousIo => {
                Problem::Io { file, source: io::Error::other("an earlier write failed") }
            }
            other => Problem::Damaged { file, detail: other.to_string() },
        }
    }
}

/// Is it what the file says, rather than the disk?
fn damage(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
