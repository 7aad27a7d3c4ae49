use std::sync::atomic::{AtomicU8, Ordering};

use super::super::wire::Form;

/// Whether pages are asked for in CBOR, by what the endpoint has answered so far.
#[derive(Debug)]
pub(super) struct CborUse(AtomicU8);

/// It is asked for, and no page has come in it yet.
const UNPROVEN: u8 = 0;
/// A page has come in it.
const PROVEN: u8 = 1;
/// It is not asked for.
const UNUSED: u8 = 2;

impl CborUse {
    /// `is_wanted` is false where the environment switches CBOR off.
    pub(super) const fn new(is_wanted: bool) -> Self {
        Self(AtomicU8::new(if is_wanted { UNPROVEN } else { UNUSED }))
    }

    /// The form of the next call. CBOR while it is not known whether the endpoint has it: the
    /// service does, and only emulators do not.
    pub(super) fn form(&self) -> Form {
        match self.0.load(Ordering::Relaxed) {
            UNUSED => Form::Json,
            _ => Form::Cbor,
        }
    }

    /// Whether a page has come in CBOR. From then on a refusal of a call in CBOR is meant, and not
    /// due to its form.
    pub(super) fn is_proven(&self) -> bool {
        self.0.load(Ordering::Relaxed) == PROVEN
    }

    /// A page has come in CBOR.
    pub(super) fn prove(&self) {
        self.change(PROVEN);
    }

    /// The endpoint has answered in JSON what it did not in CBOR. Says whether that is news.
    pub(super) fn give_up(&self) -> bool {
        self.change(UNUSED)
    }

    /// Settles the question, if it is still open. Shards ask at the same time: the first to learn
    /// the answer decides, and only that one tells of it. Relaxed: nothing else is published with
    /// it.
    fn change(&self, to: u8) -> bool {
        let changed = self
            .0
            .compare_exchange(UNPROVEN, to, Ordering::Relaxed, Ordering::Relaxed);
        changed.is_ok()
    }
}

/// Whether the environment leaves CBOR on: `AWS_CBOR_DISABLE` switches it off in version 1 of the
/// SDK for Java, `CBOR_ENABLED=false` in version 2. Emulators tell their users to set either.
pub(in crate::stream::kinesis) fn is_cbor_wanted(
    variable: impl Fn(&str) -> Option<String>,
) -> bool {
    let says = |value: &str, words: &[&str]| {
        let value = value.trim().to_ascii_lowercase();
        words.contains(&&*value)
    };
    let off = ["false", "0"];
    let disabled = variable("AWS_CBOR_DISABLE").is_some_and(|value| !says(&value, &off));
    let not_enabled = variable("CBOR_ENABLED").is_some_and(|value| says(&value, &off));
    !disabled && !not_enabled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_variable_of_the_java_sdks_switches_cbor_off() {
        let wanted = |name: &str, value: &str| {
            is_cbor_wanted(|asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(is_cbor_wanted(|_| None));
        for value in ["", "true", "1", "True"] {
            assert!(!wanted("AWS_CBOR_DISABLE", value), "{value}");
        }
        for value in ["false", "0", "FALSE"] {
            assert!(wanted("AWS_CBOR_DISABLE", value), "{value}");
            assert!(!wanted("CBOR_ENABLED", value), "{value}");
        }
        for value in ["true", "", "1"] {
            assert!(wanted("CBOR_ENABLED", value), "{value}");
        }
    }

    #[test]
    fn who_has_answered_in_cbor_once_is_asked_in_it_for_good() {
        let cbor = CborUse::new(true);
        assert_eq!((cbor.form(), cbor.is_proven()), (Form::Cbor, false));
        cbor.prove();
        assert!(!cbor.give_up());
        assert_eq!((cbor.form(), cbor.is_proven()), (Form::Cbor, true));
        let cbor = CborUse::new(true);
        assert!(cbor.give_up() && !cbor.give_up());
        cbor.prove();
        assert_eq!((cbor.form(), cbor.is_proven()), (Form::Json, false));
        assert_eq!(CborUse::new(false).form(), Form::Json);
    }
}
