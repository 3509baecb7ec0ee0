//! Is a backend to be had?

/// What is known of a backend's health; shared by all workers.
#[derive(Debug, Default)]
pub struct Health {}

impl Health {
    /// Hot path: the part of its weight that it gets now, in 256ths. 0: nothing; 256: all of it.
    pub fn share(&self, _now_ms: u64) -> u32 {
        256
    }
}
