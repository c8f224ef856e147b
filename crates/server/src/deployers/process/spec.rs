//! A plan's command as meant: the program found, the placeholders filled in.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rollout::plan::Deploy;
use sha2::{Digest, Sha256};

/// Where programs are looked for when nobody says: what POSIX systems start with.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a plan's command cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// There is no first word.
    #[error("the command is empty; its first word must be the program")]
    Empty,
    /// The folder to run in is not there.
    #[error("the directory {} does not exist", .0.display())]
    NoDirectory(PathBuf),
    /// No such file.
    #[error("program `{program}` was not found; looked for {}", list(.looked))]
    NotFound {
        /// The program, as written.
        program: String,
        /// The files that were looked for.
        looked: Vec<PathBuf>,
    },
    /// There is a file, but it may not be run.
    #[error("program {} is not executable ({why})", .path.display())]
    NotExecutable {
        /// The file that was found.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// The file is there but its bytes cannot be read.
    #[error("cannot read program {}: {source}", .path.display())]
    Unreadable {
        /// The file that was found.
        path: PathBuf,
        /// What reading it said.
        source: io::Error,
    },
}

/// A command that can be run.
#[derive(Debug)]
pub(super) struct Spec {
    /// The program's file, absolute.
    pub(super) program: PathBuf,
    /// Every word, the program as written first.
    pub(super) argv: Vec<String>,
    /// The plan's variables.
    pub(super) env: BTreeMap<String, String>,
    /// The folder it runs in, absolute.
    pub(super) directory: PathBuf,
}

impl Spec {
    /// Fills in `version` and, where given, `port`; finds the program. A program with a `/` is
    /// relative to the folder it runs in, any other is looked for in `PATH`.
    pub(super) fn resolve(
        deploy: &Deploy,
        version: &str,
        base: &Path,
        port: Option<u16>,
    ) -> Result<Self, SpecError> {
        let fill = |text: &String| fill(text, version, port);
        let argv: Vec<String> = deploy.command.iter().map(fill).collect();
        let env: BTreeMap<String, String> =
            deploy.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        let directory = directory(deploy, base)?;
        let word = argv.first().filter(|word| !word.is_empty()).ok_or(SpecError::Empty)?;
        let program = find(word, &directory, env.get("PATH"))?;
        Ok(Self { program, argv, env, directory })
    }

    /// SHA-256 over the program's bytes, the words and the variables; each part is preceded by
    /// its length, so that no two commands run into each other.
    pub(super) fn digest(&self) -> Result<String, SpecError> {
        let unreadable = |source| SpecError::Unreadable { path: self.program.clone(), source };
        let mut hash = Sha256::new();
        hash.update(hash_file(&self.program).map_err(unreadable)?);
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.argv.len().to_string());
        self.argv.iter().for_each(|word| add(word));
        for (name, value) in &self.env {
            add(name);
            add(value);
        }
        Ok(format!("sha256:{}", hex(&hash.finalize())))
    }
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

fn fill(text: &str, version: &str, port: Option<u16>) -> String {
    let text = text.replace("{version}", version);
    match port {
        Some(port) => text.replace("{port}", &port.to_string()),
        None => text,
    }
}

fn directory(deploy: &Deploy, base: &Path) -> Result<PathBuf, SpecError> {
    let joined = match &deploy.directory {
        Some(directory) => base.join(directory),
        None => base.to_owned(),
    };
    let path = std::path::absolute(&joined).unwrap_or(joined);
    if path.is_dir() { Ok(path) } else { Err(SpecError::NoDirectory(path)) }
}

fn find(word: &str, directory: &Path, path: Option<&String>) -> Result<PathBuf, SpecError> {
    if word.contains('/') {
        return pick(word, vec![directory.join(word)]);
    }
    let path =
        path.cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_else(|| DEFAULT_PATH.into());
    pick(
        word,
        std::env::split_paths(&path).map(|folder| directory.join(folder).join(word)).collect(),
    )
}

