//! SIGUSR2: the binary that is on disk now is started, to take over.

use std::process::{Command, ExitStatus, Stdio};

/// The option that makes a new process take over.
const UPGRADE: &str = "--upgrade";

/// Starts the program this process was started as, with the same arguments and `--upgrade`. What
/// it is today decides its file: a link is followed again.
pub(super) fn start() {
    let mut args = std::env::args_os();
    let Some(program) = args.next() else { return };
    let mut command = Command::new(&program);
    command.args(args.filter(|arg| arg != UPGRADE)).arg(UPGRADE).stdin(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            tracing::info!(pid = child.id(), "the binary on disk was started to take over");
            // It outlives this process unless it fails before it has taken over.
            std::thread::spawn(move || told(child.wait()));
        }
        Err(error) => {
            let program = program.to_string_lossy();
            tracing::error!(%error, %program, "the binary on disk cannot be started; serving on");
        }
    }
}

fn told(ended: std::io::Result<ExitStatus>) {
    match ended {
        Ok(status) => tracing::error!(%status, "the process that was to take over has ended"),
        Err(error) => tracing::error!(%error, "the process that was to take over is lost"),
    }
}
