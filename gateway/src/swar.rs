//! Questions to eight bytes at a time, in plain integers ("SIMD within a register").
//!
//! Header values, paths and names are some ten to sixty bytes long: too short for what vector code costs to
//! start, and too long to look at byte by byte.

/// Is there such a byte? `maybe` looks at eight at a time and is not zero if there may be one among them; `such`
/// has the last word.
#[inline]
pub fn any(bytes: &[u8], maybe: impl Fn(u64) -> u64, such: impl Fn(u8) -> bool) -> bool {
    let suspect = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes.last_chunk::<8>()) {
        (_, _, Some(last)) => {
            let (words, _) = bytes.as_chunks::<8>();
            let last = maybe(u64::from_ne_bytes(*last)); // in part again what `words` had, but no loop over the rest
            words.iter().fold(last, |found, word| found | maybe(u64::from_ne_bytes(*word))) != 0
        }
        (Some(first), Some(last), None) => {
            let halves = [u32::from_ne_bytes(*first), u32::from_ne_bytes(*last)].map(u64::from);
            maybe(halves[0] << 32 | halves[1]) != 0
        }
        _ => true,
    };
    suspect && bytes.iter().any(|&byte| such(byte))
}

/// Where the first such byte is. In what `maybe` makes of eight bytes, the lowest bit that is set stands in the
/// byte of the first of them; `below`, `has` and what they give together with `|` are like that.
#[inline]
pub fn first(bytes: &[u8], maybe: impl Fn(u64) -> u64, such: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let found = maybe(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(8 * i + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&byte| such(byte)).map(|at| 8 * words.len() + at)
}

/// This byte eight times.
#[inline]
pub const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Not zero exactly if one of eight bytes is below `limit`, which is at most 0x80.
#[inline]
pub const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(every(limit)) & !word & every(0x80)
}

/// Not zero exactly if one of eight bytes is `byte`.
#[inline]
pub const fn has(word: u64, byte: u8) -> u64 {
    below(word ^ every(byte), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut word = [b'z'; 8];
                word[at] = byte;
                let word = u64::from_ne_bytes(word);
                assert_eq!(below(word, b' ') != 0, byte < b' ', "{byte} at {at}");
                assert_eq!(has(word, b'"') != 0, byte == b'"', "{byte} at {at}");
            }
        }
    }

    #[test]
    fn the_one_byte_looked_for_is_found_at_any_length() {
        for len in 0..40 {
            let quote = |bytes: &[u8]| {
                let (maybe, such) = (|word| has(word, b'"'), |byte| byte == b'"');
                assert_eq!(any(bytes, maybe, such), first(bytes, maybe, such).is_some(), "{bytes:?}");
                first(bytes, maybe, such)
            };
            let mut bytes = vec![b'z'; len];
            assert_eq!(quote(&bytes), None, "{len}");
            for at in (0..len).rev() {
                bytes[at] = b'"';
                assert_eq!(quote(&bytes), Some(at), "{at} of {len}");
                bytes[at] |= 1; // the neighbour that a borrow from `"` would reach
            }
        }
    }
}
