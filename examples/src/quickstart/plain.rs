/// Lines, words, and a checksum of the lines in their order: what a plain pass over a text finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many lines.
    pub lines: u64,
    /// How many words, which white space separates.
    pub words: u64,
    /// The CRC-32 of the lines, each with a line feed: another order is another checksum.
    pub crc: u32,
}

impl Count {
    /// The plain pass: the first `lines` lines of a text, or fewer if it has fewer.
    #[must_use]
    pub fn of(text: &str, lines: u64) -> Self {
        let mut count = Self::default();
        for line in text
            .lines()
            .take(usize::try_from(lines).unwrap_or(usize::MAX))
        {
            count.add(line);
        }
        count
    }

    /// One more line at the end.
    pub fn add(&mut self, line: &str) {
        self.lines += 1;
        self.words += words(line);
        let mut crc = crc32fast::Hasher::new_with_initial(self.crc);
        crc.update(line.as_bytes());
        crc.update(b"\n");
        self.crc = crc.finalize();
    }
}

/// The words of a line.
pub(super) fn words(line: &str) -> u64 {
    line.split_whitespace().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_words_and_order_are_what_counts() {
        let count = Count::of("one two\n\nthree\r\n", u64::MAX);
        assert_eq!((count.lines, count.words), (3, 3));
        assert_eq!(count.crc, crc32fast::hash(b"one two\n\nthree\n"));
        assert_ne!(Count::of("a\nb", 2), Count::of("b\na", 2));
        assert_eq!(Count::of("a\nb", 1), Count::of("a", 9));
        assert_eq!(Count::of("", 9), Count::default());
    }
}
