//! Arguments, configuration, telemetry, then the app.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use wabridge::app;
use wabridge::cli::{AdminCommand, Cli, Command};
use wabridge::config::{self, Config};
use wabridge::telemetry;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One readable line with the cause, if anybody reads it.
            let _ = writeln!(std::io::stderr(), "wabridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if let Command::Config { defaults: true } = cli.command {
        return app::commands::print(Config::defaults_toml());
    }
    let (config, warnings) =
        Config::load(config::find_file(cli.config.as_deref()).as_deref(), config::process_env())?;
    let _log = telemetry::init(&config.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve => app::serve::serve(config).await,
            Command::Sandbox { port } => app::sandbox::run(config, port).await,
            Command::Doctor { json } => app::doctor::command(config, json).await,
            Command::Token(command) => app::commands::token(&config, command).await,
            Command::Admin(AdminCommand::Invite) => app::commands::admin_invite(&config).await,
            Command::Config { .. } => app::commands::print(&config.effective_toml()),
            Command::Openapi => app::commands::openapi(),
            Command::AsteriskConfig(options) => app::commands::asterisk_config(&config, &options),
            Command::Backup(archive) => app::backup::backup(&config, &archive.file).await,
            Command::Restore(archive) => app::backup::restore(&config, &archive.file).await,
            Command::Export => app::transfer::export(config).await,
            Command::Import(options) => app::transfer::import(config, options).await,
        }
    })
}
