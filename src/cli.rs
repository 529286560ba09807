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
    /// Write a consistent copy of the embedded database and the media, without the master key
    ///
    /// Works while the bridge runs. Keep the master key elsewhere: without it the tokens and passwords in
    /// the copy cannot be read.
    Backup(Archive),
    /// Bring back what `backup` wrote; the bridge must not run
    Restore(Archive),
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

/// The file of a backup.
#[derive(Args, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The file of the copy
    pub file: PathBuf,
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
            ("admin invite", Command::Admin(AdminCommand::Invite)),
            ("config", Command::Config { defaults: false }),
            ("config --defaults", Command::Config { defaults: true }),
            ("openapi", Command::Openapi),
            ("backup a.tar", Command::Backup(Archive { file: "a.tar".into() })),
            ("restore a.tar", Command::Restore(Archive { file: "a.tar".into() })),
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
