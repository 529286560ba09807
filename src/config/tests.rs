//! Facts about the configuration as a whole.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use super::reader::look_up;
use super::*;

const DAY: u64 = 24 * 3600;

fn load(text: &str, env: &[(&str, &str)]) -> Result<(Config, Vec<String>), ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(file.path()), env)
}

fn faults(text: &str, env: &[(&str, &str)]) -> Vec<Fault> {
    match load(text, env) {
        Err(ConfigError::Faults(faults)) => faults,
        other => panic!("expected faults, got {other:?}"),
    }
}

fn keys(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    faults(text, env).into_iter().map(|fault| fault.key).collect()
}

/// The defaults with every `#key = …` example switched on.
fn all_examples() -> String {
    let is_setting = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
    };
    let mut text = String::new();
    for line in DEFAULTS.lines() {
        text.push_str(if is_setting(line) { &line[1..] } else { line });
        text.push('\n');
    }
    text
}

#[test]
fn the_defaults_file_is_the_default_configuration() {
    let (from_file, warnings) = load(DEFAULTS, &[]).unwrap();
    let (from_nothing, _) = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(from_file.effective_toml(), Config::default().effective_toml());
    assert_eq!(from_nothing.effective_toml(), Config::default().effective_toml());
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = Config::default();
    assert_eq!(config.public_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(config.http.internal_listen, InternalListen::At("127.0.0.1:8081".parse().unwrap()));
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("./data/wabridge.db".into()));
    assert_eq!(config.secrets.master_key_path, PathBuf::from("./data/secret.key"));
    assert_eq!(config.meta.graph_version, "v25.0");
    assert_eq!(config.bitrix.line_name_for("16315555555"), "separator_16315555555");
    assert_eq!(config.relay.doubt, Duration::from_secs(30));
    assert_eq!(config.relay.outage, Duration::from_secs(7 * DAY));
    assert_eq!(config.retention.messages, Duration::from_secs(400 * DAY));
    assert!(!config.sip.enabled && config.sip.trunks.is_empty());
    assert_eq!(config.sip.trunk_advertised, config.sip.trunk_listen);
}

#[test]
fn every_key_is_documented_in_the_defaults_file() {
    let (overrides, defaults) = (Overrides::new(), defaults());
    let text = all_examples();
    let table: Table = text.parse().unwrap();
    let mut reader = Reader::new(&overrides, &table, &defaults);
    Config::read(&mut reader);
    assert_documented(reader.known(), &table);

    let trunk = table["sip"]["trunks"][0].as_table().unwrap();
    let nothing = Table::new();
    let mut reader = Reader::new(&overrides, trunk, &nothing);
    TrunkConfig::read(&mut reader);
    assert_documented(reader.known(), trunk);
}

fn assert_documented(known: &BTreeSet<String>, table: &Table) {
    for key in known {
        let names_a_secret = key.strip_suffix("_file").is_some_and(|secret| known.contains(secret));
        assert!(names_a_secret || look_up(table, key).is_some(), "{key} is not in defaults.toml");
    }
}

#[test]
fn every_example_of_the_defaults_file_is_taken() {
    let (config, _) = load(&all_examples(), &[]).unwrap();
    assert_eq!(config.sip.trunks.len(), 1);
    assert_eq!(config.bitrix.default_country.as_deref(), Some("DE"));
    assert!(config.http.tls.is_some() && config.sip.tls.is_some());
}

#[test]
fn the_environment_goes_before_the_file_and_the_file_before_the_defaults() {
    let file = "public_url = \"http://a.example\"\n[http]\nlisten = \"127.0.0.1:1\"\nmax_connections = 5\n";
    let env = [
        ("WABRIDGE_HTTP__LISTEN", "0.0.0.0:8080"),
        ("WABRIDGE_DATA_DIR", "/var/lib/wabridge"),
        ("WABRIDGE_SIP__REQUIRE_DIGEST", "false"),
        ("WABRIDGE_META__MEDIA_HOSTS", r#"["a.example","b.example"]"#),
        ("WABRIDGE_HTTP__INTERNAL_LISTEN", ""),
        ("WABRIDGE_RETENTION__CALLS_DAYS", "9"),
    ];
    let (config, warnings) = load(file, &env).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.http.listen, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.http.max_connections, 5);
    assert_eq!(config.public_url.host_str(), Some("a.example"));
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("/var/lib/wabridge/wabridge.db".into()));
    assert!(!config.sip.require_digest);
    assert_eq!(config.meta.media_hosts, ["a.example", "b.example"]);
    assert_eq!(config.http.internal_listen, InternalListen::Off);
    assert_eq!(config.retention.calls, Duration::from_secs(9 * DAY));
    assert!(config.effective_toml().contains("listen = \"0.0.0.0:8080\" # WABRIDGE_HTTP__LISTEN"));
}

#[test]
fn variables_that_are_no_settings_are_ignored_with_a_warning() {
    let env = [("WABRIDGE_HTTP__LISTN", "x"), ("WABRIDGE_SIP__TRUNKS", "[]"), ("OTHER", "x")];
    let (_, warnings) = load("", &env).unwrap();
    assert_eq!(
        warnings,
        [
            "WABRIDGE_HTTP__LISTN is not a setting and is ignored",
            "WABRIDGE_SIP__TRUNKS is not a setting and is ignored"
        ]
    );
}

