//! Journal: one short line for every request that arrived, for judges that need all of them.
//!
//! Records keep the last requests whole; the journal keeps every request small: its number, the tenant it was sent for,
//! when it came and went by the machine's monotonic clock, the tokens it spent and when, and how it ended. The oracle sets it
//! beside what the callers saw.
//!
//! *Cost.* Each worker writes a book of its own under a lock that nobody else wants, once when a request arrives and once
//! when it ends. Off unless asked for.
//!
//! *Memory.* About 80 bytes a request, and at most so many requests as asked for. What does not fit is counted in
//! [`Journal::dropped`]: a journal with gaps must not be mistaken for a whole one.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::count::Outcome;

/// Header with the number that a load generator gave to the request.
pub const NUMBER_HEADER: &str = "x-loadtest-request";

/// What arrived, as it is read out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    /// In the order in which they arrived.
    pub arrivals: Vec<Arrival>,
    /// Values of the tenant header, which [`Arrival::tenant`] names by their place.
    pub tenants: Vec<String>,
    /// Requests that had no room; anything but 0 means that the journal has gaps.
    pub dropped: u64,
}

/// One request that arrived. Times are of [`crate::clock::mono_us`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arrival {
    /// From [`NUMBER_HEADER`]; 0 if there was none, or no number in it.
    pub number: u64,
    /// Index into [`Journal::tenants`]; None if the request did not carry the header.
    pub tenant: Option<u32>,
    /// When its head had arrived.
    pub arrived_us: u64,
    /// When its answer had been handed out, or broke off; 0: it has not ended.
    pub ended_us: u64,
    /// Tokens of the prompt, as the answer's usage counts them; 0 where nothing counts tokens.
    pub prompt_tokens: u64,
    /// Tokens of the answer that were sent.
    pub completion_tokens: u32,
    /// When the first of them was handed out; 0: none was.
    #[serde(default)]
    pub first_token_us: u64,
    /// When the last of them was.
    #[serde(default)]
    pub last_token_us: u64,
    /// Status sent; 0: no head was sent.
    pub status: u16,
    /// How it ended; None: it has not.
    pub outcome: Option<Outcome>,
}

impl Journal {
    /// Writes it as lines of JSON: first `{"tenants", "dropped"}`, then an arrival a line.
    ///
    /// # Errors
    /// `to` does not take it.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut to, &Heading { tenants: self.tenants.clone(), dropped: self.dropped })?;
        to.write_all(b"\n")?;
        for arrival in &self.arrivals {
            serde_json::to_writer(&mut to, arrival)?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`write`](Journal::write) wrote.
    ///
    /// # Errors
    /// `from` cannot be read, or is not a journal.
    pub fn read(from: impl BufRead) -> io::Result<Journal> {
        let mut lines = from.lines();
        let heading = lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
        let Heading { tenants, dropped } = serde_json::from_str(&heading)?;
        let arrivals = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<io::Result<_>>()?;
        Ok(Journal { arrivals, tenants, dropped })
    }
}

#[derive(Serialize, Deserialize)]
struct Heading {
    tenants: Vec<String>,
    dropped: u64,
}

/// The books of all workers.
#[derive(Debug)]
pub struct Books {
    max: u64,
    /// Requests that asked for a place. Shared, so that the bound is one for all however connections are spread.
    asked: AtomicU64,
    workers: Box<[Mutex<Book>]>,
}

/// The book of one worker.
#[derive(Debug, Default)]
struct Book {
    /// Grows with each [`Books::reset`]: a request that is open across one must not end another's line.
    edition: u64,
    arrivals: Vec<Arrival>,
    tenants: HashMap<Box<str>, u32>,
}

/// The place of an open request in its worker's book.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    edition: u64,
    index: usize,
}

impl Books {
    /// Empty books for so many workers and, together, `max` requests.
    pub fn new(workers: usize, max: u64) -> Books {
        Books { max, asked: AtomicU64::new(0), workers: (0..workers).map(|_| Mutex::default()).collect() }
    }

    /// Notes an arrival; None if there is no room for it.
    pub fn open(&self, worker: usize, tenant: Option<&str>, arrival: Arrival) -> Option<Line> {
        if self.asked.fetch_add(1, Relaxed) >= self.max {
            return None;
        }
        let mut book = self.workers[worker].lock();
        let tenant = tenant.map(|name| book.place_of(name));
        book.arrivals.push(Arrival { tenant, ..arrival });
        Some(Line { edition: book.edition, index: book.arrivals.len() - 1 })
    }

