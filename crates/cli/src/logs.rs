//! What long-running commands log, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// What is logged where `RUST_LOG` says nothing.
const DEFAULT: &str = "warn,server=info,store=info,traffic=info,sluice=info";

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// The option of commands that log.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// How lines of the log are written; `RUST_LOG` says which are.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

impl LogArgs {
    /// Starts logging.
    ///
    /// # Errors
    /// A `RUST_LOG` that cannot be understood.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        let filter = match std::env::var("RUST_LOG") {
            Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
                Failure::usage(format!(
                    "read RUST_LOG={text:?}: {error}; allowed: such as info or server=debug"
                ))
            })?,
            _ => EnvFilter::new(DEFAULT),
        };
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let colour = std::io::stderr().is_terminal() && crate::output::stderr_has_colour();
        let started = match self.log_format {
            LogFormat::Text => log.with_ansi(colour).with_target(false).try_init(),
            LogFormat::Json => log.json().try_init(),
        };
        started.map_err(Failure::ours)
    }
}