#[test]
fn all_faults_are_told_at_once_each_with_its_key() {
    let file = r#"
        public_url = "https://example.com/path"
        surprise = 1
        http = { listen = 8080, tls = { certificate = "a.pem" } }
        database.url = "mysql://user:hunter2@host/name"
        relay = { max_attempts = "8", outage = 3 }
        bitrix = { connector_code = "My.App", default_country = "Germany", line_name = "line" }
        retention.id_map_days = 59
        sip.enabled = "yes"
        log.level = "loud"
    "#;
    let faults = faults(file, &[("WABRIDGE_META__GRAPH_VERSION", "25")]);
    let named: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        named,
        [
            "public_url",
            "http.listen",
            "http.tls.private_key",
            "database.url",
            "meta.graph_version",
            "bitrix.connector_code",
            "bitrix.line_name",
            "bitrix.default_country",
            "relay.max_attempts",
            "retention.id_map_days",
            "sip.enabled",
            "log.level",
            "relay.outage",
            "surprise",
        ]
    );
    let text = ConfigError::Faults(faults).to_string();
    assert!(text.contains("meta.graph_version (from WABRIDGE_META__GRAPH_VERSION): `25` is not a version"));
    assert!(text.contains("retention.id_map_days: 59 is not between 60 and 36500"));
    assert!(!text.contains("hunter2"));
}

#[test]
fn a_section_is_not_a_value_and_a_value_is_no_section() {
    assert_eq!(keys("http = 3\n[log.level]\nx = 1\n", &[]), ["log.level", "http"]);
}

#[test]
fn an_enabled_sip_edge_wants_name_and_certificate() {
    assert_eq!(keys("sip.enabled = true", &[]), ["sip.hostname", "sip.certificate"]);
}

#[test]
fn a_trunk_is_checked_by_its_place() {
    let file = r#"
        [[sip.trunks]]
        name = "a"
        uris = ["sip:pbx.lan;transport=udp"]
        [[sip.trunks]]
        name = "a"
        uris = ["http://pbx", "sip:pbx;transport=sctp"]
        username = "me"
        surprise = true
        [[sip.trunks]]
        options_interval = 0
    "#;
    assert_eq!(
        keys(file, &[]),
        [
            "sip.trunks[1].uris",
            "sip.trunks[1].uris",
            "sip.trunks[1].password",
            "sip.trunks[1].surprise",
            "sip.trunks[2].name",
            "sip.trunks[2].uris",
            "sip.trunks[1].name",
        ]
    );
    assert_eq!(keys("sip.trunks = 3", &[]), ["sip.trunks"]);
    assert!(load("sip.trunks = []", &[]).is_ok());
}

#[test]
fn an_open_trunk_address_wants_digest_or_tls() {
    let base = "sip.enabled = true\nsip.hostname = \"s.example\"\nsip.certificate = \"a\"\n\
                sip.private_key = \"b\"\nsip.trunk_listen = \"0.0.0.0:5062\"\n";
    let udp = format!("{base}[[sip.trunks]]\nname = \"a\"\nuris = [\"sip:10.0.0.1\"]\n");
    assert_eq!(keys(&udp, &[]), ["sip.trunks[0]"]);
    assert!(load(&udp.replace("10.0.0.1", "10.0.0.1;transport=tls"), &[]).is_ok());
    assert!(load(&format!("{udp}inbound_username = \"a\"\ninbound_password = \"b\"\n"), &[]).is_ok());
}

#[test]
fn a_secret_is_masked_and_can_come_from_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"postgres://u:hunter2@h/n\n").unwrap();
    let path = file.path().to_str().unwrap();
    let (config, _) = load("", &[("WABRIDGE_DATABASE__URL_FILE", path)]).unwrap();
    assert_eq!(config.database.url, DatabaseUrl::Postgres("postgres://u:hunter2@h/n".into()));
    assert!(config.effective_toml().contains(&format!("url_file = \"{path}\"")));

    let (config, _) = load("secrets.master_key = \"hunter2\"", &[]).unwrap();
    assert_eq!(config.secrets.master_key, Some("hunter2".into()));
    let shown = format!("{config:?}{}", config.effective_toml());
    assert!(shown.contains("master_key = \"••••\"") && !shown.contains("hunter2"));
}

#[test]
fn the_path_of_a_webhook_that_may_bear_a_key_is_masked() {
    let alarms = "[alarms]\nwebhook_secret = \"s\"\nwebhook_url = ";
    let shown = |url: &str| load(&format!("{alarms}\"{url}\""), &[]).unwrap().0.effective_toml();
    for url in ["https://hooks.example:8443/T0/hunter2", "https://hooks.example:8443/?key=hunter2"] {
        let shown = shown(url);
        assert!(shown.contains("webhook_url = \"https://hooks.example:8443/••••\""), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(shown("https://hooks.example/").contains("webhook_url = \"https://hooks.example/\""));
}

#[test]
fn a_secret_given_twice_or_by_a_missing_file_is_a_fault() {
    let twice = "secrets = { master_key = \"a\", master_key_file = \"b\" }";
    assert_eq!(keys(twice, &[]), ["secrets.master_key"]);
    assert_eq!(keys("secrets.master_key_file = \"/nowhere/key\"", &[]), ["secrets.master_key_file"]);
    let (config, _) = load(twice, &[("WABRIDGE_SECRETS__MASTER_KEY", "c")]).unwrap();
    assert_eq!(config.secrets.master_key, Some("c".into()));
}

#[test]
fn a_syntax_error_names_the_line_and_not_its_text() {
    let error = load("public_url = \"http://a.example\"\npassword = \"hunter2\n", &[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("line 2") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = Config::load(Some(Path::new("/nowhere/wabridge.toml")), std::iter::empty()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration file /nowhere/wabridge.toml");
}

#[test]
fn the_effective_configuration_can_be_read_again() {
    let (config, _) = load(&all_examples(), &[]).unwrap();
    let again = config.effective_toml().replace("••••", "postgres://x");
    let (again, _) = load(&again, &[]).unwrap();
    assert_eq!(again.effective_toml(), config.effective_toml());
}
