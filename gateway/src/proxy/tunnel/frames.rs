//! WebSocket frames, as far as their lengths go (RFC 6455 section 5.2).

/// The longest header of a frame: two bytes, a length of eight, a masking key.
const HEADER_MAX: usize = 14;

/// The opcode of the last frame of a direction.
const CLOSE: u8 = 8;

/// Follows the frames of one direction. Knows how long a message is, never what it says: reserved bits, unknown
/// opcodes and masks are between the two ends.
pub struct Frames {
    message_max: u64,
    header: [u8; HEADER_MAX],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the frame that are still to come.
    payload: u64,
    /// Length of the message so far.
    message: u64,
    /// A close has begun: it is the last frame (section 5.5.1).
    closing: bool,
}

impl Frames {
    /// Of messages of at most so many bytes; they may come in several frames.
    pub fn new(message_max: u64) -> Frames {
        Frames { message_max, header: [0; HEADER_MAX], have: 0, payload: 0, message: 0, closing: false }
    }

    /// Whether a frame of somebody else's may stand here.
    pub fn between_two(&self) -> bool {
        self.have == 0 && self.payload == 0
    }

    /// Whether the last frame has come, whole.
    pub fn closed(&self) -> bool {
        self.closing && self.payload == 0
    }

    /// Follows the next `bytes`; none of those after the last frame.
    ///
    /// # Errors
    /// How many of them stand before the frame with which its message gets too long.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let (mut at, mut frame) = (0, 0);
        while at < bytes.len() && !self.closed() {
            if self.payload > 0 {
                let here = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.payload -= here as u64;
                at += here;
                continue;
            }
            if self.have == 0 {
                frame = at;
            }
            self.header[self.have] = bytes[at];
            self.have += 1;
            at += 1;
            if self.have == header_len(&self.header[..self.have]) {
                self.begin_frame().map_err(|TooLong| frame)?;
            }
        }
        Ok(())
    }

    /// The header is whole.
    fn begin_frame(&mut self) -> Result<(), TooLong> {
        let header = &self.header[..std::mem::take(&mut self.have)];
        self.payload = payload_len(header);
        let (last, opcode) = (header[0] & 0x80 != 0, header[0] & 0x0f);
        self.closing = opcode == CLOSE;
        if opcode & 0x08 != 0 {
            return Ok(()); // a control frame, which may stand between the frames of a message
        }
        self.message = self.message.saturating_add(self.payload);
        if self.message > self.message_max {
            return Err(TooLong);
        }
        if last {
            self.message = 0;
        }
        Ok(())
    }
}

struct TooLong;

/// How long the header is that begins so; as far as that can be seen, and always more than what is there until then.
fn header_len(header: &[u8]) -> usize {
    let Some(second) = header.get(1) else { return 2 };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 != 0 { 4 } else { 0 };
    2 + length + mask
}

fn payload_len(header: &[u8]) -> u64 {
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    match header[1] & 0x7f {
        126 => big_endian(&header[2..4]),
        127 => big_endian(&header[2..10]),
        short => u64::from(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame as it stands on the wire.
    fn frame(last: bool, opcode: u8, masked: bool, len: usize) -> Vec<u8> {
        let mut wire = vec![if last { 0x80 | opcode } else { opcode }];
        let mask = if masked { 0x80 } else { 0 };
        match len {
            0..=125 => wire.push(mask | len as u8),
            126..=0xffff => {
                wire.push(mask | 126);
                wire.extend((len as u16).to_be_bytes());
            }
            _ => {
                wire.push(mask | 127);
                wire.extend((len as u64).to_be_bytes());
            }
        }
        if masked {
            wire.extend([1, 2, 3, 4]);
        }
        wire.extend(vec![0x81; len]); // what looks like a header, and is none
        wire
    }

    fn follow(frames: &mut Frames, wire: &[u8], piece: usize) -> Result<(), usize> {
        let mut before = 0;
        for bytes in wire.chunks(piece) {
            frames.follow(bytes).map_err(|at| before + at)?;
            before += bytes.len();
        }
        Ok(())
    }

    #[test]
    fn a_message_is_as_long_as_its_frames_together() {
        let wire = [frame(false, 1, true, 60), frame(true, 9, true, 100), frame(true, 0, true, 40)].concat();
        assert_eq!(follow(&mut Frames::new(100), &wire, wire.len()), Ok(()));
        let last = wire.len() - frame(true, 0, true, 40).len();
        assert_eq!(
            follow(&mut Frames::new(99), &wire, wire.len()),
            Err(last),
            "a ping in between counts not"
        );
        let two = [wire.clone(), wire].concat();
        assert_eq!(follow(&mut Frames::new(100), &two, two.len()), Ok(()), "each counts for itself");
    }

    #[test]
    fn a_close_is_the_last_frame_once_it_is_whole() {
        for (close, piece) in [(0, 1), (2, 1), (2, 100), (125, 7)] {
            let mut frames = Frames::new(10);
            let wire = [frame(true, 1, true, 8), frame(true, 8, true, close)].concat();
            follow(&mut frames, &wire[..wire.len() - 1], piece).unwrap();
            assert!(!frames.closed(), "a byte of {close} is missing");
            follow(&mut frames, &wire[wire.len() - 1..], piece).unwrap();
            assert!(frames.closed() && frames.between_two());
            assert_eq!(follow(&mut frames, &frame(true, 1, true, 80)[..9], piece), Ok(()));
            assert!(frames.closed() && frames.between_two(), "what follows it is nobody's frame");
        }
    }

    #[test]
    fn a_length_that_is_a_lie_is_refused_before_it_comes() {
        let header = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(Frames::new(u64::MAX - 1).follow(&header), Err(0));
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_they_are_cut(
            lens in proptest::collection::vec((0usize..70_000, any::<bool>()), 1..5),
            piece in 1usize..5_000,
        ) {
            let mut frames = Frames::new(70_000);
            for (len, masked) in lens {
                let wire = frame(true, 2, masked, len);
                follow(&mut frames, &wire[..wire.len() - 1], piece).unwrap();
                prop_assert!(!frames.between_two());
                follow(&mut frames, &wire[wire.len() - 1..], piece).unwrap();
                prop_assert!(frames.between_two());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(wire in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
            let _ = follow(&mut Frames::new(1 << 20), &wire, piece);
        }
    }
}
