//! What is made of the command line itself: completions and the man pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::{Ended, Failure};

/// Writes the completions of a shell to standard output.
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

/// Writes the man page to standard output, or one for each command into a folder.
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
    pub(crate) fn run(&self, mut command: Command) -> Result<Ended, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "kcl", &mut text);
        write(&text)
    }
}

impl ManOptions {
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

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(|error| Failure::new("cannot write the man page", error))?;
    Ok(text)
}

fn write(text: &[u8]) -> Result<Ended, Failure> {
    io::Write::write_all(&mut io::stdout().lock(), text)
        .map_err(|error| Failure::new("cannot write to standard output", error))?;
    Ok(Ended::Well)
}

fn write_file(path: &Path, text: &[u8]) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::new(format!("cannot write {}", path.display()), error))
}
