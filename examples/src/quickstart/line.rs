use std::fmt;

/// A line of a file, as it is written in a record: `EDITION:NUMBER TEXT`.
///
/// A file that was changed in any other way than by added lines at its end is put again as its next
/// edition, from line 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The edition of the file, from 1.
    pub edition: u32,
    /// The number of the line, from 1.
    pub number: u64,
    /// The line without its end.
    pub text: &'a str,
}

impl<'a> Line<'a> {
    /// Parses the line in a record's data; `None` if another program put the record.
    #[must_use]
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (place, text) = std::str::from_utf8(data).ok()?.split_once(' ')?;
        let (edition, number) = place.split_once(':')?;
        Some(Self {
            edition: edition.parse().ok()?,
            number: number.parse().ok()?,
            text,
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.edition, self.number, self.text)
    }
}
