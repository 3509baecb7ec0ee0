//! What the levels take in memory, counted by the allocator.

use super::setting::{AMPLE, apply, at, rpm, tenants, tpm};
use super::table::Row;
use pangu_gateway::limit::{Guard, Per, Registry};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, counted.
pub struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE_BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands every call on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

/// How often memory was asked for.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Bytes that `make` leaves allocated.
fn grown<T>(make: impl FnOnce() -> T) -> (u64, T) {
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    let made = make();
    (LIVE_BYTES.load(Ordering::Relaxed).saturating_sub(before), made)
}

pub fn rows() -> Vec<Row> {
    const TENANTS: usize = 100_000;
    let plan = [
        (Per::Tenant, rpm(AMPLE)),
        (Per::Tenant, tpm(AMPLE)),
        (Per::User, rpm(AMPLE)),
        (Per::User, tpm(AMPLE)),
    ];
    let measure = |users| {
        let spec = tenants(TENANTS, users, &plan); // names are the policy's: they are shared
        let registry = Registry::default();
        let (bytes, in_force) = grown(|| {
            let applied = apply(&registry, &spec);
            applied.tenants.into_iter().map(|enrolled| enrolled.tenant).collect::<Vec<_>>()
        });
        let handles = in_force.capacity() * size_of::<usize>();
        bytes - handles as u64
    };
    let (alone, with_one, with_ten) = (measure(0), measure(1), measure(10));
    let users = (with_ten - alone) / (10 * TENANTS as u64);
    vec![
        Row::bytes("a tenant without users, limited in requests and tokens", alone / TENANTS as u64)
            .at_most("384 B"),
        Row::bytes("a tenant with one user, both so", with_one / TENANTS as u64),
        Row::bytes("a user among ten", users),
        Row::mb("100,000 tenants", alone).at_most("38 MB"),
        Row::mb("1,000,000 users", with_ten - alone).at_most("60 MB"),
        guard(),
    ]
}

fn guard() -> Row {
    let (bytes, guard) = grown(Guard::default);
    let (more, ()) = grown(|| {
        for i in 0..10_000_000u32 {
            let _ =
                guard.admit(Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761)).into(), 100, at(u64::from(i)));
        }
    });
    assert_eq!(more, 0, "ten million strangers grow the guard");
    Row::mb("flood guard, before and after 10,000,000 addresses", bytes).at_most("2 MB")
}
