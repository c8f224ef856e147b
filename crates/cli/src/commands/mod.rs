//! The commands, a file each.

mod act;
mod audit;
mod check;
mod completions;
mod demo;
mod file;
mod follow;
mod history;
mod pause;
mod promote;
mod proxy;
mod report;
mod resume;
mod rollback;
mod schema;
mod start;
mod status;
mod up;
mod weights;

use clap::{Parser, Subcommand};

use crate::exit::{CODES, Exit, Failure};

/// Progressive delivery in one binary: ship a version a little at a time, go on when the
/// evidence says so, go back when it must.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100, after_help = CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Check(check::Args),
    Start(start::Args),
    Status(status::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Promote(promote::Args),
    #[command(alias = "abort")]
    Rollback(rollback::Args),
    Weights(weights::Args),
    History(history::Args),
    Report(report::Args),
    Audit(audit::Args),
    Proxy(proxy::Args),
    Schema(schema::Args),
    Demo(demo::Args),
    #[command(hide = true)]
    DemoService(demo::ServiceArgs),
    #[command(hide = true)]
    DemoLoad(demo::LoadArgs),
    Completions(completions::Args),
}

/// Does what was asked for.
///
/// # Errors
/// What the command says.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    // Fails only where a provider is set already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::ours)?;
    let result = runtime.block_on(perform(cli.command));
    // A thread that still reads the terminal must not hold the exit up.
    runtime.shutdown_background();
    result
}

async fn perform(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Up(args) => args.run().await,
        Command::Check(args) => args.run(),
        Command::Start(args) => args.run().await,
        Command::Status(args) => args.run().await,
        Command::Pause(args) => args.run().await,
        Command::Resume(args) => args.run().await,
        Command::Promote(args) => args.run().await,
        Command::Rollback(args) => args.run().await,
        Command::Weights(args) => args.run().await,
        Command::History(args) => args.run().await,
        Command::Report(args) => args.run().await,
        Command::Audit(args) => args.run(),
        Command::Proxy(args) => args.run().await,
        Command::Schema(args) => args.run(),
        Command::Demo(args) => args.run().await,
        Command::DemoService(args) => args.run().await,
        Command::DemoLoad(args) => args.run().await,
        Command::Completions(args) => args.run(),
    }
}

/// The end of a command's help: an example, and the exit codes.
fn help(example: &str) -> String {
    format!("Example:\n  {}\n\n{CODES}", example.replace('\n', "\n  "))
}
