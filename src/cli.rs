//! The command line: what can be asked for. Errors of usage end the process with code 2, as clap does;
//! whatever else fails ends it with 1.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A bridge between WhatsApp Business and Bitrix24.
#[derive(Debug, Parser)]
#[command(name = "wabridge", version, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file [default: ./wabridge.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What wabridge can do.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the bridge until SIGTERM or SIGINT
    Serve,
    /// Try the bridge: linked to a simulated WhatsApp cloud and Bitrix24 portal, on this machine only
    ///
    /// Everything lives in a temporary directory and is gone afterwards. Prints one address to open in a
    /// browser.
    Sandbox {
        /// Port on the loopback interface; 0 takes a free one
        #[arg(long, default_value_t = 8080, value_name = "PORT")]
        port: u16,
    },
    /// Walk every link of the chain: what holds, what does not, why, and how to repair it
    ///
    /// Works beside a running bridge. Ends with code 1 if anything fails.
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Create, list and revoke tokens of the API
    #[command(subcommand, arg_required_else_help = true)]
    Token(TokenCommand),
    /// Let people into the panel
    #[command(subcommand, arg_required_else_help = true)]
    Admin(AdminCommand),
    /// Print the effective configuration, secrets masked
    Config {
        /// Print the commented default file instead: every setting and its meaning
        #[arg(long)]
        defaults: bool,
    },
    /// Print the OpenAPI document of the API
    Openapi,
    /// Print pjsip.conf and extensions.conf for an Asterisk behind this bridge, filled in for a phone
    ///
    /// Passwords of the trunk are in it, if the configuration has any.
    AsteriskConfig(AsteriskOptions),
    /// Write a consistent copy of the embedded database and the media, without the master key
    ///
    /// Works while the bridge runs. Keep the master key elsewhere: without it the tokens and passwords in
    /// the copy cannot be read.
    Backup(Archive),
    /// Bring back what `backup` wrote; the bridge must not run
    Restore(Archive),
    /// Print the configuration of apps, accounts, phones, portals and lines as JSON, without secrets
    Export,
    /// Make what is missing here of a file that `export` printed, or of another product's; all of it or nothing
    ///
    /// What is here already stays as it is. Works beside a running bridge.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Import(ImportOptions),
}

/// `wabridge import …`.
#[derive(Args, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Where the file comes from, if not from `wabridge export`
    #[command(subcommand)]
    pub from: Option<ImportSource>,
    /// The file; `-` = standard input
    #[arg(required = true)]
    pub file: Option<PathBuf>,
}

/// Where a file comes from.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum ImportSource {
    /// The JSON export of a separator installation (its form and the query that makes it: docs/import.md)
    Separator(Archive),
}

/// `wabridge token …`.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum TokenCommand {
    /// Print a new token, alone on its line; it is stored hashed and cannot be shown again
    Create {
        /// Name by which it is listed and revoked
        #[arg(long, value_parser = name)]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t = TokenRole::Admin)]
        role: TokenRole,
        /// Days until it is no longer accepted [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires: Option<u32>,
    },
    /// List the tokens: name, role, and when each was made and expires
    List,
    /// Revoke a token at once
    Revoke {
        /// Its name
        #[arg(value_parser = name)]
        name: String,
    },
}

/// `wabridge admin …`.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum AdminCommand {
    /// Print a link that lets an administrator set a name and a password, once, within 30 minutes
    ///
    /// Whoever forgot the password sets a new one by it under the same name.
    Invite,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// Look
    Read,
    /// Look, retry and send
    Operate,
    /// Everything
    Admin,
}

/// A file.
#[derive(Args, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The file
    pub file: PathBuf,
}

/// `wabridge asterisk-config`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct AsteriskOptions {
    /// The business phone, as +12195550123
    #[arg(long, value_name = "NUMBER")]
    pub phone: String,
    /// How the keys of speech are exchanged; as `srtp_key_exchange_protocol` of the phone at Meta
    #[arg(long, value_enum, default_value_t = Keying::Sdes)]
    pub keying: Keying,
    /// Name of the trunk [default: the first that is configured]
    #[arg(long, value_name = "NAME")]
    pub trunk: Option<String>,
    /// The extension that calls of this phone go to
    #[arg(long, default_value = "100", value_name = "EXTENSION", value_parser = extension)]
    pub extension: String,
    /// What rings, as Dial() of Asterisk takes it
    #[arg(long, default_value = "PJSIP/agent", value_name = "DEVICES", value_parser = devices)]
    pub agents: String,
    /// The address that Meta sends speech to: the public one of the machine of Asterisk [default: an example]
    #[arg(long, value_name = "ADDRESS")]
    pub media_address: Option<std::net::IpAddr>,
}

