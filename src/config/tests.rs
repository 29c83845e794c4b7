use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::keys::KEYS;
use super::{Config, ConfigArgs, ConfigError, LogFormat, Registration, SecretUrl};

const CANARY: &str = "canary-that-sings-in-no-log-and-no-error";

/// The layers of one load, with nothing taken from the process.
struct Given {
    dir: TempDir,
    env: Vec<(String, String)>,
    flags: Vec<String>,
}

fn given() -> Given {
    Given { dir: tempfile::tempdir().unwrap(), env: Vec::new(), flags: Vec::new() }
}

impl Given {
    fn file(self, text: &str) -> Self {
        fs::write(self.path(), text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.into(), value.into()]);
        self
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("safire.toml")
    }

    fn beside(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load_beside(&self.path(), &self.args(), self.env.clone().into_iter())
    }

    fn args(&self) -> ConfigArgs {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            config: ConfigArgs,
        }
        let program = ["safire".to_owned()].into_iter();
        Cli::parse_from(program.chain(self.flags.clone())).config
    }

    #[track_caller]
    fn refusal(&self) -> String {
        let error = self.load().unwrap_err();
        let texts = format!("{error} {error:?}");
        assert!(!texts.contains(CANARY), "{texts}");
        error.to_string().replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

#[test]
fn the_reference_is_the_one_in_the_documentation() {
    let page = super::reference();
    let documented = include_str!("../../docs/configuration.md");
    assert!(page == documented, "run: safire config reference > docs/configuration.md");
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        assert!(
            !line.split('|').any(|cell| !cell.is_empty() && cell.trim().is_empty()),
            "something is missing: {line}"
        );
    }
}

/// A configuration in which every secret is the canary.
fn full_of_secrets() -> Given {
    let url = |scheme| format!("{scheme}://u:{CANARY}@db.test:5432/safire?sslmode=require");
    given()
        .env("SAFIRE_JWT_SECRET", CANARY)
        .env("SAFIRE_JWT_PREVIOUS_SECRETS", CANARY)
        .env("SAFIRE_ADMIN_PASSWORD", CANARY)
        .env("DATABASE_URL", &url("postgres"))
        .env("REDIS_URL", &url("redis"))
        .env("KAFKA_BROKERS", "kafka-1.test:9092,kafka-2.test:9092")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.test:4318")
}

fn keys_of(config: &Config) -> Vec<String> {
    let root: toml::Table = config.masked_toml().parse().unwrap();
    let mut keys = Vec::new();
    for (name, value) in root {
        match value {
            toml::Value::Table(section) => {
                keys.extend(section.keys().map(|key| format!("{name}.{key}")));
            }
            _ => keys.push(name),
        }
    }
    keys.sort();
    keys
}

#[test]
fn without_any_layer_everything_has_its_default() {
    let config = given().load().unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("127.0.0.1", 8000));
    assert_eq!(config.data_dir, Path::new("safire-data"));
    assert_eq!(config.database.url.expose(), "sqlite://safire-data/safire.db");
    assert_eq!(config.admin.email, "admin@safire.local");
    assert_eq!(config.auth.registration, Registration::Open);
    assert_eq!(config.log.format, LogFormat::Auto);
    assert!(config.auth.jwt_secret.is_none() && config.admin.password.is_none());
    assert!((1..=1024).contains(&config.calculations.threads));
    assert_eq!(config.masked_toml(), Config::default().masked_toml());
}

#[test]
fn each_layer_overrides_the_one_below() {
    let given = given();
    assert_eq!(given.load().unwrap().http.port, 8000);
    let given = given.file("[http]\nport = 8001\nbody_limit_bytes = 2048");
    assert_eq!(given.load().unwrap().http.port, 8001);
    let given = given.env("SAFIRE_HTTP__PORT", "8002");
    assert_eq!(given.load().unwrap().http.port, 8002);
    let given = given.flag("--port", "8003");
    let config = given.load().unwrap();
    assert_eq!(config.http.port, 8003);
    assert_eq!(config.http.body_limit_bytes, 2048);
}

