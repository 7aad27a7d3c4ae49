use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Lease, Token};
use crate::runtime::random_token;

/// The tenancies that this process has begun, or tried to begin, and has not seen the end of.
///
/// They tell a row that names this worker because it works on it, or is just taking it, from one that names it because of a write
/// that landed late or a tenancy that was given up unsettled: only the latter is free.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun(Arc<Mutex<BTreeMap<Token, Standing>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is being begun, or is worked on.
    Working,
    /// Nobody works on it, and a row may still bear it.
    Abandoned,
}

impl Begun {
    /// A fresh tenancy: known as ours from now on, also if the write that begins it lands late.
    pub(crate) fn begin(&self) -> Token {
        let token = random_token();
        self.lock().insert(token.clone(), Standing::Working);
        token
    }

    /// Nobody works on it any more, and what became of its last write is not known.
    pub(crate) fn abandon(&self, token: &Token) {
        if let Some(standing) = self.lock().get_mut(token) {
            *standing = Standing::Abandoned;
        }
    }

    /// No row can bear it any more.
    pub(crate) fn forget(&self, token: &Token) {
        self.lock().remove(token);
    }

    /// Whether this process began the tenancy of the row.
    pub(crate) fn is_ours(&self, row: &Lease) -> bool {
        row.token.as_ref().is_some_and(|token| self.lock().contains_key(token))
    }

    /// Whether it did, and does not work on it any more.
    pub(crate) fn is_abandoned(&self, row: &Lease) -> bool {
        row.token.as_ref().is_some_and(|token| self.lock().get(token) == Some(&Standing::Abandoned))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Token, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
