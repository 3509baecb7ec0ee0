//! Short strings in place, for names that come off the wire: never more than `N` bytes, never an allocation.

/// Up to `N` bytes, gathered piece by piece. More than that makes it too long for good, until cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short<const N: usize> {
    len: usize,
    bytes: [u8; N],
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> Short<N> {
    const TOO_LONG: usize = usize::MAX;

    /// Nothing yet.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; N] };

    /// Forgets all.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether nothing was appended.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit; 0 if it is too long already.
    #[inline]
    pub fn room(&self) -> usize {
        N.saturating_sub(self.len)
    }

    /// Appends a piece.
    #[inline]
    pub fn push(&mut self, piece: &[u8]) {
        let end = self.len.saturating_add(piece.len());
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(piece);
                self.len = end;
            }
            None => self.len = Self::TOO_LONG,
        }
    }

    /// All that was appended; `None` if it was too long.
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }

    /// The same as text; `None` if it was too long or is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_none_at_all() {
        let mut short = Short::<4>::EMPTY;
        short.push(b"ab");
        short.push(b"cd");
        assert_eq!(short.as_str(), Some("abcd"));
        short.push(b"");
        assert_eq!(short.as_str(), Some("abcd"));
        short.push(b"e");
        short.push(b"");
        assert_eq!(short.as_bytes(), None);
        short.clear();
        assert_eq!(short.as_str(), Some(""));
        short.push(&[0xe4, 0xb8]);
        assert_eq!((short.as_bytes(), short.as_str()), (Some(&[0xe4, 0xb8][..]), None));
    }
}
