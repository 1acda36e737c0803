//! Where a configuration comes from: layers, of which the later one wins key by key.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::{ConfigError, Mistakes};
use super::layers::Layers;
use super::{Config, variables};

/// Where a configuration comes from besides its defaults: the later field wins, key by key.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file. The files in the folder of its name with `.d` after it follow it, in the order of their names, if they
    /// end in `.toml`.
    pub file: Option<PathBuf>,
    /// What the surroundings are called: `NAME` reads `moorlined.NAME.toml` beside `moorlined.toml`.
    pub environment: Option<String>,
    /// More files.
    pub overlays: Vec<PathBuf>,
    /// Environment variables that begin with [`PREFIX`](Self::PREFIX).
    pub variables: Vec<(OsString, OsString)>,
    /// What the command line says: an option, the key that it stands for, and the value.
    pub options: Vec<(&'static str, &'static str, Value)>,
}

impl Sources {
    /// What the name of every environment variable begins with that sets a key.
    pub const PREFIX: &'static str = "MOORLINED_";

    /// Reads the whole configuration.
    ///
    /// # Errors
    ///
    /// [`Mistakes`]: as many as can be told, each with the file and line, or the variable, and the key.
    pub fn load(&self) -> Result<Config, Mistakes> {
        let mut mistakes = Vec::new();
        let mut layers = Layers::default();
        for path in self.files(&mut mistakes) {
            match read(&path) {
                Ok(table) => layers.put(table, &path.display().to_string()),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for (name, value) in &self.variables {
            match variables::read(name, value) {
                Ok(table) => layers.put(table, &name.to_string_lossy()),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for (option, key, value) in &self.options {
            layers.put(table_of(key, value.clone()), option);
        }
        if mistakes.is_empty() {
            match layers.config() {
                Ok(config) => {
                    let wrong = config.mistakes();
                    if wrong.is_empty() {
                        return Ok(config);
                    }
                    mistakes.extend(wrong.into_iter().map(|mistake| layers.name(mistake)));
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        Err(Mistakes(mistakes))
    }

    /// Returns the files in their order.
    fn files(&self, mistakes: &mut Vec<ConfigError>) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.file.iter().cloned().collect();
        if let Some(file) = &self.file {
            match drop_ins(file) {
                Ok(found) => files.extend(found),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        match (&self.environment, &self.file) {
            (Some(name), Some(file)) => match beside(file, name) {
                Some(overlay) => files.push(overlay),
                None => mistakes.push(ConfigError::NoEnvironment(name.clone())),
            },
            (Some(name), None) => mistakes.push(ConfigError::NoFile(name.clone())),
            (None, _) => {}
        }
        files.extend(self.overlays.iter().cloned());
        files
    }
}

impl Config {
    /// Reads the configuration in `file` and what belongs to it; without one, returns the defaults. Neither environment
    /// variables nor a command line are asked.
    ///
    /// # Errors
    ///
    /// [`Mistakes`], each of which names the file and line, or the key, and the reason.
    pub fn load(file: Option<&Path>) -> Result<Self, Mistakes> {
        let sources = Sources {
            file: file.map(Path::to_path_buf),
            ..Sources::default()
        };
        sources.load()
    }
}

/// Reads one file. It has to be in order by itself, so that what is wrong has a line.
fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.into(),
        error,
    })?;
    toml::from_str::<Config>(&text)
        .and_then(|_| toml::from_str(&text))
        .map_err(|error| ConfigError::malformed(path, &text, &error))
}

/// Returns the files in the folder `FILE.d`, in the order of their names.
fn drop_ins(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let unreadable = |error| ConfigError::Unreadable {
        path: folder.clone(),
        error,
    };
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    Ok(paths)
}

/// Returns `moorlined.NAME.toml` for `moorlined.toml`; nothing for a name that is none of a file.
fn beside(file: &Path, name: &str) -> Option<PathBuf> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    let mut overlay = file.file_stem()?.to_owned();
    overlay.push(".");
    overlay.push(name);
    if let Some(extension) = file.extension() {
        overlay.push(".");
        overlay.push(extension);
    }
    Some(file.with_file_name(overlay))
}

/// Returns the table that has nothing but `value` under `key`, whose parts are joined by dots.
pub(super) fn table_of(key: &str, value: Value) -> Table {
    match key.split_once('.') {
        Some((section, rest)) => {
            let inner = Value::Table(table_of(rest, value));
            Table::from_iter([(section.to_owned(), inner)])
        }
        None => Table::from_iter([(key.to_owned(), value)]),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use toml::Value;

    use super::Sources;
    use crate::config::{Config, Mistakes};

    fn parse(text: &str) -> Result<Config, Mistakes> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("moorlined.toml");
        std::fs::write(&path, text).expect("a file");
        Config::load(Some(&path))
    }

    #[test]
    fn the_defaults_are_valid_and_an_empty_file_gives_them() {
        assert_eq!(
            parse("").expect("valid"),
            Config::load(None).expect("valid")
        );
    }

    #[test]
    fn a_file_that_is_written_reads_back() {
        let text = toml::to_string(&Config::default()).expect("it is TOML");
        assert_eq!(parse(&text).expect("valid"), Config::default());
    }

    #[test]
    fn bare_tcp_can_be_switched_off_and_a_wrong_address_is_said_to_be() {
        let config = parse("listen_tcp = \"off\"").expect("valid");
        assert_eq!(config.listen_tcp, None);
        let text = toml::to_string(&config).expect("it is TOML");
        assert_eq!(parse(&text).expect("valid"), config);
        let error = parse("listen_tcp = \"7444\"")
            .expect_err("no address")
            .to_string();
        assert!(
            error.contains("127.0.0.1:7444") && error.contains("line 1"),
            "{error}"
        );
    }

    #[test]
    fn datagrams_are_taken_where_the_operator_says_so_and_nowhere_else() {
        assert_eq!(Config::default().listen_udp, None);
        let config = parse("listen_udp = \"127.0.0.1:7444\"").expect("valid");
        assert_eq!(config.listen_udp, Config::default().listen_tcp);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("name = \"hub\"\nlisten_port = 1\n")
            .expect_err("unknown key")
            .to_string();
        assert!(
            error.contains("listen_port") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        for (text, key) in [
            ("name = \"\"", "name"),
            ("name = \"a b\"", "name"),
            ("[limits]\nconnections = 0", "limits.connections"),
            (
                "[limits]\nhandshakes_per_address = 0",
                "limits.handshakes_per_address",
            ),
            (
                "[limits]\nhandshake_millis = 60001",
                "limits.handshake_millis",
            ),
            ("[limits]\npayload_len = 255", "limits.payload_len"),
            (
                "[limits]\ncommander_token_seconds = 3601",
                "limits.commander_token_seconds",
            ),
            ("[offline]\ncommands = 16385", "offline.commands"),
            (
                "[offline]\nbytes_per_agent = 67108865",
                "offline.bytes_per_agent",
            ),
            ("[offline]\nreply_seconds = 60", "offline.reply_seconds"),
            ("log_filter = \"a=loud\"", "log_filter"),
            ("[accounts]\nguests = 65537", "accounts.guests"),
            ("[accounts]\nlogins = 0", "accounts.logins"),
            ("[accounts]\nidle_seconds = 59", "accounts.idle_seconds"),
            (
                "[accounts]\nlogin_seconds = 86401",
                "accounts.login_seconds",
            ),
            (
                "[accounts]\nchallenge_seconds = 9",
                "accounts.challenge_seconds",
            ),
            ("[drain]\nretry_millis = 99", "drain.retry_millis"),
            ("[drain]\nspread_millis = 600001", "drain.spread_millis"),
            ("[drain]\npatience_millis = 60001", "drain.patience_millis"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }

    /// Writes files into a folder of their own; the first is the configuration.
    fn sources(files: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let sources = Sources {
            file: Some(folder.path().join(files[0].0)),
            ..Sources::default()
        };
        (folder, sources)
    }

    fn variable(name: &str, value: &str) -> (OsString, OsString) {
        (name.into(), value.into())
    }

    #[test]
    fn each_layer_wins_over_those_before_it_key_by_key() {
        let (folder, mut sources) = sources(&[
            (
                "hub.toml",
                "name = \"file\"\n[limits]\ntickets = 1\noutbox = 1",
            ),
            (
                "hub.toml.d/20.toml",
                "name = \"20\"\n[limits]\nchannels = 20",
            ),
            (
                "hub.toml.d/10.toml",
                "name = \"10\"\n[limits]\nchannels = 10",
            ),
            ("hub.toml.d/99.toml.off", "name = "),
            ("hub.site-7.toml", "name = \"site-7\""),
            ("more.toml", "name = \"more\""),
            ("last.toml", "name = \"last\""),
        ]);
        let name = |sources: &Sources| sources.load().expect("valid").name;
        let config = sources.load().expect("valid");
        assert_eq!(config.name, "20");
        let limits = config.limits;
        assert_eq!((limits.tickets, limits.outbox, limits.channels), (1, 1, 20));
        sources.environment = Some("site-7".into());
        assert_eq!(name(&sources), "site-7");
        sources.overlays = vec![
            folder.path().join("more.toml"),
            folder.path().join("last.toml"),
        ];
        assert_eq!(name(&sources), "last");
        sources.variables = vec![variable("MOORLINED_NAME", "variable")];
        assert_eq!(name(&sources), "variable");
        sources.options = vec![("--name", "name", Value::String("option".into()))];
        assert_eq!(name(&sources), "option");
        assert_eq!(sources.load().expect("valid").limits, limits);
    }

    #[test]
    fn an_environment_without_its_file_is_a_mistake() {
        let (_folder, mut sources) = sources(&[("hub.toml", "")]);
        for (environment, why) in [
            ("west", "hub.west.toml"),
            ("", "names no environment"),
            ("../west", "names no environment"),
        ] {
            sources.environment = Some(environment.into());
            let error = sources.load().expect_err(environment).to_string();
            assert!(error.contains(why), "{error}");
        }
        sources.file = None;
        sources.environment = Some("west".into());
        let error = sources.load().expect_err("no file").to_string();
        assert!(error.contains("no configuration is given"), "{error}");
    }

    #[test]
    fn every_mistake_is_told_with_where_it_comes_from() {
        let (folder, mut sources) = sources(&[
            ("hub.toml", "name = \"a b\"\n[limits]\ntickets = 70000"),
            ("hub.toml.d/10.toml", "[limits]\nchannels = 0"),
        ]);
        sources.variables = vec![variable("MOORLINED_OFFLINE__REPLY_SECONDS", "1")];
        let error = sources.load().expect_err("four mistakes").to_string();
        let lines: Vec<&str> = error.lines().collect();
        let file = folder.path().join("hub.toml").display().to_string();
        let expected = [
            ("name: ", format!("(from {file})")),
            ("limits.channels: ", format!("(from {file}.d/10.toml)")),
            ("limits.tickets: ", format!("(from {file})")),
            (
                "offline.reply_seconds: ",
                "(from MOORLINED_OFFLINE__REPLY_SECONDS)".into(),
            ),
        ];
        assert_eq!(lines.len(), expected.len(), "{error}");
        for (line, (key, origin)) in lines.into_iter().zip(expected) {
            assert!(line.starts_with(key) && line.ends_with(&origin), "{line}");
        }
        // What cannot be read is told of every file and variable.
        for name in ["hub.toml", "hub.toml.d/10.toml"] {
            std::fs::write(folder.path().join(name), "\n[limits]\nticket = 1").expect("a file");
        }
        sources.variables = vec![variable("MOORLINED_LIMIT", "1")];
        let error = sources.load().expect_err("three mistakes").to_string();
        assert_eq!(error.matches("line 3").count(), 2, "{error}");
        assert!(error.contains("MOORLINED_LIMIT: unknown field"), "{error}");
    }

    #[test]
    fn what_stands_on_a_wrong_line_is_not_repeated() {
        let error = parse("name = \"hub\"\nno such = \"a secret\"").expect_err("no key");
        assert!(!error.to_string().contains("secret"), "{error}");
        let gone = Config::load(Some(Path::new("/nowhere/hub.toml"))).expect_err("no file");
        assert!(gone.to_string().contains("/nowhere/hub.toml"), "{gone}");
    }
}
