use std::fmt::{self, Write};

use crate::sim::runtime::At;

use super::Event;

/// An event with its number and its time.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) at: At,
    pub(crate) event: Event,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7} {:>9} {:?}",
            self.number,
            self.at.to_string(),
            self.event
        )
    }
}

/// Everything that happened, in order. Only ever appended to.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Only where somebody is to read it: a day of a large fleet has millions of events.
    kept: Option<String>,
    next: u64,
}

impl History {
    /// With its text, a line an event, or without.
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            kept: keep.then(String::new),
            next: 0,
        }
    }

    /// Adds an event.
    pub(crate) fn add(&mut self, at: At, event: Event) -> Entry {
        let entry = Entry {
            number: self.next,
            at,
            event,
        };
        self.next += 1;
        if let Some(text) = &mut self.kept {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{entry}");
        }
        entry
    }

    /// The number of the next event: how many there were.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next
    }

    /// What was kept.
    pub(crate) fn text(&mut self) -> Option<String> {
        self.kept.take()
    }
}
