use std::io::{self, IsTerminal, stdin};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// The keys of a terminal, each as it is pressed. The terminal is as it was when this is dropped.
#[derive(Debug)]
pub(super) struct TerminalKeys {
    before: Termios,
}

impl TerminalKeys {
    /// Takes keys from now on. Nothing where standard input or error is no terminal.
    ///
    /// # Errors
    /// The terminal refuses.
    pub(super) fn open() -> io::Result<Option<Self>> {
        if !stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut modes = before.clone();
        // Ctrl-C stays a signal.
        modes
            .local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read gives what there is, at once.
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        Ok(Some(Self { before }))
    }

    /// A key that was pressed and not taken yet. Does not wait.
    #[must_use]
    pub(super) fn pressed(&self) -> Option<char> {
        let mut byte = [0];
        matches!(rustix::io::read(stdin(), &mut byte), Ok(1)).then(|| char::from(byte[0]))
    }
}

impl Drop for TerminalKeys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
