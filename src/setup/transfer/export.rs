//! Writes the configuration: what an administrator has set, no state, no secret.

use std::collections::HashMap;

use super::{
    AppPart, AppSecrets, CallingPart, Configuration, FORMAT, LinePart, PhonePart, PhoneSettings,
    PortalAppPart, PortalPart, VERSION, WabaPart,
};
use crate::setup::{Setup, SetupError};
use crate::store::calling::CallingRow;
use crate::store::phones::PhoneRow;
use crate::store::{Conn, StoreError, apps, calling, lines, phones, portal_apps, portals, wabas};

impl Setup {
    /// The configuration without its secrets, in an order that does not depend on the database.
    pub async fn export_configuration(&self) -> Result<Configuration, SetupError> {
        let mut written = self.db.read(read).await?;
        FORMAT.clone_into(&mut written.format);
        written.version = VERSION;
        written.connector_code = Some(self.config.bitrix.connector_code.clone());
        Ok(written)
    }
}

fn read(conn: &mut Conn) -> Result<Configuration, StoreError> {
    let mut written = Configuration::default();
    let mut sites = HashMap::new();
    for row in apps::list(conn)? {
        sites.insert(row.id, row.site.clone());
        written.apps.push(AppPart {
            place: String::new(),
            name: row.name,
            site: row.site,
            client_id: row.client_id,
            api_key: Some(row.api_key),
            graph_version: row.graph_version,
            save_events: row.save_events,
            secrets: AppSecrets::default(),
        });
    }
    let mut accounts = HashMap::new();
    for row in wabas::list(conn)? {
        accounts.insert(row.id, row.waba_id.clone());
        written.wabas.push(WabaPart {
            place: String::new(),
            waba_id: row.waba_id,
            app: sites.get(&row.app_id).cloned().unwrap_or_default(),
            name: row.name,
            portfolio: row.portfolio,
            own_token: row.access_token_sealed.is_some(),
            access_token: None,
        });
    }
    let mut numbers = HashMap::new();
    let mut calls: HashMap<String, CallingRow> =
        calling::list(conn)?.into_iter().map(|row| (row.phone_id.clone(), row)).collect();
    for row in phones::list(conn)? {
        numbers.insert(row.id.clone(), row.phone_number_id.clone());
        let waba = accounts.get(&row.waba_key).cloned().unwrap_or_default();
        let calling = calls.remove(&row.id).map(calling_part);
        written.phones.push(phone_part(row, waba, calling));
    }
    read_portals(conn, &numbers, &mut written)?;
    written.apps.sort_by(|a, b| a.site.cmp(&b.site));
    written.wabas.sort_by(|a, b| a.waba_id.cmp(&b.waba_id));
    written.phones.sort_by(|a, b| a.phone_number_id.cmp(&b.phone_number_id));
    written.lines.sort_by(|a, b| a.phone.cmp(&b.phone));
    Ok(written)
}

fn read_portals(
    conn: &mut Conn,
    numbers: &HashMap<String, String>,
    written: &mut Configuration,
) -> Result<(), StoreError> {
    let (mut clients, mut members) = (HashMap::new(), HashMap::new());
    for row in portal_apps::list(conn)? {
        clients.insert(row.id, row.client_id.clone());
        written.portal_apps.push(PortalAppPart {
            place: String::new(),
            name: row.name,
            client_id: row.client_id,
            client_secret: None,
        });
    }
    for row in portals::list(conn)? {
        members.insert(row.id, row.member_id.clone());
        written.portals.push(PortalPart {
            place: String::new(),
            member_id: row.member_id,
            portal_app: clients.get(&row.portal_app_id).cloned().unwrap_or_default(),
            domain: row.domain,
            language: row.language,
            default_country: row.default_country,
            alarm_user_id: row.alarm_user_id,
        });
    }
    for row in lines::list(conn)? {
        written.lines.push(LinePart {
            place: String::new(),
            phone: numbers.get(&row.phone_id).cloned().unwrap_or_default(),
            portal: members.get(&row.portal_id).cloned().unwrap_or_default(),
            line_id: row.line_id,
            line_name: row.line_name,
        });
    }
    written.portal_apps.sort_by(|a, b| a.client_id.cmp(&b.client_id));
    written.portals.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    Ok(())
}

fn phone_part(row: PhoneRow, waba: String, calling: Option<CallingPart>) -> PhonePart {
    let stop_words = row.stop_words.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    PhonePart {
        place: String::new(),
        phone_number: format!("+{}", row.phone_number),
        phone_number_id: row.phone_number_id,
        waba,
        display_name: row.display_name,
        settings: PhoneSettings {
            sms_service: row.sms_service,
            read_receipts: row.read_receipts,
            system_messages: row.system_messages,
            signature: row.signature,
            closed_window: row.closed_window,
            fallback_template: row.fallback_template,
            default_language: row.default_language,
            sms_to_chat: row.sms_to_chat,
            crm_user_id: row.crm_user_id,
            stop_words,
            sms_code: row.sms_code,
            chat_names: row.chat_names,
        },
        calling,
    }
}

fn calling_part(row: CallingRow) -> CallingPart {
    CallingPart {
        status: row.status,
        sip_status: row.sip_status,
        hostname: row.hostname,
        port: u16::try_from(row.port).unwrap_or_default(),
        tgrp: row.tgrp,
        srtp_key_exchange_protocol: row.keying,
        webhook_delivery: row.webhook_delivery,
        trunk: row.trunk,
        extension: row.extension,
        crm_create: row.crm_create,
    }
}
