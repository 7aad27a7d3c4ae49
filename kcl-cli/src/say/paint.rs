//! Colours, where they are wanted.
//!
//! The names are meanings and not colours, so that good and bad look the same in every command.

use std::io::IsTerminal as _;

/// Colours for standard output: whether it takes any. It is asked for once per command and passed
/// on, so that one answer is coloured throughout or not at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

/// Whether colours are wanted: only on a terminal, and not if `NO_COLOR` has any value
/// (<https://no-color.org>). The log on standard error asks the same question of its own stream.
pub(super) fn wanted(is_terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && !refused
}

impl Paint {
    /// The colours that standard output takes.
    pub(crate) fn of_output() -> Self {
        Self(wanted(std::io::stdout().is_terminal()))
    }

    /// Puts the text between an escape sequence of ANSI and its end, or leaves it alone.
    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// For names and headings: what the eye looks for.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// For what is over or beside the point, such as a finished shard.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// For what is as it should be: green.
    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what needs somebody: red.
    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// For what passes or is not known yet: yellow. A hand-over is under way, or a worker is not
    /// judged.
    pub(crate) fn doubtful(self, text: &str) -> String {
        self.with("33", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Escape sequences in a file or a pipe break `grep` and `awk`.
    #[test]
    fn nothing_is_coloured_where_that_is_not_wanted() {
        assert_eq!(Paint(false).bad("x"), "x");
        assert_eq!(Paint(true).bad("x"), "\x1b[31mx\x1b[0m");
        assert!(!wanted(false));
    }
}
