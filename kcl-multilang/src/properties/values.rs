use std::time::Duration;

/// The values of a file, and what is to be said about them.
pub(super) struct Values<'a> {
    /// Each key once.
    entries: &'a [(&'a str, &'a str)],
    /// In the order in which they came up, for the log and `--dry-run`.
    notes: Vec<String>,
}

impl<'a> Values<'a> {
    /// No key is read yet.
    pub(super) const fn new(entries: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            entries,
            notes: Vec::new(),
        }
    }

    /// Adds something that the user should know and that is no error.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// All that is to be said.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// The value of the key without the blanks around it; `None` if that is nothing.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.find(|other| other == key)
    }

    /// The value of the first such key.
    pub(super) fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let (_, value) = self.entries.iter().find(|(key, _)| wanted(key))?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The value of a key that has no default.
    ///
    /// # Errors
    /// [`Missing`](super::PropertiesError::Missing), with `what` as that which is expected.
    pub(super) fn required(
        &self,
        key: &'static str,
        what: &'static str,
    ) -> Result<String, super::PropertiesError> {
        self.text(key)
            .ok_or(super::PropertiesError::Missing { key, what })
    }

    /// Whether the value is `true`, in any case. Anything else is false, as `Boolean.parseBoolean`
    /// has it.
    pub(super) fn is_true(&self, key: &str) -> bool {
        self.text(key)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A number. One beyond the limits counts as the nearest that is allowed, and what is no number
    /// as nothing: the Java daemon reads it as 0 and passes over it. Both are noted and neither is
    /// an error: a file that starts the Java daemon should start this one.
    pub(super) fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(key)?;
        let Ok(number) = text.parse::<u64>() else {
            self.note(format!(
                "{key} is `{text}`, which is no number: the default counts"
            ));
            return None;
        };
        let nearest = number.clamp(least, most);
        if nearest != number {
            self.note(format!(
                "{key} is {number}: expected {least} to {most}, so {nearest} counts"
            ));
        }
        Some(nearest)
    }

    /// A number of milliseconds: see [`number`](Self::number).
    pub(super) fn millis(&mut self, key: &str, least: u64, most: u64) -> Option<Duration> {
        self.number(key, least, most).map(Duration::from_millis)
    }

    /// A number of seconds, at most a day: see [`number`](Self::number).
    pub(super) fn seconds(&mut self, key: &str) -> Option<Duration> {
        self.number(key, 0, 24 * 3600).map(Duration::from_secs)
    }
}
