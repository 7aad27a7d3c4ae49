use std::ffi::OsString;
use std::io;
use std::process::Command;

/// Becomes a child: asks the system to end this process when the daemon ends, however that happens,
/// and then runs the command in its place. Returns only if that fails.
///
/// The daemon runs its own program for this, because what is done between `fork` and `exec` is
/// unsafe in Rust. `parent` is the process id of the daemon: if this process has another parent by
/// now, the daemon ended before the system was asked.
///
/// # Errors
/// If the command cannot be run.
#[must_use]
pub fn run_as_child(parent: u32, command: &[OsString]) -> io::Error {
    let Some((program, arguments)) = command.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "there is no command");
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            return error.into();
        }
        // Asked after the signal is set: a daemon that ended before would never cause it, and one
        // that ends from here on does.
        let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        if now != Some(parent) {
            return io::Error::other("the daemon has ended");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    let mut command = Command::new(program);
    command.args(arguments);
    run(command)
}

#[cfg(unix)]
fn run(mut command: Command) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    // The process keeps its id and its pipes, so the daemon talks with the command itself.
    command.exec()
}

#[cfg(not(unix))]
fn run(mut command: Command) -> io::Error {
    match command.status() {
        // Without `exec` this process waits in between; killing it does not kill the command.
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
