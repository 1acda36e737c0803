//! What the two programs say of themselves: manual pages, and completions for shells.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// For which shell the command line is completed.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

impl CompletionsArguments {
    /// Prints what completes the command line of `program`.
    pub(crate) fn run(&self, mut program: clap::Command) -> io::Result<()> {
        let name = program.get_name().to_owned();
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut text);
        io::stdout().write_all(&text)
    }
}

/// Where manual pages go.
#[derive(Debug, Clone, Args)]
pub(crate) struct ManArguments {
    /// The folder, which is made if it is not there.
    folder: PathBuf,
}

impl ManArguments {
    /// Writes a page for `program` and one for each of its commands.
    pub(crate) fn run(&self, program: clap::Command) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        clap_mangen::generate_to(program, &self.folder)
    }
}
