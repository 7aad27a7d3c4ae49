//! The only file of this crate that takes chance from the outside. Time comes from a
//! [`Clock`](kcl_core::Clock).
#![expect(clippy::disallowed_methods, reason = "the one file that may")]

/// A fresh value of the change signal: 40 bits, enough to tell the last few dozen apart, and short
/// because a row holds many.
pub(crate) fn signal_value() -> String {
    format!("{:010x}", fastrand::u64(..) & 0xFF_FFFF_FFFF)
}
