//! The only file of this crate that draws random numbers. Time comes from a
//! [`Clock`](kcl_core::Clock).
#![expect(clippy::disallowed_methods, reason = "the only file that may use them")]

/// A fresh random value for the change signal: 40 bits, enough to distinguish the last few dozen,
/// and short because a row contains many.
pub(crate) fn signal_value() -> String {
    format!("{:010x}", fastrand::u64(..) & 0xFF_FFFF_FFFF)
}