/// The first candidate that may be run; else an error about the first that is at least there.
fn pick(word: &str, looked: Vec<PathBuf>) -> Result<PathBuf, SpecError> {
    let mut refused = None;
    for path in &looked {
        let Ok(metadata) = path.metadata() else { continue };
        let Some(why) = refusal(&metadata) else { return Ok(path.clone()) };
        refused.get_or_insert(SpecError::NotExecutable { path: path.clone(), why });
    }
    Err(refused.unwrap_or(SpecError::NotFound { program: word.to_owned(), looked }))
}

/// Why a file may not be run, if it may not.
fn refusal(metadata: &Metadata) -> Option<String> {
    let mode = metadata.permissions().mode() & 0o7777;
    match (metadata.is_file(), mode & 0o111) {
        (false, _) => Some("it is not a file".to_owned()),
        (true, 0) => Some(format!("its mode is {mode:04o}")),
        (true, _) => None,
    }
}

fn hash_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buffer[..count]);
    }
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use rollout::route::Protocol;
    use rollout::units::Millis;

    use super::*;

    fn deploy(command: &[&str]) -> Deploy {
        Deploy {
            command: command.iter().map(ToString::to_string).collect(),
            env: BTreeMap::from([("NAME".to_owned(), "v{version} on {port}".to_owned())]),
            directory: None,
            ready_within: Millis::from_secs(1),
            protocol: Protocol::Http1,
            replicas: 1,
        }
    }

    fn program(folder: &Path, text: &str, mode: u32) {
        let path = folder.join("run");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn placeholders_are_filled_in_words_and_variables() {
        let spec = Spec::resolve(
            &deploy(&["sh", "-c", "{version}:{port}"]),
            "1.2",
            Path::new("/"),
            Some(80),
        )
        .unwrap();
        assert_eq!(spec.argv, ["sh", "-c", "1.2:80"]);
        assert_eq!(spec.env["NAME"], "v1.2 on 80");
        assert!(spec.program.is_absolute());
    }

    #[test]
    fn a_program_that_is_not_there_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            Spec::resolve(&deploy(&["./run"]), "1", folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("program `./run` was not found; looked for "), "{error}");
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        let mut elsewhere = deploy(&["no-such-program"]);
        elsewhere.env.insert("PATH".to_owned(), "/one:/two".to_owned());
        let error = Spec::resolve(&elsewhere, "1", folder.path(), None).unwrap_err().to_string();
        assert!(
            error.ends_with("looked for /one/no-such-program, /two/no-such-program"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_may_not_be_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "", 0o640);
        let error =
            Spec::resolve(&deploy(&["./run"]), "1", folder.path(), None).unwrap_err().to_string();
        assert!(error.ends_with("is not executable (its mode is 0640)"), "{error}");
        let error =
            Spec::resolve(&deploy(&["/"]), "1", folder.path(), None).unwrap_err().to_string();
        assert!(error.ends_with("(it is not a file)"), "{error}");
    }

    #[test]
    fn an_empty_command_and_a_missing_directory_are_refused() {
        assert!(matches!(
            Spec::resolve(&deploy(&[]), "1", Path::new("/"), None),
            Err(SpecError::Empty)
        ));
        let missing = Spec::resolve(&deploy(&["sh"]), "1", Path::new("/no/such"), None);
        assert_eq!(missing.unwrap_err().to_string(), "the directory /no/such does not exist");
    }

    #[test]
    fn the_digest_changes_with_program_version_words_and_variables_but_not_with_the_port() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "one", 0o755);
        let digest = |deploy: &Deploy, version: &str| {
            Spec::resolve(deploy, version, folder.path(), None).unwrap().digest().unwrap()
        };
        let first = digest(&deploy(&["./run", "a"]), "1");
        assert_eq!(first.len(), "sha256:".len() + 64);
        assert_eq!(first, digest(&deploy(&["./run", "a"]), "1"));
        assert_ne!(first, digest(&deploy(&["./run", "b"]), "1"));
        assert_ne!(first, digest(&deploy(&["./run", "a"]), "2"));
        let mut other = deploy(&["./run", "a"]);
        other.env.insert("MORE".to_owned(), String::new());
        assert_ne!(first, digest(&other, "1"));
        program(folder.path(), "two", 0o755);
        assert_ne!(first, digest(&deploy(&["./run", "a"]), "1"));
    }
}
