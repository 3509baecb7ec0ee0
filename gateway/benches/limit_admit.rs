//! What the limiter costs, in time and in memory; governor beside it. Time is given to both.
//!
//! `cargo bench --bench limit_admit` prints a table, and with `-- --write` also puts it into ARCHITECTURE.md. Before
//! anything is timed it is shown that admission, progress, settlement, the end and a remembered refusal allocate
//! nothing; called otherwise than by `cargo bench`, that is all it does.
#![allow(missing_docs)] // a program

#[path = "limit_admit/memory.rs"]
mod memory;
#[path = "limit_admit/setting.rs"]
mod setting;
#[path = "limit_admit/speed.rs"]
mod speed;
#[path = "limit_admit/table.rs"]
mod table;
#[path = "limit_admit/timing.rs"]
mod timing;

use table::Row;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// The table tells the quickest.
const ROUNDS: usize = 5;

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    speed::nothing_allocates();
    if !asked("--bench") {
        return;
    }
    let quicker = |rows: Vec<Row>, others: Vec<Row>| {
        rows.into_iter().zip(others).map(|(row, other)| row.quicker(other)).collect()
    };
    let rounds = (0..ROUNDS).map(|_| speed::rows());
    let mut rows: Vec<Row> = rounds.reduce(quicker).unwrap_or_default();
    rows.extend(memory::rows());
    let table = table::of(&rows);
    println!("{table}");
    if asked("--write") {
        table::write(&table);
    }
}