    /// Lets `end` complete the line of a request that is over.
    pub fn close(&self, worker: usize, line: Line, end: impl FnOnce(&mut Arrival)) {
        let mut book = self.workers[worker].lock();
        if book.edition == line.edition {
            end(&mut book.arrivals[line.index]);
        }
    }

    /// Copies the books into one journal.
    pub fn read(&self) -> Journal {
        let mut journal = Journal::default();
        let mut places = HashMap::new();
        for worker in &self.workers {
            let book = worker.lock();
            let mut names: Vec<(&str, u32)> = book.tenants.iter().map(|(name, &at)| (&**name, at)).collect();
            names.sort_by_key(|&(_, at)| at);
            let common: Vec<u32> = names
                .into_iter()
                .map(|(name, _)| {
                    *places.entry(name.to_owned()).or_insert_with(|| {
                        journal.tenants.push(name.to_owned());
                        journal.tenants.len() as u32 - 1
                    })
                })
                .collect();
            let renamed = |arrival: &Arrival| {
                let tenant = arrival.tenant.map(|at| common[at as usize]);
                Arrival { tenant, ..*arrival }
            };
            journal.arrivals.extend(book.arrivals.iter().map(renamed));
        }
        journal.arrivals.sort_by_key(|arrival| arrival.arrived_us);
        journal.dropped = self.asked.load(Relaxed).saturating_sub(self.max);
        journal
    }

    /// Empties all books. Requests that are open now are in no book afterwards.
    pub fn reset(&self) {
        for worker in &self.workers {
            let mut book = worker.lock();
            *book = Book { edition: book.edition + 1, ..Book::default() };
        }
        self.asked.store(0, Relaxed);
    }
}

impl Book {
    fn place_of(&mut self, tenant: &str) -> u32 {
        if let Some(&place) = self.tenants.get(tenant) {
            return place;
        }
        let place = self.tenants.len() as u32; // fewer tenants than arrivals, which are bounded
        self.tenants.insert(tenant.into(), place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(number: u64) -> Arrival {
        Arrival { number, arrived_us: number, ..Arrival::default() }
    }

    #[test]
    fn books_of_all_workers_become_one_journal_in_the_order_of_arrival() {
        let books = Books::new(2, 10);
        for (worker, tenant, number) in
            [(0, Some("a"), 1), (1, Some("b"), 2), (0, None, 3), (1, Some("a"), 4)]
        {
            let line = books.open(worker, tenant, arrival(number)).unwrap();
            books.close(worker, line, |arrival| arrival.ended_us = 10 * number);
        }
        let journal = books.read();
        let seen: Vec<_> = journal
            .arrivals
            .iter()
            .map(|a| (a.number, a.tenant.map(|t| journal.tenants[t as usize].as_str()), a.ended_us))
            .collect();
        assert_eq!(seen, [(1, Some("a"), 10), (2, Some("b"), 20), (3, None, 30), (4, Some("a"), 40)]);
        assert_eq!(journal.dropped, 0);

        let mut lines = Vec::new();
        journal.write(&mut lines).unwrap();
        assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 5);
        assert_eq!(Journal::read(&lines[..]).unwrap(), journal);
        assert!(Journal::read(&b""[..]).is_err());
    }

    #[test]
    fn what_has_no_room_is_counted_as_dropped() {
        let books = Books::new(2, 3);
        let opened: Vec<bool> = (0..5).map(|n| books.open(n % 2, None, arrival(7)).is_some()).collect();
        assert_eq!(opened, [true, true, true, false, false]);
        assert_eq!((books.read().arrivals.len(), books.read().dropped), (3, 2));
        books.reset();
        assert_eq!(books.read(), Journal::default());
    }

    #[test]
    fn a_request_open_across_a_reset_ends_nobody_elses_line() {
        let books = Books::new(1, 3);
        let old = books.open(0, None, arrival(1)).unwrap();
        books.reset();
        books.open(0, None, arrival(2)).unwrap();
        books.close(0, old, |arrival| arrival.ended_us = 5);
        assert_eq!(books.read().arrivals, [arrival(2)]);
    }
}
