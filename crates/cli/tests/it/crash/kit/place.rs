//! A state folder, two ports, and a service of a name of its own.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::ports::free_address;

/// Where one test happens. Its versions end with it, however the test ends.
pub(crate) struct Place {
    folder: TempDir,
    /// Where the controller answers.
    pub(crate) api: SocketAddr,
    /// Where the service's users go.
    pub(crate) front: SocketAddr,
    /// The service; no other test, and no other run of this one, has the same.
    pub(crate) service: String,
    /// Versions hold on to it; it is never accepted from.
    _leash: UnixListener,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        let leash = UnixListener::bind(folder.path().join("leash")).unwrap();
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            folder,
            api: free_address(),
            front: free_address(),
            service: format!("crash-{}-{nth}", std::process::id()),
            _leash: leash,
        }
    }

    /// The folder itself, where plans start from.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The controller's state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A plan for the demo's service; `stages` are lines of YAML. Windows of evidence are as
    /// short as a plan may ask for.
    pub(crate) fn plan(&self, stages: &str) -> String {
        let Self { service, front, .. } = self;
        let program = env!("CARGO_BIN_EXE_sluice");
        let leash = self.path().join("leash");
        let leash = leash.display();
        format!(
            r#"service: {service}
listen: {front}
run:
  command: ["{program}", demo-service, --build, "{{version}}", --port, "{{port}}", --leash, "{leash}"]
health: {{ path: /health, every: 100ms }}
sticky: {{ cookie: user_id }}
drain: 2s
forgive: 100ms
min_requests: 1
stages:
{stages}"#
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["controller.out", "proxy.out"] {
                let said = std::fs::read_to_string(self.path().join(name)).unwrap_or_default();
                eprintln!("--- {name}\n{said}");
            }
        }
    }
}
