//! `sluice completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::exit::{Exit, Failure};
use crate::output::data;

/// Print what a shell needs to complete commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice completions fish > ~/.config/fish/completions/sluice.fish"))]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "sluice", &mut script);
        data(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
