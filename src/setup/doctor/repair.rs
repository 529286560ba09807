//! Puts right what we can.

use serde_json::json;

use super::finding::{Finding, Repair};
use super::{Look, Scope, app};
use crate::domain::{AppId, PhoneKey, PortalId, Secret};
use crate::setup::behalf::Object;
use crate::setup::calling::NewCalling;
use crate::setup::{Setup, SetupError};
use crate::store::calling;

/// What is to be put right.
#[derive(Clone, Debug)]
pub struct RepairWish {
    /// How.
    pub repair: Repair,
    /// Our id of the finding's subject.
    pub subject_id: String,
    /// The number's PIN, where the repair wants it.
    pub pin: Option<Secret>,
}

impl Setup {
    /// Puts one thing right, then looks at it again. What the other cloud refuses is an error.
    pub async fn repair(&self, wish: &RepairWish) -> Result<Vec<Finding>, SetupError> {
        let id = wish.subject_id.as_str();
        let scope = match wish.repair {
            Repair::AppSubscription => {
                self.repair_app(id).await?;
                Scope::App(id.to_owned())
            }
            Repair::WabaSubscription => {
                self.subscribe_again(id).await?;
                Scope::Waba(id.to_owned())
            }
            Repair::PhoneOverride => {
                self.clear_override(id).await?;
                Scope::Phone(id.to_owned())
            }
            Repair::PhoneRegistration => {
                let pin = wish.pin.as_ref().ok_or_else(|| SetupError::field("pin", "must be six digits"))?;
                self.register_phone(id, pin).await?;
                Scope::Phone(id.to_owned())
            }
            Repair::PhoneProfile => {
                self.restore_profile(id).await?;
                Scope::Phone(id.to_owned())
            }
            Repair::PhoneCalling => {
                self.repair_calling(id).await?;
                Scope::Phone(id.to_owned())
            }
            Repair::PortalEvents | Repair::PortalConnector | Repair::PortalSenders => {
                self.repair_portal(wish).await?;
                Scope::Portal(id.to_owned())
            }
            Repair::LineConnector => {
                self.repair_line(id).await?;
                Scope::Phone(id.to_owned())
            }
        };
        tracing::info!(repair = wish.repair.as_str(), subject = id, "repaired");
        let found = self.examine(&Look { thorough: false, ..Look::at(scope) }).await;
        self.note_repair(wish, &found).await?;
        Ok(found)
    }

    /// Writes down who let what be put right.
    async fn note_repair(&self, wish: &RepairWish, found: &[Finding]) -> Result<(), SetupError> {
        let (own, id, repair) = (self.clone(), wish.subject_id.clone(), wish.repair);
        let name =
            found.iter().find(|finding| finding.subject.id == id).map(|finding| finding.subject.name.clone());
        let name = name.unwrap_or_else(|| id.clone());
        let noted = self.db.write(move |tx| {
            let object = Object { kind: repair.object(), id: &id, name: &name };
            own.note(tx, "repair", object, None, Some(&json!({"repair": repair.as_str()})))
        });
        Ok(noted.await?)
    }

    async fn repair_app(&self, id: &str) -> Result<(), SetupError> {
        let snapshot = self.directory.now();
        let own = snapshot.app(&AppId::from(id)).ok_or(SetupError::NotFound("app"))?;
        let secret = own.secrets.first().ok_or_else(|| broken(own.broken.as_deref()))?;
        let graph = self.graph_at(own.graph_version.as_deref());
        let told = self.counted("subscriptions", graph.subscription(&own.client_id, secret).await)?;
        // What somebody has ticked beside ours stays.
        let mut fields: Vec<String> = told.map(|told| told.fields).unwrap_or_default();
        // Room for calls costs nothing where there are none yet.
        let missing: Vec<&str> =
            app::fields(true).filter(|field| !fields.iter().any(|has| has == field)).collect();
        fields.extend(missing.into_iter().map(str::to_owned));
        let callback = self.callback_of(own);
        let outcome =
            graph.set_subscription(&own.client_id, secret, &callback, &own.verify_token, &fields).await;
        Ok(self.counted("set_subscription", outcome)?)
    }

    async fn clear_override(&self, id: &str) -> Result<(), SetupError> {
        let access = self.phone_access(id).await?;
        Ok(self.counted("clear_override", access.graph.clear_override(&access.token, &access.phone).await)?)
    }

    /// What we want is written at Meta once more; what it then refuses is told by the look that follows.
    async fn repair_calling(&self, id: &str) -> Result<(), SetupError> {
        let key = id.to_owned();
        let row = self.db.read(move |conn| calling::get(conn, &key)).await?;
        let row = row.ok_or(SetupError::NotFound("settings for calls of this phone"))?;
        let wanted = NewCalling {
            status: row.status,
            sip_status: Some(row.sip_status),
            hostname: row.hostname,
            port: u32::try_from(row.port).ok(),
            user_params: None,
            keying: Some(row.keying),
            webhook_delivery: Some(row.webhook_delivery),
            trunk: row.trunk,
            extension: row.extension,
            crm_create: Some(row.crm_create),
        };
        self.set_calling(id, wanted).await.map(drop)
    }

    async fn repair_portal(&self, wish: &RepairWish) -> Result<(), SetupError> {
        let id = PortalId::from(wish.subject_id.as_str());
        let member = {
            let snapshot = self.directory.now();
            snapshot.portal(&id).ok_or(SetupError::NotFound("portal"))?.member_id.clone()
        };
        let _one_at_a_time = self.gate(&member).lock_owned().await;
        match wish.repair {
            Repair::PortalEvents => self.bind_events(&id).await,
            Repair::PortalSenders => {
                self.restore_senders(&id).await?.map_or(Ok(()), |why| Err(SetupError::Portal(why)))
            }
            _ => self.register_connector(&id).await,
        }
    }

    async fn repair_line(&self, phone_id: &str) -> Result<(), SetupError> {
        let snapshot = self.directory.now();
        let phone = snapshot.phone(&PhoneKey::from(phone_id)).ok_or(SetupError::NotFound("phone"))?;
        let binding =
            snapshot.binding_of_phone(&phone.key).ok_or(SetupError::NotFound("line of this phone"))?;
        let portal = snapshot.portal(&binding.portal).ok_or(SetupError::NotFound("portal"))?;
        let _one_at_a_time = self.gate(&portal.member_id).lock_owned().await;
        self.switch_on(&binding.portal, &binding.line, phone).await?;
        self.scheduler.resume(&crate::queue::Class::Line.queue(&phone.key));
        Ok(())
    }
}

fn broken(why: Option<&str>) -> SetupError {
    SetupError::Conflict(why.unwrap_or("the app secret must be entered again").to_owned())
}
