//! What survives a restart: how much of each day's and month's budget is spent.
//!
//! *Model.* A small database (`redb`) in the state directory: for each name of a budget a period and what was
//! spent in it. [`Store::save`] is one transaction: when it returns, it is on the disk; a gateway killed at any
//! moment finds what the last complete one said, all of it or nothing.
//!
//! *Start.* Whatever is wrong with the directory or the file stops the gateway with a [`Problem`] that says
//! what to do. Nothing is repaired by forgetting: a budget that begins anew unasked is money.
//!
//! *Cost.* A save of one budget takes two flushes of the disk, of 100,000 under a second: it belongs on a thread
//! of its own. Opening reads it all, about 20 ms for 100,000. Memory: the file's size, 16 MiB at most.
//!
//! *Not here.* When to save, and what (`limit`); sharing between gateways: a directory belongs to one.

mod problem;

#[cfg(test)]
mod tests;

pub use problem::Problem;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Of which format the file is. A change of what keys or entries mean is another one.
const VERSION: u32 = 1;

/// Pages kept in memory: those of 200,000 budgets.
const CACHE_BYTES: usize = 16 << 20;

/// What the file says about itself.
const ABOUT: TableDefinition<&str, u32> = TableDefinition::new("about");

/// The budget's name to `(period, spent)`.
const WINDOWS: TableDefinition<&str, (u32, u64)> = TableDefinition::new("windows");

/// What is spent of one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// In which period: days or months since 1970.
    pub serial: u32,
    /// How much, in the limit's own measure.
    pub used: u64,
}

/// The file, open. One at a time per directory.
#[derive(Debug)]
pub struct Store {
    /// None: what was asked of it last has failed.
    database: Option<Database>,
    file: PathBuf,
    /// Which file has this name.
    identity: Identity,
    /// Given up last.
    _claim: Claim,
}

impl Store {
    /// Opens the store in `dir`; directory and file are made if there are none.
    ///
    /// # Errors
    /// [`Problem`]: the directory cannot be made, belongs to another gateway, or holds a file that is damaged
    /// or of another version.
    pub fn open(dir: &Path) -> Result<Store, Problem> {
        let claim = claim(dir)?;
        let file = dir.join("state.redb");
        let opened = make(dir, &file).and_then(|()| open(&file));
        let (database, version) = opened.map_err(|error| Problem::of(&file, error))?;
        if version != VERSION {
            return Err(Problem::OtherVersion { file, found: version });
        }
        let identity = identity(&file).map_err(|error| Problem::of(&file, error.into()))?;
        Ok(Store { database: Some(database), file, identity, _claim: claim })
    }

    /// Everything stored, by name.
    ///
    /// # Errors
    /// [`Problem`] if the file cannot be read.
    pub fn load(&mut self) -> Result<impl Iterator<Item = (String, Entry)> + use<>, Problem> {
        Ok(self.with(read)?.into_iter())
    }

    /// Stores `entries` beside those there are, all or none; once it returns they are on the disk.
    ///
    /// A name says whose budget it is and which, with all that tells two of them apart.
    ///
    /// # Errors
    /// [`Problem`] if it could not be written, or if the file is no longer where it was, even if there is nothing to
    /// write. What was stored before stays, and the next call may succeed.
    pub fn save<'a>(&mut self, entries: impl IntoIterator<Item = (&'a str, Entry)>) -> Result<(), Problem> {
        self.change(entries.into_iter().map(|(name, entry)| (name, Some(entry))))
    }

    /// Removes what has these names, all or none, as durably as [`save`](Self::save).
    ///
    /// # Errors
    /// As `save`.
    pub fn forget<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Result<(), Problem> {
        self.change(names.into_iter().map(|name| (name, None)))
    }

    fn change<'a>(&mut self, entries: impl Iterator<Item = (&'a str, Option<Entry>)>) -> Result<(), Problem> {
        let mut entries: Vec<_> = entries.collect();
        self.in_place()?;
        if entries.is_empty() {
            return Ok(());
        }
        entries.sort_by_key(|(name, _)| *name); // neighbours share pages; of two of a name the later stays
        self.with(|database| write(database, &entries))
    }

    /// Is the file that is open still the one of this name? A write would succeed, and no start would ever read it.
    fn in_place(&self) -> Result<(), Problem> {
        match identity(&self.file) {
            Ok(found) if found == self.identity => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Problem::of(&self.file, error.into()))
            }
            _ => Err(Problem::Moved { file: self.file.clone() }),
        }
    }

    /// Asks the database. One that has failed takes no more writes: it is closed, and opened again by the next call.
    fn with<T>(&mut self, ask: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Problem> {
        let opened = match self.database.take() {
            Some(database) => Ok(database),
            None => open(&self.file).map(|(database, _)| database),
        };
        let asked = opened.and_then(|database| Ok((ask(&database)?, database)));
        let (answer, database) = asked.map_err(|error| Problem::of(&self.file, error))?;
        self.database = Some(database);
        Ok(answer)
    }
}

/// Device and inode: what tells files apart, whatever their names.
type Identity = (u64, u64);

fn identity(file: &Path) -> io::Result<Identity> {
    let found = fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}

fn write(database: &Database, entries: &[(&str, Option<Entry>)]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    // A second flush per save; without it, damage after a crash would pass for a save cut short.
    transaction.set_two_phase_commit(true);
    let mut table = transaction.open_table(WINDOWS)?;
    for (name, entry) in entries {
        match entry {
            Some(Entry { serial, used }) => table.insert(name, (*serial, *used))?,
            None => table.remove(name)?,
        };
    }
    drop(table);
    Ok(transaction.commit()?)
}

fn read(database: &Database) -> Result<Vec<(String, Entry)>, redb::Error> {
    let table = database.begin_read()?.open_table(WINDOWS)?;
    let entries = table.iter()?.map(|item| {
        let (name, entry) = item?;
        let (serial, used) = entry.value();
        Ok((name.value().to_string(), Entry { serial, used }))
    });
    entries.collect()
}

/// The right to a directory: a locked file, free again when the process ends, however it ends.
#[derive(Debug)]
struct Claim(File);

impl Drop for Claim {
    fn drop(&mut self) {
        // To close the file is not enough while a child process that was just forked has it open, too.
        let _ = self.0.unlock();
    }
}

/// Makes the directory and locks it.
fn claim(dir: &Path) -> Result<Claim, Problem> {
    let unusable = |source: io::Error| Problem::Directory { dir: dir.to_path_buf(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    let lock =
        File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(Claim(lock)),
        Err(TryLockError::WouldBlock) => Err(Problem::InUse { at: dir.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Makes the file if there is none. It gets its name when it is complete: a gateway killed meanwhile leaves
/// nothing that looks like a damaged store.
fn make(dir: &Path, file: &Path) -> Result<(), redb::Error> {
    match fs::symlink_metadata(file) {
        Ok(_) => return Ok(()), // a link, too, wherever it leads: it says where the file is to be
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Err(_) => {}
    }
    let unfinished = dir.join("state.redb.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = builder().create(&unfinished)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert("version", VERSION)?;
    transaction.open_table(WINDOWS)?;
    transaction.commit()?;
    drop(database);
    fs::rename(&unfinished, file)?;
    Ok(File::open(dir)?.sync_all()?) // the name, too, is on the disk
}

/// Opens the file if it is whole, and says of which version it is; 0 if it does not tell.
fn open(file: &Path) -> Result<(Database, u32), redb::Error> {
    let database = builder().open(file)?;
    let version =
        database.begin_read()?.open_table(ABOUT)?.get("version")?.map_or(0, |version| version.value());
    Ok((database, version))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}