#[test]
fn a_named_file_is_read_instead_of_the_one_in_the_working_directory() {
    let given = given().file("[http]\nport = 8001");
    let other = given.beside("other.toml", "[http]\nhost = \"0.0.0.0\"");
    let config = given.flag("--config", &other).load().unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("0.0.0.0", 8000));
}

#[test]
fn a_named_file_that_is_missing_is_refused() {
    let refusal = given().flag("--config", "/nowhere/safire.toml").refusal();
    assert_eq!(refusal, "/nowhere/safire.toml (flag --config) cannot be read");
}

#[test]
fn every_flag_sets_its_key() {
    let config = given()
        .flag("--host", "::1")
        .flag("--port", "0")
        .flag("--database-url", "postgres://db.test/safire")
        .flag("--data-dir", "/var/lib/safire")
        .flag("--set", "calculations.threads=3")
        .flag("--set", "log.format=json")
        .flag("--set", "auth.registration=\"closed\"")
        .load()
        .unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("::1", 0));
    assert_eq!(config.database.url.expose(), "postgres://db.test/safire");
    assert_eq!(config.data_dir, Path::new("/var/lib/safire"));
    assert_eq!(config.calculations.threads, 3);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.auth.registration, Registration::Closed);
}

#[test]
fn the_embedded_database_follows_the_data_directory() {
    let config = given().env("SAFIRE_DATA_DIR", "/srv/100%?").load().unwrap();
    assert_eq!(config.database.url.expose(), "sqlite:///srv/100%25%3F/safire.db");
}

#[test]
fn well_known_variables_are_taken_as_they_stand() {
    let config = given()
        .env("DATABASE_URL", "postgres://db.test/safire")
        .env("REDIS_URL", "redis://cache.test")
        .env("SAFIRE_ADMIN_EMAIL", "ops@safire.test")
        .env("SAFIRE_ADMIN_PASSWORD", "12345678")
        .env("SAFIRE_JWT_SECRET", "\"quotes belong to this long secret\"")
        .load()
        .unwrap();
    assert_eq!(config.database.url.expose(), "postgres://db.test/safire");
    assert_eq!(config.cache.redis_url.unwrap().expose(), "redis://cache.test");
    assert_eq!(config.admin.email, "ops@safire.test");
    assert_eq!(config.admin.password.unwrap().expose_secret(), "12345678");
    let secret = config.auth.jwt_secret.unwrap();
    assert_eq!(secret.expose_secret(), "\"quotes belong to this long secret\"");
}