/// How the keys of speech are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Keying {
    /// In the session description (RFC 4568)
    Sdes,
    /// By a handshake on the media path (RFC 5764)
    Dtls,
}

impl TokenRole {
    /// `read`, `operate` or `admin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

fn extension(text: &str) -> Result<String, &'static str> {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-+*".contains(c));
    if is_plain { Ok(text.to_owned()) } else { Err("an extension is letters, digits and _-+*") }
}

fn devices(text: &str) -> Result<String, &'static str> {
    let is_safe = !text.is_empty() && !text.contains(|c: char| c.is_control() || "(),;$".contains(c));
    if is_safe { Ok(text.to_owned()) } else { Err("devices are written as PJSIP/one&PJSIP/two") }
}

fn name(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err("a name is 1 to 100 printable characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("wabridge").chain(line.split_whitespace()))
    }

    fn asterisk(keying: Keying) -> AsteriskOptions {
        AsteriskOptions {
            phone: "+12195550123".to_owned(),
            keying,
            trunk: None,
            extension: "100".to_owned(),
            agents: "PJSIP/agent".to_owned(),
            media_address: None,
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_taken() {
        let create =
            |role, expires| Command::Token(TokenCommand::Create { name: "ci".to_owned(), role, expires });
        for (line, command) in [
            ("serve", Command::Serve),
            ("sandbox", Command::Sandbox { port: 8080 }),
            ("sandbox --port 0", Command::Sandbox { port: 0 }),
            ("token create --name ci", create(TokenRole::Admin, None)),
            ("token create --name ci --role read --expires 30", create(TokenRole::Read, Some(30))),
            ("token list", Command::Token(TokenCommand::List)),
            ("token revoke ci", Command::Token(TokenCommand::Revoke { name: "ci".to_owned() })),
            ("doctor", Command::Doctor { json: false }),
            ("doctor --json", Command::Doctor { json: true }),
            ("admin invite", Command::Admin(AdminCommand::Invite)),
            ("config", Command::Config { defaults: false }),
            ("config --defaults", Command::Config { defaults: true }),
            ("openapi", Command::Openapi),
            ("asterisk-config --phone +12195550123", Command::AsteriskConfig(asterisk(Keying::Sdes))),
            (
                "asterisk-config --phone +12195550123 --keying dtls",
                Command::AsteriskConfig(asterisk(Keying::Dtls)),
            ),
            ("backup a.tar", Command::Backup(Archive { file: "a.tar".into() })),
            ("restore a.tar", Command::Restore(Archive { file: "a.tar".into() })),
            ("export", Command::Export),
            ("import a.json", Command::Import(ImportOptions { from: None, file: Some("a.json".into()) })),
            (
                "import separator a.json",
                Command::Import(ImportOptions {
                    from: Some(ImportSource::Separator(Archive { file: "a.json".into() })),
                    file: None,
                }),
            ),
        ] {
            assert_eq!(parse(line).unwrap().command, command, "{line}");
        }
    }

    #[test]
    fn the_configuration_file_is_taken_before_and_after_the_command() {
        for line in ["--config a.toml serve", "serve --config a.toml", "token list --config a.toml"] {
            assert_eq!(parse(line).unwrap().config, Some("a.toml".into()), "{line}");
        }
    }

    #[test]
    fn wrong_usage_ends_with_code_2() {
        for line in ["", "fly", "token", "token create", "token create --name a --role king", "backup"]
            .into_iter()
            .chain(["import", "import separator", "import separator a.json b.json", "export a.json"])
            .chain(["asterisk-config", "asterisk-config --phone +1 --agents a(b)"])
            .chain(["sandbox --port 70000", "serve --listen x", "token create --name a --expires 0"])
        {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn help_and_version_are_no_errors() {
        assert_eq!(parse("--help").unwrap_err().kind(), ErrorKind::DisplayHelp);
        assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
    }
}
