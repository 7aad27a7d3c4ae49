use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a connection carries, and whether it may carry more. Its users and its driver share it.
#[derive(Debug)]
pub(super) struct StreamCount(Mutex<LoadState>);

#[derive(Debug)]
struct LoadState {
    /// How many subscriptions have a place.
    places: usize,
    /// No more places than this: ours, or fewer when the server has refused a stream.
    most: usize,
    /// A place was held since the driver asked last.
    used: bool,
    /// Why no more places are given.
    closed: Option<Arc<str>>,
}

impl StreamCount {
    /// Counts as used until the driver has asked once: a new connection is not closed before its
    /// first request.
    pub(super) const fn new(most: usize) -> Self {
        Self(Mutex::new(LoadState {
            places: 0,
            most,
            used: true,
            closed: None,
        }))
    }

    /// Takes a place, if there is one: `allowed` is what the server allows at present.
    pub(super) fn take(&self, allowed: usize) -> bool {
        let mut state = self.state();
        let free = state.closed.is_none() && state.places < state.most.min(allowed);
        if free {
            state.places += 1;
            state.used = true;
        }
        free
    }

    /// A place is free again.
    pub(super) fn give_back(&self) {
        let mut state = self.state();
        state.places = state.places.saturating_sub(1);
    }

    /// The server has refused a stream: it takes fewer than are there, and at least one.
    pub(super) fn refused(&self) {
        let mut state = self.state();
        state.most = state.places.saturating_sub(1).max(1);
    }

    /// No more places are given. The first reason counts.
    pub(super) fn close(&self, why: &str) {
        self.state().closed.get_or_insert_with(|| why.into());
    }

    /// Closes it when no place was held since this was asked last.
    pub(super) fn close_if_unused(&self) -> bool {
        let mut state = self.state();
        let unused = state.places == 0 && !state.used;
        state.used = state.places > 0;
        if unused {
            state.closed.get_or_insert_with(|| "it was not used".into());
        }
        unused
    }

    /// Why no more places are given, or `None` while they are.
    pub(super) fn closed(&self) -> Option<Arc<str>> {
        self.state().closed.clone()
    }

    /// Nothing is left half done where the lock is held, so a panic there spoils nothing.
    fn state(&self) -> MutexGuard<'_, LoadState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_are_given_than_we_want_and_the_server_allows() {
        let load = StreamCount::new(3);
        assert_eq!(
            [2, 2, 2, 100, 100].map(|allowed| load.take(allowed)),
            [true, true, false, true, false]
        );
        load.give_back();
        assert!(load.take(100));
    }

    #[test]
    fn a_refused_stream_lowers_the_limit_but_not_to_nothing() {
        let load = StreamCount::new(50);
        assert!(load.take(100) && load.take(100) && load.take(100));
        load.refused();
        load.give_back();
        assert!(!load.take(100));
        load.give_back();
        assert!(load.take(100));
        let load = StreamCount::new(50);
        assert!(load.take(100));
        load.refused();
        load.give_back();
        assert!(load.take(100));
    }

    #[test]
    fn a_connection_unused_between_two_checks_closes() {
        let load = StreamCount::new(1);
        assert!(!load.close_if_unused());
        assert!(load.take(1));
        assert!(!load.close_if_unused());
        assert!(!load.close_if_unused());
        load.give_back();
        assert!(!load.close_if_unused());
        assert!(load.close_if_unused());
        assert!(!load.take(1));
        assert_eq!(load.closed().as_deref(), Some("it was not used"));
    }
}
