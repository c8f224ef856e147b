//! What a command writes: data on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::{Exit, Failure};

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

/// The option that commands with data share.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// How data is written to standard output.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Format,
}

impl OutputArgs {
    /// Answers what was asked for, which was done: in words, or as a document.
    ///
    /// # Errors
    /// See [`data`].
    pub(crate) fn answer(&self, words: &str, document: &impl Serialize) -> Result<Exit, Failure> {
        match self.output {
            Format::Text => data(words)?,
            Format::Json => json(document)?,
        }
        Ok(Exit::Done)
    }
}

/// Writes `text` and a line feed to standard output.
///
/// # Errors
/// Output that cannot be written, or that nobody reads any more.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// Writes one JSON document to standard output, indented.
///
/// # Errors
/// See [`data`].
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::ours)?;
    data(&text)
}

/// Says `text` on standard error. Where that is closed there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person sits at both ends: nothing is asked, and nothing moves, unless one does.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether standard output takes colour: a terminal, and neither `NO_COLOR` nor a dumb one.
pub(crate) fn stdout_has_colour() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// The same for standard error.
pub(crate) fn stderr_has_colour() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}
