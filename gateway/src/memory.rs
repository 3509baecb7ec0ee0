//! How much memory the program takes from the system, and what it gives back.

/// Has memory come in pages of 4 KiB, from now on and for the whole process.
///
/// The allocator would ask for pages of 2 MiB, of which one that is in use in part is not given back (ARCHITECTURE.md has
/// the figures). What is in memory when this is called stays as it is, so it is called before the allocator has any: it
/// neither allocates nor needs anything of the standard library. Where the kernel knows no huge pages, nothing changes.
pub extern "C" fn small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Gives what this thread has freed back to the system.
///
/// Compiling a policy takes several times the memory that its snapshot keeps, and the allocator holds on to it for the
/// next time, which may be days away. Takes milliseconds: call it off the workers. Does nothing in a program that has
/// another allocator.
pub fn give_back() {
    // SAFETY: may be called at any time; it touches only memory that nobody uses.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