#[test]
fn a_list_is_a_toml_array_or_its_items_separated_by_commas() {
    let networks = |given: Given| {
        let networks = given.load().unwrap().http.trusted_proxies;
        networks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let both = ["10.0.0.0/8", "fd00::/8"];
    assert_eq!(networks(given().file("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\"]")), both);
    assert_eq!(networks(given().env("SAFIRE_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8")), both);
    assert_eq!(networks(given().flag("--set", "http.trusted_proxies=['10.0.0.0/8','fd00::/8']")), both);
    for (value, problem) in [
        ("10.0.0.1/8", "\"10.0.0.1/8\" is not a network such as 10.0.0.0/8"),
        ("localhost", "\"localhost\" is not a network such as 10.0.0.0/8"),
        ("[1]", "1 is not a string"),
    ] {
        let refusal = given().flag("--set", &format!("http.trusted_proxies={value}")).refusal();
        assert_eq!(refusal, format!("http.trusted_proxies (flag --set http.trusted_proxies): {problem}"));
    }
}

#[test]
fn previous_secrets_are_a_list_and_may_stand_in_a_file_line_by_line() {
    let given = given();
    let (first, second) = ("first".repeat(8), "second".repeat(8));
    let file = given.beside("previous", &format!("{first}\n{second}\n"));
    let config = given.env("SAFIRE_JWT_PREVIOUS_SECRETS_FILE", &file).load().unwrap();
    let secrets: Vec<_> = config.auth.jwt_previous_secrets.iter().map(|secret| secret.expose_secret()).collect();
    assert_eq!(secrets, [first, second]);
}

#[test]
fn a_secret_of_digits_is_a_string_by_every_name() {
    let digits = "1".repeat(40);
    for given in
        [given().env("SAFIRE_AUTH__JWT_SECRET", &digits), given().flag("--set", &format!("auth.jwt_secret={digits}"))]
    {
        let secret = given.load().unwrap().auth.jwt_secret.unwrap();
        assert_eq!(secret.expose_secret(), digits);
    }
}

#[test]
fn a_variable_is_a_toml_value_where_the_key_takes_one() {
    let config = given()
        .env("SAFIRE_HTTP__BODY_LIMIT_BYTES", "2_048")
        .env("SAFIRE_LOG__FILTER", "'safire=debug,info'")
        .env("SAFIRE_HTTP__HOST", "0.0.0.0")
        .load()
        .unwrap();
    assert_eq!(config.http.body_limit_bytes, 2048);
    assert_eq!(config.log.filter, "safire=debug,info");
    assert_eq!(config.http.host, "0.0.0.0");
}

#[test]
fn an_empty_variable_sets_nothing() {
    let config =
        given().env("SAFIRE_JWT_SECRET", "").env("DATABASE_URL", "").env("SAFIRE_HTTP__PORT", "").load().unwrap();
    assert_eq!(config.masked_toml(), Config::default().masked_toml());
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let given = given();
    let secret = given.beside("secret", &format!("{CANARY}\n"));
    let url = given.beside("url", "postgres://u:p@db.test/safire\r\n");
    let config = given
        .env("SAFIRE_JWT_SECRET_FILE", &secret)
        .env("SAFIRE_ADMIN__PASSWORD_FILE", &secret)
        .env("DATABASE_URL_FILE", &url)
        .load()
        .unwrap();
    assert_eq!(config.auth.jwt_secret.unwrap().expose_secret(), CANARY);
    assert_eq!(config.admin.password.unwrap().expose_secret(), CANARY);
    assert_eq!(config.database.url.expose(), "postgres://u:p@db.test/safire");
}

#[test]
fn a_secret_file_that_cannot_be_read_is_refused_with_the_variable_that_named_it() {
    let refusal = given().env("SAFIRE_JWT_SECRET_FILE", "/nowhere/secret").refusal();
    assert_eq!(refusal, "/nowhere/secret (environment variable SAFIRE_JWT_SECRET_FILE) cannot be read");
}

#[test]
fn only_secrets_have_a_file_variable() {
    let refusal = given().env("SAFIRE_HTTP__PORT_FILE", "/nowhere").refusal();
    assert!(refusal.starts_with("unknown environment variable SAFIRE_HTTP__PORT_FILE"));
}

#[test]
fn an_unknown_key_is_refused_by_name_in_every_layer() {
    for (given, refusal) in [
        (given().file("[http]\nprot = 1"), "unknown key `http.prot` (file DIR/safire.toml), did you mean http.port?"),
        (given().file("[htpp]"), "unknown key `htpp` (file DIR/safire.toml), did you mean [http]?"),
        (given().file("datadir = \"x\""), "unknown key `datadir` (file DIR/safire.toml), did you mean data_dir?"),
        (given().file("weather = \"fine\""), "unknown key `weather` (file DIR/safire.toml)"),
        (
            given().env("SAFIRE_HTTP_PORT", "1"),
            "unknown environment variable SAFIRE_HTTP_PORT, did you mean SAFIRE_HTTP__PORT?",
        ),
        (given().env("SAFIRE_WEATHER", ""), "unknown environment variable SAFIRE_WEATHER"),
        (
            given().flag("--set", "cache.entires=1"),
            "unknown key `cache.entires` (flag --set cache.entires), did you mean cache.entries?",
        ),
    ] {
        assert_eq!(given.refusal(), refusal);
    }
}

#[test]
fn variables_of_other_programs_are_left_alone() {
    let given = given().env("PATH", "/bin").env("safire_http__port", "1");
    assert_eq!(given.load().unwrap().http.port, 8000);
}

#[test]
fn a_value_of_the_wrong_type_names_its_key_and_its_source() {
    for (given, refusal) in [
        (
            given().file("[http]\nport = \"high\""),
            "http.port (file DIR/safire.toml): \"high\" is not a whole number from 0 to 65535",
        ),
        (
            given().file("[http]\nport = { of = \"call\" }"),
            "http.port (file DIR/safire.toml): a table is not a whole number from 0 to 65535",
        ),
        (
            given().env("SAFIRE_HTTP__PORT", "80.5"),
            "http.port (environment variable SAFIRE_HTTP__PORT): \
             80.5 is not a whole number from 0 to 65535",
        ),
        (
            given().flag("--set", "http.port=high"),
            "http.port (flag --set http.port): \"high\" is not a whole number from 0 to 65535",
        ),
        (given().file("data_dir = 5"), "data_dir (file DIR/safire.toml): 5 is not a string"),
        (
            given().env("SAFIRE_AUTH__REGISTRATION", "ajar"),
            "auth.registration (environment variable SAFIRE_AUTH__REGISTRATION): \
             unknown variant `ajar`, expected `open` or `closed`",
        ),
        (given().file("http = 5"), "unknown key `http` (file DIR/safire.toml), did you mean [http]?"),
    ] {
        assert_eq!(given.refusal(), refusal);
    }
}

#[test]
fn a_text_that_means_nothing_is_refused() {
    for (path, text, problem) in [
        ("http.host", "two words", "is not an address or a host name"),
        ("http.host", "[::1]", "is not an address or a host name"),
        ("http.base_path", "safire", "is not a path such as /safire"),
        ("http.base_path", "/a//b", "is not a path such as /safire"),
        ("http.base_path", "/a/../b", "is not a path such as /safire"),
        ("http.base_path", "https://a.example.com/b", "is not a path such as /safire"),
        ("http.base_path", "/a?b", "is not a path such as /safire"),
        ("admin.email", "admin", "is not an email address"),
        ("admin.email", "a@b@c", "is not an email address"),
        ("data_dir", "", "is empty"),
        ("log.filter", "safire=loud", "is not a log filter"),
        ("database.url", "mysql://db.test", "does not begin with sqlite:"),
        ("cache.redis_url", "http://cache.test", "does not begin with redis://"),
        ("feed.brokers", "kafka.test", "is not a list such as"),
        ("traces.endpoint", "https://collector.test:4318", "is not the address of a collector such as"),
        ("traces.endpoint", "http://user:word@collector.test", "is not the address of a collector such as"),
        ("auth.jwt_secret", "short", "has fewer than 32 bytes"),
        ("admin.password", "", "is empty"),
    ] {
        let refusal = given().flag("--set", &format!("{path}={text}")).refusal();
        let place = format!("{path} (flag --set {path}): ");
        assert!(refusal.starts_with(&place) && refusal.contains(problem), "{refusal}");
    }
}

#[test]
fn every_number_has_a_range_and_keeps_its_ends() {
    let numbers: Vec<_> = KEYS.iter().filter_map(|key| Some((key.path, key.range()?))).collect();
    assert!(numbers.len() > 20);
    for (path, range) in numbers {
        for end in [range.start(), range.end()] {
            given().flag("--set", &format!("{path}={end}")).load().unwrap();
        }
        for beyond in [range.start() - 1, range.end() + 1] {
            let refusal = given().flag("--set", &format!("{path}={beyond}")).refusal();
            let (min, max) = (range.start(), range.end());
            assert_eq!(
                refusal,
                format!(
                    "{path} (flag --set {path}): \
                     {beyond} is not a whole number from {min} to {max}"
                )
            );
        }
    }
}

#[test]
fn a_key_set_twice_in_one_layer_is_refused() {
    for (given, refusal) in [
        (
            given().env("SAFIRE_JWT_SECRET", CANARY).env("SAFIRE_AUTH__JWT_SECRET", CANARY),
            "auth.jwt_secret is set twice: environment variable SAFIRE_JWT_SECRET, \
             environment variable SAFIRE_AUTH__JWT_SECRET",
        ),
        (
            given().flag("--port", "1").flag("--set", "http.port=2"),
            "http.port is set twice: flag --set http.port, flag --port",
        ),
    ] {
        assert_eq!(given.refusal(), refusal);
    }
}

#[test]
fn a_flag_that_assigns_nothing_is_refused_without_showing_it() {
    assert_eq!(given().flag("--set", CANARY).refusal(), "--set takes section.key=value");
}

#[test]
fn a_file_that_is_not_toml_is_refused_by_line_and_column() {
    let refusal = given().file("[http]\nport = 8001\nhost = \"0.0.0.0").refusal();
    assert!(refusal.starts_with("DIR/safire.toml, line 3, column "), "{refusal}");
}

#[test]
fn every_key_has_a_field_and_every_field_a_key() {
    let mut keys: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
    keys.sort();
    assert_eq!(keys_of(&full_of_secrets().load().unwrap()), keys);
}

#[test]
fn secrets_are_masked_wherever_a_configuration_is_shown() {
    let given = full_of_secrets()
        .flag("--set", &format!("auth.jwt_secret={CANARY}"))
        .flag("--database-url", &format!("postgres://u:{CANARY}@db.test/safire"));
    let config = given.load().unwrap();
    assert_eq!(config.auth.jwt_secret.as_ref().unwrap().expose_secret(), CANARY);
    let masked = config.masked_toml();
    for shown in [masked.clone(), format!("{config:?}"), format!("{:?}", given.args())] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
    assert_eq!(masked.matches(super::MASK).count(), 5, "{masked}");
    assert!(masked.contains("url = \"postgres://u:********@db.test/safire\""), "{masked}");
}

#[test]
fn a_url_is_shown_without_its_passwords() {
    for (url, shown) in [
        ("sqlite://safire-data/safire.db", "sqlite://safire-data/safire.db"),
        ("postgres://db.test:5432/safire", "postgres://db.test:5432/safire"),
        ("postgres://u@db.test:5432/safire", "postgres://u@db.test:5432/safire"),
        ("postgres://u:p@db.test:5432/safire", "postgres://u:********@db.test:5432/safire"),
        ("redis://:p@cache.test/1", "redis://:********@cache.test/1"),
        ("postgres://u:p/@?w:@db.test/safire", "postgres://u:********@db.test/safire"),
        (
            "postgres://db.test/safire?user=u&password=p&sslmode=require",
            "postgres://db.test/safire?user=u&password=********&sslmode=require",
        ),
        ("postgres://db.test/s?p%61ssword=p", "postgres://db.test/s?p%61ssword=********"),
    ] {
        let url = SecretUrl::from(url.to_owned());
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), shown);
    }
}

