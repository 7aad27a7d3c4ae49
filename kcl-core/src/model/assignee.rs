use std::fmt;

use super::{Token, WorkerId};

/// The worker that an operator has assigned a lease to: one process of it.
///
/// A process that is started later under the same name is not meant. Otherwise a move that was never
/// made would be made by a restart, days after everybody has forgotten it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Assignee {
    /// Its name.
    pub worker: WorkerId,
    /// The process, as the worker's row names it.
    pub incarnation: Token,
}

impl Assignee {
    /// This process of a worker.
    #[must_use]
    pub const fn new(worker: WorkerId, incarnation: Token) -> Self {
        Self {
            worker,
            incarnation,
        }
    }

    /// Reads it as a table stores it, which is how it is displayed: the incarnation, a space and the
    /// worker. `None` if the text is no such thing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (incarnation, worker) = text.split_once(' ')?;
        let is_whole = !incarnation.is_empty() && !worker.is_empty();
        is_whole.then(|| Self::new(worker.into(), incarnation.into()))
    }
}

impl fmt::Display for Assignee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.incarnation, self.worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again_whatever_the_worker_is_called() {
        let assignee = Assignee::new("a worker of spaces".into(), "4f".into());
        assert_eq!(Assignee::parse(&assignee.to_string()), Some(assignee));
        assert_eq!(Assignee::parse("4f"), None);
        assert_eq!(Assignee::parse(" a"), None);
    }
}
