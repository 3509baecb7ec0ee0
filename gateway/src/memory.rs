//! Memory that was needed once.

/// Gives what this thread has freed back to the system.
///
/// Compiling a policy takes several times the memory that its snapshot keeps, and the allocator holds on to it for the
/// next time, which may be days away. Takes milliseconds: call it off the workers. Does nothing in a program that has
/// another allocator.
pub fn give_back() {
    // SAFETY: may be called at any time; it touches only memory that nobody uses.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
