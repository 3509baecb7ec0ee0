//! Chance: random numbers that a seed and a subject decide, whichever thread asks and in whatever order.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Any seed is a good one.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The numbers that belong to one `subject`, such as a request, of a run with this seed.
    pub fn new(seed: u64, subject: u64) -> Chance {
        let seeded = Chance(seed).next();
        Chance(Chance(seeded ^ subject).next())
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly from [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponential with mean 1: the gap between events that know nothing of one another.
    pub fn gap(&mut self) -> f64 {
        -(1.0 - self.unit()).ln() // 1 - [0, 1) is never 0
    }
}
