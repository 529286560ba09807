//! `wabridge sandbox`: the bridge between two simulated clouds, on this machine only, with a page to look at.
//!
//! It is set up by the same use cases as a real one: the simulated portal installs the application, the
//! simulated cloud does its handshake.

mod hands;
mod templates;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use super::serve::stop_on_signal;
use super::{App, Listeners, commands};
use crate::clock::Clock;
use crate::config::{Config, InternalListen, SourceCheck, TlsFiles, TrunkConfig};
use crate::domain::Secret;
use crate::sandbox::cloud::{CloudOptions, SimApp, SimCloud, SimCustomer};
use crate::sandbox::page::{SandboxPage, Scene, header_files};
use crate::sandbox::portal::{OPERATOR, PortalOptions, SimPortal};
use crate::sandbox::sip::{SimTelephony, TelephonyOptions, certificate};
use crate::secrets::random_token;
use crate::setup::Setup;
use crate::setup::apps::NewApp;
use crate::setup::calling::NewCalling;
use crate::setup::lines::NewLink;
use crate::setup::phones::NewPhone;
use crate::setup::portal_apps::NewPortalApp;
use crate::setup::wabas::NewWaba;

const CLIENT_ID: &str = "1029384756102938";
const WABA_ID: &str = "104996122399160";
const PHONE_ID: &str = "106540352242922";
const PHONE_NUMBER: &str = "15550783881";
const SIP_HOSTNAME: &str = "sip.sandbox.example";
const TRUNK: &str = "agents";
/// The simulated cloud waits as briefly as Meta; a machine that is busy with a build may be slower at first.
const HANDSHAKES: u32 = 5;
/// Tries to find a port that is free for UDP too.
const PORT_TRIES: u32 = 32;

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config, port: u16) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let page = TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("port {port} of this machine is taken; choose another with --port"))?;
    let sandbox = Sandbox::start(config, page).await?;
    commands::print(&sandbox.address())?;
    tracing::info!("open the address above in a browser; everything is gone when this ends");
    stop.cancelled().await;
    sandbox.stop().await
}

/// A bridge with its simulated clouds and the page.
pub struct Sandbox {
    /// The simulated WhatsApp cloud.
    pub cloud: SimCloud,
    /// The simulated portal.
    pub portal: SimPortal,
    /// The simulated callers and agents.
    pub telephony: SimTelephony,
    page: SandboxPage,
    hands: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    bridge: tokio::task::JoinHandle<anyhow::Result<()>>,
    _data: tempfile::TempDir,
}

impl Sandbox {
    /// Starts everything and links it; `config` gives the settings that are no addresses.
    pub async fn start(config: Config, page: TcpListener) -> anyhow::Result<Self> {
        let data = tempfile::Builder::new().prefix("wabridge-sandbox-").tempdir()?;
        let cloud = SimCloud::start(loopback()?, CloudOptions::default()).await?;
        let portal = SimPortal::start(loopback()?, loopback()?, PortalOptions::default()).await?;
        let public = loopback()?;
        let base_url = format!("http://{}", public.local_addr()?);
        let socket = SimTelephony::socket().await?;
        // By name, as its certificate is for one.
        let meta = tokio::net::TcpListener::bind("localhost:0").await?;
        let of_meta = certificate::write(data.path(), "meta", "localhost")?;
        let mut config = for_sandbox(config, &base_url, data.path(), &cloud, &portal)?;
        config.sip.meta_host = format!("localhost:{}", meta.local_addr()?.port());
        config.sip.meta_ca_file = Some(of_meta.certificate.clone());
        let (config, options) = with_telephony(config, data.path(), socket.local_addr()?)?;
        let telephony = SimTelephony::start(socket, meta, &of_meta, cloud.clone(), options)?;
        let app = App::build(config, Clock::System).await?;
        let (setup, relay, stop) = (app.setup.clone(), app.relay.clone(), CancellationToken::new());
        let listeners = Listeners { public, internal: None };
        let bridge = tokio::spawn(app.run(listeners, stop.clone()));
        let line_id = link(&setup, &cloud, &portal).await?;
        let (bridge_hands, hands) = hands::start(relay, header_links(&portal), stop.clone());
        let scene = Scene {
            phone_number_id: PHONE_ID.to_owned(),
            line_id,
            customers: customers(),
            bridge_url: base_url,
            telephony: Some(telephony.clone()),
            bridge: Some(bridge_hands),
        };
        let page = SandboxPage::start(page, cloud.clone(), portal.clone(), scene).await?;
        Ok(Self { cloud, portal, telephony, page, hands, stop, bridge, _data: data })
    }

