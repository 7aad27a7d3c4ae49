use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decide::fleet::OwnTokens;
use crate::model::{Lease, Token};
use crate::runtime::random_token;

use super::pulse::OwnPulse;

/// The tenancies that this process has begun, or tried to begin, and has not seen the end of.
///
/// They tell a row that names this worker because it works on it, or is just taking it, from one
/// that names it because of a write that landed late or a tenancy that was given up unsettled: only
/// the latter is free.
#[derive(Clone, Debug, Default)]
pub(crate) struct IssuedTokens {
    registry: Arc<Mutex<TokenRegistry>>,
    /// The incarnation that new tokens name.
    pub(crate) pulse: OwnPulse,
}

#[derive(Debug, Default)]
struct TokenRegistry {
    /// All that are known, ended ones included.
    standing: BTreeMap<Token, TokenState>,
    /// The last ones that have ended, the oldest first.
    ended: VecDeque<Token>,
}

/// How many ended tenancies are remembered. More than a worker has leases, as a rule: a reading
/// that shows one is some seconds old.
const REMEMBERED: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenState {
    /// It is being begun, or is worked on.
    Working,
    /// Nobody works on it, and a row may still bear it.
    Abandoned,
}

impl IssuedTokens {
    /// A fresh tenancy: known as ours from now on, also if the write that begins it lands late.
    pub(crate) fn begin(&self) -> Token {
        let token = Token::of_tenancy(self.pulse.now().incarnation(), &random_token());
        self.lock()
            .standing
            .insert(token.clone(), TokenState::Working);
        token
    }

    /// Nobody works on it any more, and what became of its last write is not known.
    pub(crate) fn abandon(&self, token: &Token) {
        if let Some(standing) = self.lock().standing.get_mut(token) {
            *standing = TokenState::Abandoned;
        }
    }

    /// The same of the tenancy that a row bears, if it bears one.
    pub(crate) fn abandon_row(&self, row: &Lease) {
        row.token.iter().for_each(|token| self.abandon(token));
    }

    /// No row holds this token any more. A stale read may still show it; that is no evidence of a
    /// second process with our id.
    pub(crate) fn end(&self, token: &Token) {
        self.abandon(token);
        // An ended token stays known for a while: a scan that began before the release still shows
        // it, and it must not be taken for that of a second process with this worker's id.
        let mut tenancies = self.lock();
        tenancies.ended.push_back(token.clone());
        if tenancies.ended.len() > REMEMBERED
            && let Some(oldest) = tenancies.ended.pop_front()
        {
            tenancies.standing.remove(&oldest);
        }
    }

    /// No row has ever borne it, or will.
    pub(crate) fn forget(&self, token: &Token) {
        self.lock().standing.remove(token);
    }

    /// Held for a look-up, never over an await.
    fn lock(&self) -> MutexGuard<'_, TokenRegistry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnTokens for IssuedTokens {
    fn is_ours(&self, row: &Lease) -> bool {
        row.token
            .as_ref()
            .is_some_and(|token| self.lock().standing.contains_key(token))
    }

    fn owns_name(&self) -> bool {
        self.pulse.now().has_row()
    }

    fn is_abandoned(&self, row: &Lease) -> bool {
        row.token
            .as_ref()
            .is_some_and(|token| self.lock().standing.get(token) == Some(&TokenState::Abandoned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Checkpoint, LeaseKey};

    fn row(token: &Token) -> Lease {
        Lease::new(LeaseKey::single("s"), Checkpoint::Latest).owned_by("me".into(), token.clone())
    }

    #[test]
    fn an_ended_tenancy_is_known_as_ours_for_long_but_not_for_ever() {
        let begun = IssuedTokens::default();
        let first = begun.begin();
        assert!(begun.is_ours(&row(&first)) && !begun.is_abandoned(&row(&first)));
        begun.end(&first);
        assert!(
            begun.is_ours(&row(&first)) && begun.is_abandoned(&row(&first)),
            "nobody works on it"
        );
        for _ in 0..REMEMBERED {
            begun.end(&begun.begin());
        }
        assert!(!begun.is_ours(&row(&first)));
        assert!(
            begun.lock().standing.len() == REMEMBERED && begun.lock().ended.len() == REMEMBERED
        );
    }

    #[test]
    fn what_never_came_about_is_forgotten() {
        let begun = IssuedTokens::default();
        let token = begun.begin();
        begun.forget(&token);
        assert!(!begun.is_ours(&row(&token)));
    }
}
