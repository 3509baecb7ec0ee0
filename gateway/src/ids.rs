//! Small, `Copy` names for what a snapshot holds, so that the walk never compares strings.

use http::HeaderValue;

/// Index of a route in its snapshot, in the order of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// Index of a caller (a tenant's user) in its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u32);

/// An `X-Request-Id`: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

impl RequestId {
    /// A half that stays and one that counts; the latter is mixed, so that neighbours look unalike.
    pub fn new(seed: u64, count: u64) -> RequestId {
        let mut text = [0; 32];
        text[..16].copy_from_slice(&hex(seed));
        text[16..].copy_from_slice(&hex(mix(seed ^ count)));
        RequestId(text)
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    /// For an answer. Allocates.
    pub fn to_header(self) -> HeaderValue {
        let mut value = HeaderValue::from_bytes(&self.0).expect("hexadecimal digits are a header value");
        // It never comes again: "sensitive" keeps HTTP/2 from putting it into the table of repeated headers, where it
        // would push out those that do, and be compared with all that came before it.
        value.set_sensitive(true);
        value
    }
}

/// A bijection on 64 bits (the finalizer of SplitMix64, Steele et al. 2014): distinct counts stay distinct.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn hex(value: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(value.to_be_bytes()) {
        *pair = HEX[usize::from(byte)];
    }
    text
}

/// The two digits of every byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_request_ids_look_unalike() {
        assert_ne!(mix(1) >> 32, mix(2) >> 32);
        let id = RequestId::new(0x0123_4567_89ab_cdef, 1);
        assert!(id.as_str().starts_with("0123456789abcdef"), "{}", id.as_str());
        assert_ne!(id, RequestId::new(0x0123_4567_89ab_cdef, 2));
        assert_eq!(id.to_header(), id.as_str());
    }
}