#[test]
fn no_mistake_around_a_secret_shows_it() {
    for file in [
        "[auth]\njwt_secret = CANARY",
        "[auth]\njwt_secret = \"CANARY",
        "[auth]\njwt_secret = 'CANARY\"",
        "[auth]\njwt_secret = \"CANARY\" \"CANARY\"",
        "[auth]\njwt_secret = \"\\CANARY\"",
        "[auth]\njwt_secret = \"CANARY\"\njwt_secret = \"CANARY\"",
        "[auth]\njwt_secret = [\"CANARY\"]",
        "[auth]\njwt_secret = { is = \"CANARY\" }",
        "[auth]\njwt_secert = \"CANARY\"",
        "[admin]\npassword = 1CANARY",
        "[admin]\npassword = [\"CANARY\"]",
        "[database]\nurl = \"CANARY\"",
        "[database]\nurl = [\"CANARY\"]",
        "[cache]\nredis_url = \"u:CANARY@cache.test\"",
    ] {
        given().file(&file.replace("CANARY", CANARY)).refusal();
    }
    given().env("DATABASE_URL", CANARY).refusal();
    given().env("SAFIRE_DATABASE__URL", &format!("u:{CANARY}@db.test")).refusal();
    given().flag("--database-url", CANARY).refusal();
    given().env("SAFIRE_JWT_SECERT", CANARY).refusal();
    given().flag("--set", &format!("auth.jwt_secert={CANARY}")).refusal();
}
