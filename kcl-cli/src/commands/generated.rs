//! What is generated from the command line itself: shell completions and man pages.
//!
//! They come out of the program and are not files in the tree, so they cannot lag behind the
//! options.
//!
//! A package builds them once: `kcl man --folder` and `kcl completions` need neither a network nor
//! a configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::{Ended, Failure};

/// Writes the completions for a shell to standard output.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl completions bash > ~/.local/share/bash-completion/completions/kcl
  kcl completions zsh > \"${fpath[1]}/_kcl\"
  kcl completions fish > ~/.config/fish/completions/kcl.fish")]
pub(crate) struct CompletionsOptions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the man page to standard output, or one page per command into a folder.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl man | man -l -
  kcl man --folder ~/.local/share/man/man1")]
pub(crate) struct ManOptions {
    /// The folder, which must exist: kcl.1, kcl-status.1 and so on are written there.
    #[arg(long)]
    folder: Option<PathBuf>,
}

impl CompletionsOptions {
    /// Generates into memory first, so that a reader that goes away is an ordinary broken pipe:
    /// clap's generator panics if it cannot write.
    pub(crate) fn run(&self, mut command: Command) -> Result<Ended, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "kcl", &mut text);
        write(&text)
    }
}

impl ManOptions {
    /// Writes `kcl.1`, or with a folder also one page per command, named as `man kcl-status` looks
    /// for it. Pages that exist are replaced: they are generated and hold nobody's work.
    pub(crate) fn run(&self, command: Command) -> Result<Ended, Failure> {
        let Some(folder) = &self.folder else {
            return write(&page(command)?);
        };
        for sub in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let name = format!("kcl-{}", sub.get_name());
            let called = format!("kcl {}", sub.get_name());
            let sub = sub.clone().bin_name(called).display_name(name.clone());
            write_file(&folder.join(format!("{name}.1")), &page(sub)?)?;
        }
        write_file(&folder.join("kcl.1"), &page(command)?)?;
        Ok(Ended::Well)
    }
}

/// One page in roff.
fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(|error| Failure::new("cannot write the man page", error))?;
    Ok(text)
}

/// Writes to standard output as it is: completions must not gain or lose a line. A reader that has
/// gone away is the end and not an error.
fn write(text: &[u8]) -> Result<Ended, Failure> {
    io::Write::write_all(&mut io::stdout().lock(), text)
        .map_err(|error| Failure::new("cannot write to standard output", error))?;
    Ok(Ended::Well)
}

/// Writes a page. An error names its path, because several are written.
fn write_file(path: &Path, text: &[u8]) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::new(format!("cannot write {}", path.display()), error))
}