    /// The address to open, with its token.
    pub fn address(&self) -> String {
        self.page.address()
    }

    /// Ends everything.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.page.stop().await;
        self.stop.cancel();
        self.hands.await?;
        let ended = self.bridge.await?;
        self.telephony.stop().await;
        self.cloud.stop().await;
        self.portal.stop().await;
        ended
    }
}

fn loopback() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0")
}

/// A port that is free for TCP and for UDP.
fn free_for_both() -> std::io::Result<SocketAddr> {
    let mut tries = 0;
    loop {
        let address = loopback()?.local_addr()?;
        match std::net::UdpSocket::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) if tries == PORT_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

fn for_sandbox(
    mut config: Config,
    base_url: &str,
    data: &Path,
    cloud: &SimCloud,
    portal: &SimPortal,
) -> anyhow::Result<Config> {
    config.public_url = base_url.parse()?;
    config.data_dir = data.to_owned();
    config.secrets.master_key = None;
    config.secrets.master_key_path = data.join("secret.key");
    config.database.url = crate::config::DatabaseUrl::Sqlite(data.join("wabridge.db"));
    config.meta.graph_url = cloud.url().parse()?;
    config.bitrix.oauth_servers = vec![portal.oauth_url().parse()?];
    config.outbound.allow_private_networks = true;
    config.http.internal_listen = InternalListen::Off;
    config.http.tls = None;
    config.relay.doubt = Duration::from_secs(10);
    Ok(config)
}

/// The SIP edge on loopback, between a simulated Meta and a simulated telephone system.
fn with_telephony(
    mut config: Config,
    data: &Path,
    trunk: SocketAddr,
) -> anyhow::Result<(Config, TelephonyOptions)> {
    let certificate = certificate::write(data, "sip", SIP_HOSTNAME)?;
    // The edge binds them itself, a moment later.
    let (edge, bridge) = (loopback()?.local_addr()?, free_for_both()?);
    let sip = &mut config.sip;
    sip.enabled = true;
    sip.listen = edge;
    sip.hostname = Some(SIP_HOSTNAME.to_owned());
    sip.tls = Some(TlsFiles {
        certificate: certificate.certificate.clone(),
        private_key: certificate.private_key.clone(),
    });
    sip.require_digest = true;
    sip.source_check = SourceCheck::Off;
    sip.sources_file = None;
    sip.trunk_listen = bridge;
    sip.trunk_advertised = sip.trunk_listen;
    sip.drain = Duration::ZERO;
    sip.trunks = vec![TrunkConfig {
        name: TRUNK.to_owned(),
        uris: vec![format!("sip:{trunk};transport=udp")],
        login: None,
        inbound_login: None,
        tls_ca_file: None,
        options_interval: None,
    }];
    let options = TelephonyOptions {
        edge,
        bridge,
        hostname: SIP_HOSTNAME.to_owned(),
        certificate: certificate.der()?,
        phone_number_id: PHONE_ID.to_owned(),
        number: PHONE_NUMBER.to_owned(),
        client_id: CLIENT_ID.to_owned(),
    };
    Ok((config, options))
}

/// The set-up that an administrator does once, in its order.
async fn link(setup: &Setup, cloud: &SimCloud, portal: &SimPortal) -> anyhow::Result<String> {
    let (secret, token) = (random_token(16), random_token(24));
    cloud.add_app(SimApp {
        client_id: CLIENT_ID.to_owned(),
        client_secret: secret.clone(),
        access_token: token.clone(),
        callback_url: None,
        verify_token: String::new(),
    });
    cloud.add_waba(WABA_ID, "Lucky Shrub");
    cloud.add_phone(WABA_ID, PHONE_ID, "+1 555-078-3881", "Lucky Shrub");
    for template in templates::samples() {
        cloud.add_template(WABA_ID, template);
    }
    let new = NewApp {
        name: "Sandbox".to_owned(),
        site: "127.0.0.1".to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::new(secret),
        access_token: Secret::new(token),
        graph_version: None,
        save_events: false,
    };
    let (app, verify_token) = setup.create_app(new).await?;
    let (callback, mut tries) = (setup.callback_url(&app), 0);
    while let Err(reason) = cloud.set_callback(CLIENT_ID, &callback, verify_token.expose()).await {
        tries += 1;
        if tries == HANDSHAKES {
            bail!("the handshake of the simulated cloud failed: {reason}");
        }
    }
    let waba = NewWaba { app_id: app.id, waba_id: WABA_ID.to_owned(), access_token: None };
    let waba = setup.create_waba(waba).await?;
    let phone = NewPhone {
        waba_id: waba.id,
        phone_number: PHONE_NUMBER.to_owned(),
        phone_number_id: PHONE_ID.to_owned(),
        sms_service: true,
    };
    let phone = setup.create_phone(phone).await?;
    let scopes = ["imopenlines", "imconnector", "im", "messageservice", "telephony", "crm", "disk"];
    let (handler, install) = (setup.handler_url().to_string(), setup.install_url().to_string());
    let local = portal.create_local_app(&handler, &install, true, &scopes);
    let new = NewPortalApp {
        name: "Sandbox".to_owned(),
        client_id: local.client_id.clone(),
        client_secret: Secret::new(local.client_secret),
    };
    setup.create_portal_app(new).await?;
    let outcome = portal.install(&local.client_id).await;
    if outcome.status != Some(200) {
        bail!("the simulated portal could not install the application: {:?}", outcome.status);
    }
    // A customer who is known, so that the card of a call shows one.
    portal.add_crm_contact("Maria Lopez", "+15550101234", OPERATOR);
    // What the installation page does in the administrator's browser.
    portal.finish_install(&local.client_id);
    let snapshot = setup.directory.now();
    let installed = snapshot.portals.first().context("the portal did not install the application")?;
    let calling = NewCalling {
        status: "ENABLED".to_owned(),
        trunk: Some(TRUNK.to_owned()),
        extension: Some("100".to_owned()),
        ..NewCalling::default()
    };
    if let Some(error) = setup.set_calling(&phone.id, calling).await?.error {
        bail!("calls could not be switched on: {} ({})", error.title, error.explanation);
    }
    let new =
        NewLink { phone_id: phone.id, portal_id: installed.id.to_string(), line_id: None, replace: false };
    Ok(setup.link(new).await?.line_id.into_string())
}

/// Files for the headers of templates, on the portal's disk: a picture of the wide world could not be had here.
fn header_links(portal: &SimPortal) -> hands::HeaderLinks {
    let link = |id: u64| format!("http://{}/disk/showFile/{id}/", portal.domain());
    header_files().into_iter().map(|(kind, file)| (kind, link(portal.put_on_disk(file)))).collect()
}

/// Customers to write as: known by number, by user id alone, by both.
fn customers() -> Vec<SimCustomer> {
    vec![
        SimCustomer::with_number("15550101234", "Maria Lopez"),
        SimCustomer {
            username: Some("omar.h".to_owned()),
            ..SimCustomer::with_user_id("US.13491208655302741918", "Omar Haddad")
        },
        SimCustomer {
            user_id: Some("DE.40912086553027419181".to_owned()),
            ..SimCustomer::with_number("4915112345678", "Jonas Weber")
        },
    ]
}
