/// Follows where the messages of an event stream begin and end, through pieces that are cut
/// anywhere.
///
/// A message begins with its length in bytes, in 32 bits, which counts these four too. What cannot
/// be one is followed no further: whoever decodes it will say what is wrong.
#[derive(Debug, Default)]
pub(super) struct MessageScanner {
    /// As much of the current message's length as has passed.
    length: [u8; LENGTH],
    /// Bytes of the current message that have passed; none between two.
    passed: usize,
    /// A length was impossible: where the next message begins cannot be known any more, so
    /// everything passes.
    lost: bool,
}

/// The bytes of a message's length.
const LENGTH: usize = size_of::<u32>();
/// A message without headers and payload: the two lengths and the two checksums.
const SHORTEST: usize = 16;

impl MessageScanner {
    /// How long the message is that goes on, or begins, with this piece. Nothing when that is not
    /// there yet, or is none.
    pub(super) fn length(&self, piece: &[u8]) -> Option<usize> {
        if self.lost {
            return None;
        }
        let mut length = self.length;
        if let Some(missing) = length.get_mut(self.passed..) {
            missing.copy_from_slice(piece.get(..missing.len())?);
        }
        Some(u32::from_be_bytes(length) as usize).filter(|length| *length >= SHORTEST)
    }

    /// How many bytes of this piece belong to the current message, or to the one that begins. They
    /// have passed then.
    pub(super) fn pass(&mut self, piece: &[u8]) -> usize {
        let length = self.length(piece);
        if let Some(missing) = self.length.get_mut(self.passed..) {
            let there = missing.len().min(piece.len());
            missing[..there].copy_from_slice(&piece[..there]);
            if length.is_none() {
                self.lost |= there == missing.len();
                self.passed += there;
                return piece.len();
            }
        }
        let Some(length) = length else {
            return piece.len();
        };
        let passing = piece.len().min(length - self.passed);
        self.passed += passing;
        if self.passed == length {
            *self = Self::default();
        }
        passing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let mut message = length.to_be_bytes().to_vec();
        message.resize(length as usize, 0xff);
        message
    }

    /// The lengths of the messages that were seen to begin, and where, when the stream comes in
    /// pieces of these sizes.
    fn follow(stream: &[u8], mut sizes: impl FnMut() -> usize) -> Vec<(usize, usize)> {
        let (mut borders, mut at, mut begun, mut began) =
            (MessageScanner::default(), 0, Vec::new(), 0);
        while at < stream.len() {
            let mut piece = &stream[at..stream.len().min(at + sizes())];
            while !piece.is_empty() {
                if let Some(length) = borders.length(piece)
                    && begun.last() != Some(&(began, length))
                {
                    begun.push((began, length));
                }
                let passed = borders.pass(piece);
                assert!(passed > 0);
                at += passed;
                piece = &piece[passed..];
                if borders.passed == 0 {
                    began = at;
                }
            }
        }
        begun
    }

    proptest! {
        #[test]
        fn messages_are_found_with_their_lengths_at_any_cut(
            lengths in prop::collection::vec(16_u32..80, 1..20),
            sizes in prop::collection::vec(1_usize..50, 1..30),
        ) {
            let stream: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let mut sizes = sizes.into_iter().cycle();
            let mut at = 0;
            let expected: Vec<_> = lengths.iter().map(|length| {
                at += *length as usize;
                (at - *length as usize, *length as usize)
            }).collect();
            prop_assert_eq!(&follow(&stream, || sizes.next().unwrap()), &expected);
            prop_assert_eq!(&follow(&stream, || 1), &expected);
        }
    }

    #[test]
    fn a_length_that_has_come_in_parts_is_known_with_its_last_byte() {
        let mut borders = MessageScanner::default();
        for (byte, known) in [(0, None), (1, None), (0, None), (0, Some(0x1_0000))] {
            assert_eq!(borders.length(&[byte]), known);
            assert_eq!(borders.pass(&[byte]), 1);
        }
        assert_eq!(borders.length(&[]), Some(0x1_0000), "in the midst of it");
    }

    #[test]
    fn an_impossible_length_passes_and_ends_the_scan() {
        let mut stream = message(20);
        stream.extend([0, 0, 0, 15]);
        stream.extend(message(1000));
        let mut borders = MessageScanner::default();
        assert_eq!(borders.pass(&stream), 20);
        assert_eq!(borders.length(&stream[20..]), None);
        assert_eq!(borders.pass(&stream[20..]), 1004);
        assert_eq!(
            (borders.length(&message(50)), borders.pass(&message(50))),
            (None, 50)
        );
        let mut borders = MessageScanner::default();
        assert_eq!([0_u8; 4].map(|byte| borders.pass(&[byte])), [1; 4]);
        assert_eq!(
            (borders.length(&message(50)), borders.pass(&message(50))),
            (None, 50)
        );
    }

    #[test]
    fn a_message_of_four_gigabytes_is_one() {
        let mut borders = MessageScanner::default();
        assert_eq!(borders.length(&[0xff; 9]), Some(u32::MAX as usize));
        assert_eq!(borders.pass(&[0xff; 9]), 9);
        assert_eq!(borders.length(&[1]), Some(u32::MAX as usize));
    }
}
