/// Lines, words, and a checksum of the lines in order: the result of a plain pass over a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many lines.
    pub lines: u64,
    /// How many words, separated by white space.
    pub words: u64,
    /// The CRC-32 of the lines, each with a line feed, so that another order gives another
    /// checksum.
    pub crc: u32,
}

impl Count {
    /// The plain pass over the first `lines` lines of a text, or all of them if it has fewer.
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

    /// Adds a line at the end.
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
