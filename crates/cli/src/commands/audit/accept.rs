//! `sluice audit accept`.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;
use server::audit::{self, AuditError};

use super::{Log, reads};
use crate::exit::{Exit, Failure};
use crate::output::{self, Format, data};

/// Go on from a damaged log as it is: what is lost stays lost.
///
/// A log that is damaged or has lost its end or its anchor lets nothing advance. Once you have
/// looked at it (`sluice audit verify`) and could not bring back a better copy, this takes what is
/// there for the truth: a rollback among the lost events is forgotten. It says what was wrong and
/// keeps a note of it, with your reason. Stop the controller first.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::commands::help("sluice audit accept --why 'the disk lost the last minute'"))]
pub(super) struct Args {
    #[command(flatten)]
    log: Log,
    /// Why; goes on record.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    why: String,
}

impl Args {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let by = std::env::var("USER").unwrap_or_else(|_| "an operator".to_owned());
        let accepted = audit::accept(&self.log.state, &by, &self.why).map_err(not_accepted)?;
        match (self.log.output.output, accepted) {
            (Format::Json, accepted) => output::json(&json!({ "accepted": accepted }))?,
            (Format::Text, None) => data("the log is whole; there is nothing to accept")?,
            (Format::Text, Some(accepted)) => data(&reads(&accepted))?,
        }
        Ok(Exit::Done)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an error is handed over")]
fn not_accepted(error: AuditError) -> Failure {
    let exit = match &error {
        AuditError::Lease(_) => Exit::Refused,
        AuditError::NoLog(_) | AuditError::Open(_) => Exit::Usage,
        AuditError::Read(_) | AuditError::Note { .. } => Exit::Failed,
    };
    Failure::Because(exit, error.to_string())
}
