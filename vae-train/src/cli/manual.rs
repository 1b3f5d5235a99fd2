//! `vae-train manual`: what a package of the program installs beside it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Command, ValueEnum as _};
use clap_complete::Shell;

use super::context::Context;

/// Write manual pages and completions for bash, zsh, fish, elvish and PowerShell, from the words of --help.
#[derive(Debug, clap::Args)]
#[command(
    hide = true,
    after_help = "Examples:
  vae-train manual /usr/local/share/vae-train"
)]
pub(super) struct Manual {
    /// Folder to write `man/` and `completions/` into.
    folder: PathBuf,
}

/// What was written.
#[derive(Debug, serde::Serialize)]
struct Written {
    files: Vec<PathBuf>,
}

impl Manual {
    pub(super) fn run(self, context: Context, mut program: Command) -> Result<()> {
        let [manual, completions] = ["man", "completions"].map(|name| self.folder.join(name));
        for folder in [&manual, &completions] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        // A page for `help fit` beside that for `fit` would say nothing.
        let pages = program.clone().disable_help_subcommand(true);
        let mut files = Vec::new();
        for shell in Shell::value_variants() {
            files.push(clap_complete::generate_to(*shell, &mut program, "vae-train", &completions)?);
        }
        clap_mangen::generate_to(pages, &manual).with_context(|| manual.display().to_string())?;
        for page in fs::read_dir(&manual)? {
            files.push(page?.path());
        }
        files.sort();
        let text = files.iter().map(|file| format!("{}\n", file.display())).collect::<String>();
        context.print(&Written { files }, &text)
    }
}
