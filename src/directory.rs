//! What is configured, in memory: apps, WABAs, phones, portals and lines, with their secrets opened.
//!
//! Webhooks and jobs look here instead of asking the database each time. The snapshot is replaced as a whole
//! after each change of the configuration. A secret that cannot be opened breaks its own object alone: the
//! object is there and says why.

mod entries;

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::{
    AppId, LineId, MemberId, PhoneKey, PhoneNumberId, PortalAppId, PortalId, WabaId, WabaKey,
};
use crate::secrets::Vault;
use crate::store::{self, Conn, Db, StoreError};

pub use entries::{App, Binding, Broken, Calling, Channel, Phone, Portal, PortalApp, Waba, context};

/// Everything that is configured, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Meta apps.
    pub apps: Vec<App>,
    /// WhatsApp Business Accounts.
    pub wabas: Vec<Waba>,
    /// Phones.
    pub phones: Vec<Phone>,
    /// Local applications.
    pub portal_apps: Vec<PortalApp>,
    /// Portals.
    pub portals: Vec<Portal>,
    /// Lines.
    pub bindings: Vec<Binding>,
    /// Phones with settings for calls.
    pub calling: Vec<Calling>,
}

impl Snapshot {
    /// The app that a webhook selects: by key, else by client id, else by the host that was called.
    pub fn select_app(
        &self,
        api_key: Option<&str>,
        client_id: Option<&str>,
        host: Option<&str>,
    ) -> Option<&App> {
        match (api_key, client_id, host) {
            (Some(key), _, _) => self.apps.iter().find(|app| app.api_key == key),
            (None, Some(id), _) => self.apps.iter().find(|app| app.client_id == id),
            (None, None, Some(host)) => self.apps.iter().find(|app| app.site.eq_ignore_ascii_case(host)),
            (None, None, None) => None,
        }
    }

    /// An app.
    pub fn app(&self, id: &AppId) -> Option<&App> {
        self.apps.iter().find(|app| app.id == *id)
    }

    /// A WABA.
    pub fn waba(&self, key: &WabaKey) -> Option<&Waba> {
        self.wabas.iter().find(|waba| waba.key == *key)
    }

    /// The WABA that Meta names so.
    pub fn waba_by_id(&self, id: &WabaId) -> Option<&Waba> {
        self.wabas.iter().find(|waba| waba.waba_id == *id)
    }

    /// A phone.
    pub fn phone(&self, key: &PhoneKey) -> Option<&Phone> {
        self.phones.iter().find(|phone| phone.key == *key)
    }

    /// The phone that Meta names so.
    pub fn phone_by_id(&self, id: &PhoneNumberId) -> Option<&Phone> {
        self.phones.iter().find(|phone| phone.phone_number_id == *id)
    }

    /// A phone with what it takes to call Meta for it.
    pub fn channel(&self, key: &PhoneKey) -> Option<Channel<'_>> {
        let phone = self.phone(key)?;
        let waba = self.waba(&phone.waba_key)?;
        let app = self.app(&waba.app_id)?;
        Some(Channel { phone, waba, app })
    }

    /// A local application.
    pub fn portal_app(&self, id: &PortalAppId) -> Option<&PortalApp> {
        self.portal_apps.iter().find(|app| app.id == *id)
    }

    /// A portal.
    pub fn portal(&self, id: &PortalId) -> Option<&Portal> {
        self.portals.iter().find(|portal| portal.id == *id)
    }

    /// The portal with this key.
    pub fn portal_by_member(&self, member_id: &MemberId) -> Option<&Portal> {
        self.portals.iter().find(|portal| portal.member_id == *member_id)
    }

    /// The line of a phone.
    pub fn binding_of_phone(&self, phone: &PhoneKey) -> Option<&Binding> {
        self.bindings.iter().find(|binding| binding.phone == *phone)
    }

    /// How a phone is set up for calls.
    pub fn calling(&self, phone: &PhoneKey) -> Option<&Calling> {
        self.calling.iter().find(|calling| calling.phone == *phone)
    }

    /// The phone of a line.
    pub fn binding_of_line(&self, portal: &PortalId, line: &LineId) -> Option<&Binding> {
        self.bindings.iter().find(|binding| binding.portal == *portal && binding.line == *line)
    }
}

/// The current snapshot and the way to the next one.
#[derive(Clone)]
pub struct Directory {
    db: Db,
    vault: Arc<Vault>,
    current: Arc<watch::Sender<Arc<Snapshot>>>,
    /// One at a time, or an older reading could replace a newer one.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl Directory {
    /// Reads what is configured.
    pub async fn open(db: Db, vault: Arc<Vault>) -> Result<Self, StoreError> {
        let current = Arc::new(watch::Sender::new(Arc::default()));
        let directory = Self { db, vault, current, reading: Arc::default() };
        directory.reload().await?;
        Ok(directory)
    }

    /// What is configured now.
    pub fn now(&self) -> Arc<Snapshot> {
        self.current.borrow().clone()
    }

    /// Tells of each new reading, for those who derive something from it.
    pub fn changes(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// The key to stored secrets.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Reads what is configured again; called after each change.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.reading.lock().await;
        let vault = self.vault.clone();
        let snapshot = self.db.read(move |conn| read(conn, &vault)).await?;
        self.current.send_replace(Arc::new(snapshot));
        Ok(())
    }
}

fn read(conn: &mut Conn, vault: &Vault) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        apps: store::apps::list(conn)?.into_iter().map(|row| App::open(row, vault)).collect(),
        wabas: store::wabas::list(conn)?.into_iter().map(|row| Waba::open(row, vault)).collect(),
        phones: store::phones::list(conn)?.into_iter().map(Phone::from).collect(),
        portal_apps: store::portal_apps::list(conn)?
            .into_iter()
            .map(|row| PortalApp::open(row, vault))
            .collect(),
        portals: store::portals::list(conn)?.into_iter().map(|row| Portal::open(row, vault)).collect(),
        bindings: store::lines::list(conn)?.into_iter().map(Binding::from).collect(),
        calling: store::calling::list(conn)?.into_iter().map(|row| Calling::open(row, vault)).collect(),
    })
}
