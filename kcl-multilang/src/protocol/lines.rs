/// The longest line that can be a message. The longest that a library writes has a sequence number
/// of 56 digits; what is longer is output of the user's code.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Splits what a child writes into lines.
///
/// The pieces that a pipe gives end anywhere. A line that is too long is passed over, however long
/// it is, without being kept.
#[derive(Debug, Default)]
pub struct Lines {
    /// What has come of a line that has not ended.
    begun: Vec<u8>,
    /// Whether that line is too long already.
    is_too_long: bool,
}

/// A line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The beginning of one that is longer than [`LONGEST_LINE`].
    TooLong(&'a [u8]),
}

impl Lines {
    /// Takes the next piece, and passes on each line that ends in it.
    pub fn take(&mut self, mut piece: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, rest) = (&piece[..end], &piece[end + 1..]);
            piece = rest;
            // The usual case: the line is whole in this piece, and is not copied.
            if self.begun.is_empty() && line.len() <= LONGEST_LINE {
                each(Line::Whole(line));
            } else {
                self.keep(line);
                self.end(&mut each);
            }
        }
        self.keep(piece);
    }

    /// Nothing more comes: passes on a last line that has no end.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.begun.is_empty() {
            self.end(&mut each);
        }
    }

    /// What has come of a line that has not ended, taken as if it were one. For text that is shown
    /// to people, and must not wait for an end that may never come.
    pub fn take_begun(&mut self, mut each: impl FnMut(Line<'_>)) {
        self.finish(&mut each);
    }

    /// Whether a line has begun and not ended.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Adds to the line that has begun, as far as it may be long. What is beyond that is forgotten.
    fn keep(&mut self, part: &[u8]) {
        let room = LONGEST_LINE - self.begun.len();
        self.is_too_long |= part.len() > room;
        self.begun.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// Passes the line that has begun on, and begins the next one. The buffer is kept.
    fn end(&mut self, each: &mut impl FnMut(Line<'_>)) {
        each(if self.is_too_long {
            Line::TooLong(&self.begun)
        } else {
            Line::Whole(&self.begun)
        });
        self.begun.clear();
        self.is_too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<(bool, usize, Vec<u8>)> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        let mut each = |line: Line<'_>| {
            seen.push(match line {
                Line::Whole(text) => (true, text.len(), text[..text.len().min(20)].to_vec()),
                Line::TooLong(text) => (false, text.len(), text[..text.len().min(20)].to_vec()),
            });
        };
        for piece in pieces {
            lines.take(piece, &mut each);
        }
        lines.finish(&mut each);
        seen
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let long = vec![b'x'; 3 * LONGEST_LINE];
        let just = vec![b'y'; LONGEST_LINE];
        assert_eq!(
            all(&[b"a", b"b\n\n", &long, &long, b"\nc\n", &just, b"\nd"]),
            [
                (true, 2, b"ab".to_vec()),
                (true, 0, Vec::new()),
                (false, LONGEST_LINE, vec![b'x'; 20]),
                (true, 1, b"c".to_vec()),
                (true, LONGEST_LINE, vec![b'y'; 20]),
                (true, 1, b"d".to_vec()),
            ]
        );
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[ab\n]{0,200}", cuts in prop::collection::vec(0..200_usize, 0..9)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            let mut expected: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let seen: Vec<Vec<u8>> = all(&pieces).into_iter().map(|(_, _, text)| text).collect();
            let expected: Vec<Vec<u8>> = expected.into_iter().map(|line| line[..line.len().min(20)].to_vec()).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
