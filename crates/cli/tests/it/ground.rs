//! A folder, two free ports and a plan: where one test plays, with real processes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::ports::free_address;

/// The binary under test.
const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");
/// Polls of a condition before it is given up, and the pause between two: 60 s together.
const POLLS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Where one test plays. Everything it started ends with it.
pub(crate) struct Ground {
    folder: TempDir,
    /// What each version holds on to; when it closes, they end.
    _leash: UnixListener,
    /// Where the controller answers.
    pub(crate) api: u16,
    /// Where the proxy takes the service's traffic.
    pub(crate) front: u16,
}

/// A process of ours; ends with the test.
pub(crate) struct Running(pub(crate) Child);

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let leash = UnixListener::bind(folder.path().join("leash")).unwrap();
        let ground = Self {
            folder,
            _leash: leash,
            api: free_address().port(),
            front: free_address().port(),
        };
        fs::write(ground.path("sluice.yaml"), ground.plan()).unwrap();
        ground
    }

    /// A plan whose first stage lasts for longer than any test.
    fn plan(&self) -> String {
        let (front, leash) = (self.front, self.path("leash").display().to_string());
        format!(
            "service: shop\n\
             listen: 127.0.0.1:{front}\n\
             run: {{ command: [{SLUICE:?}, demo-service, --build, \"{{version}}\", --port, \"{{port}}\", --leash, {leash:?}] }}\n\
             health: {{ path: /health, every: 100ms }}\n\
             drain: 1s\n\
             stages:\n\
             \x20 - {{ name: some, traffic: 50%, for: 1h, gates: {{ error_rate: below 5% }} }}\n\
             \x20 - {{ name: all, traffic: 100%, for: 1h, gates: {{ error_rate: below 5% }} }}\n"
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command in this folder, that asks this controller.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SLUICE);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("SLUICE_URL", format!("http://127.0.0.1:{}", self.api))
            .env("SLUICE_STATE", self.path("state"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn sluice(&self, args: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Runs a command that must end well, and reads the JSON it prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.sluice(args);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// Starts a controller and waits until it answers.
    pub(crate) fn up(&self, args: &[&str]) -> Running {
        let listen = format!("127.0.0.1:{}", self.api);
        let mut all = vec!["up", "--listen", &listen, "--proxy-threads", "1"];
        all.extend(args);
        let mut running = self.start("up", &all);
        eventually("the controller answers", || {
            assert!(running.0.try_wait().unwrap().is_none(), "the controller has ended");
            TcpStream::connect(("127.0.0.1", self.api)).is_ok()
        });
        running
    }

    /// Starts a process that stays; what it logs is shown when the test fails.
    pub(crate) fn start(&self, name: &str, args: &[&str]) -> Running {
        let log =
            File::options().append(true).create(true).open(self.path(name).with_extension("log"));
        let mut command = self.command(args);
        Running(command.stdout(Stdio::null()).stderr(log.unwrap()).spawn().unwrap())
    }

    /// The rollout `id`, as programs see it.
    pub(crate) fn rollout(&self, id: &str) -> Value {
        self.json(&["status", id, "--output", "json"])
    }

    /// Releases v1 as the first and v2 into its first stage.
    pub(crate) fn release_two(&self) {
        let first = self.sluice(&["start", "sluice.yaml", "--version", "v1", "--wait"]);
        assert_eq!(first.code, Some(0), "{first:?}");
        let second = self.sluice(&["start", "sluice.yaml", "--version", "v2"]);
        assert_eq!((second.code, second.out.as_str()), (Some(0), "shop-2\n"), "{second:?}");
        eventually("v2 is in its first stage", || self.rollout("shop-2")["state"] == "running");
    }

    /// The processes of stable and canary, as `status` tells them.
    pub(crate) fn pids(&self, id: &str) -> Vec<u32> {
        let rollout = self.rollout(id);
        let tracks = rollout["tracks"].as_array().unwrap();
        let pid = |track: &Value| {
            let text = track["process"].as_str().unwrap();
            let pid = text.split_once("(pid ").and_then(|(_, rest)| rest.strip_suffix(')'));
            pid.unwrap_or_else(|| panic!("no process in {text:?}")).parse().unwrap()
        };
        tracks.iter().map(pid).collect()
    }

    /// The status a user of the service gets; `None` when nothing answers.
    pub(crate) fn visit(&self) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.front)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

impl Running {
    /// Sends a signal, and waits for the end.
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["up.log", "proxy.log"] {
                let log = fs::read_to_string(self.path(name)).unwrap_or_default();
                eprintln!("--- {name}\n{log}");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already needs no ending.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `holds`, within bounds that no healthy machine reaches.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..POLLS {
        if holds() {
            return;
        }
        sleep(PAUSE);
    }
    panic!("never came true: {what}");
}

/// Whether a process runs; one that ended and was not waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
