//! One call to the portal, and its verdict on each parcel.

use super::{Content, Line, Parcel, Taken, Told};
use crate::bitrix::error::CallError;
use crate::bitrix::imconnector::{
    DeleteMessages, LineChange, LineMessage, LineRemoval, SendDelivery, SendMessages, SendReply,
    UpdateMessages,
};
use crate::domain::{LineId, PortalId};
use crate::relay::Relay;

impl Relay {
    /// One call of one family, and what it says of each parcel.
    pub(super) async fn call(&self, line: &Line, parcels: &[Parcel]) -> Result<Vec<Told>, CallError> {
        let (connector, portal) = (self.settings.connector.as_str(), &line.portal.id);
        let line = &line.binding.line;
        let mut deliveries = Vec::new();
        for parcel in parcels {
            if let Content::Accepted(delivery) = &parcel.content {
                deliveries.push(delivery.clone());
            }
        }
        if !deliveries.is_empty() {
            self.gateway.call(portal, &SendDelivery { connector, line, deliveries: &deliveries }).await?;
            return Ok(parcels.iter().map(|_| Told::Taken(Taken::default())).collect());
        }
        if parcels.iter().any(|parcel| !matches!(parcel.content, Content::Messages(_))) {
            return self.call_changes(portal, line, parcels).await;
        }
        let messages: Vec<LineMessage> =
            parcels.iter().flat_map(|parcel| parcel.content.messages()).cloned().collect();
        if messages.is_empty() {
            return Ok(parcels.iter().map(|_| Told::Taken(Taken::default())).collect());
        }
        let reply = self.gateway.call(portal, &SendMessages { connector, line, messages: &messages }).await?;
        let ids = |parcel: &Parcel| {
            let messages = parcel.content.messages().iter();
            messages.map(|message| message.message.id.clone()).collect::<Vec<_>>()
        };
        Ok(told_each(&reply, parcels.iter().map(ids)))
    }

    /// Edits and revocations: either may be repeated, should the second call fail.
    async fn call_changes(
        &self,
        portal: &PortalId,
        line: &LineId,
        parcels: &[Parcel],
    ) -> Result<Vec<Told>, CallError> {
        let connector = self.settings.connector.as_str();
        let mut told: Vec<Told> = parcels.iter().map(|_| Told::Taken(Taken::default())).collect();
        let texts: Vec<LineChange> = parcels.iter().flat_map(|parcel| parcel.changes().0).cloned().collect();
        if !texts.is_empty() {
            let call = UpdateMessages { connector, line, messages: &texts };
            let reply = self.gateway.call(portal, &call).await?;
            let ids = |parcel: &Parcel| parcel.changes().0.iter().map(|one| one.message_id.clone()).collect();
            join(&mut told, told_each(&reply, parcels.iter().map(ids)));
        }
        let removals: Vec<LineRemoval> =
            parcels.iter().flat_map(|parcel| parcel.changes().1).cloned().collect();
        if !removals.is_empty() {
            let call = DeleteMessages { connector, line, messages: &removals };
            let reply = self.gateway.call(portal, &call).await?;
            let ids = |parcel: &Parcel| parcel.changes().1.iter().map(|one| one.message_id.clone()).collect();
            join(&mut told, told_each(&reply, parcels.iter().map(ids)));
        }
        Ok(told)
    }
}

/// What the reply says of each parcel, by the ids of its messages in the order of the call.
fn told_each(reply: &SendReply, parcels: impl Iterator<Item = Vec<String>>) -> Vec<Told> {
    let mut place = 0;
    let tell = |ids: Vec<String>| {
        place += ids.len();
        told(reply, place - ids.len(), &ids)
    };
    parcels.map(tell).collect()
}

/// What a second call says of the same parcels.
fn join(first: &mut [Told], second: Vec<Told>) {
    for (first, second) in first.iter_mut().zip(second) {
        if matches!(second, Told::Refused { .. }) {
            *first = second;
        }
    }
}

/// What the reply says of the messages with these ids, from a place on.
fn told(reply: &SendReply, place: usize, ids: &[String]) -> Told {
    let mut taken: Option<Taken> = None;
    let mut error = None;
    for (index, id) in ids.iter().enumerate() {
        match reply.item(place + index, id) {
            Some(item) if item.success => {
                taken.get_or_insert_with(|| Taken {
                    files: (index == 0).then_some(item.files),
                    im_chat_id: item.portal_chat_id.clone(),
                });
            }
            Some(item) if !item.errors.is_empty() => error = Some(item.errors.join("; ")),
            Some(_) => error = Some("the portal did not take the message".to_owned()),
            None => error = Some("the portal gave no verdict on the message".to_owned()),
        }
    }
    match error {
        Some(error) => Told::Refused { error, partly: taken.is_some() },
        None => Told::Taken(taken.unwrap_or_default()),
    }
}
