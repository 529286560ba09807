//! What a click on the page does.

mod customer;
mod operator;

use actix_web::web::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use customer::{add_context, edit, person, send, send_sample};
use operator::with_quote;

use super::Desk;
use super::calls::{self, Click};
use super::samples::{self, Sample};
use crate::sandbox::cloud::{Faults as CloudFaults, SendFault, SimMedia, SimPermission};
use crate::sandbox::portal::{FaultKind, Faults as PortalFaults, OPERATOR, SimFile};

/// A request of the page, `{"do": "say", …}`.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Action {
    // The customer.
    Say {
        customer: String,
        text: String,
        #[serde(default)]
        reply_to: String,
    },
    Sample {
        customer: String,
        name: String,
    },
    Location {
        customer: String,
        latitude: f64,
        longitude: f64,
        name: String,
    },
    Contact {
        customer: String,
        name: String,
        phone: String,
    },
    React {
        customer: String,
        message: String,
        emoji: String,
    },
    Edit {
        customer: String,
        message: String,
        text: String,
    },
    Delete {
        customer: String,
        message: String,
    },
    Press {
        customer: String,
        message: String,
        id: String,
        title: String,
        list: bool,
        #[serde(default)]
        template: bool,
    },
    Read {
        customer: String,
    },
    Played {
        message: String,
    },
    Online {
        customer: String,
        on: bool,
    },
    KeepOpen {
        customer: String,
        on: bool,
    },
    Window {
        customer: String,
        open: bool,
    },
    Call {
        customer: String,
    },
    HangUp {
        call: String,
    },
    PickUp {
        call: String,
    },
    PermitCalls {
        customer: String,
        on: bool,
    },
    // The operator.
    Dial {
        customer: String,
    },
    AnswerCall {
        call: String,
    },
    DeclineCall {
        call: String,
    },
    EndCall {
        call: String,
    },
    Write {
        chat: String,
        text: String,
        #[serde(default)]
        reply_to: String,
    },
    SendSample {
        chat: String,
        name: String,
    },
    Note {
        chat: String,
        text: String,
    },
    Automatic {
        chat: String,
        text: String,
    },
    Finish {
        chat: String,
    },
    // The CRM.
    Sms {
        code: String,
        to: String,
        text: String,
    },
    Robot {
        code: String,
        to: String,
        text: String,
        count: usize,
    },
    // The switches.
    CloudFaults {
        change: Map<String, Value>,
    },
    PortalFaults {
        change: Map<String, Value>,
    },
    CloudOnce {
        fault: SendFault,
    },
    PortalOnce {
        fault: FaultKind,
    },
    FailNext {
        code: u32,
    },
    FillBucket {},
    Calm {},
}

/// Messages that a robot sends at most by one click.
const ROBOT: usize = 5_000;

/// A robot of the CRM, without author: to the number, and to made-up ones behind it.
fn robot(desk: &Desk, code: &str, to: &str, text: &str, count: usize) -> Result<String, String> {
    if count == 0 || count > ROBOT {
        return Err(format!("A robot sends 1 to {ROBOT} messages."));
    }
    let mut last = String::new();
    for index in 0..count {
        let number = if index == 0 { to.to_owned() } else { format!("+1555{:07}", 2_000_000 + index) };
        let sent = desk.portal.send_sms(code, &number, text, None);
        last = sent.ok_or_else(|| "The portal has no such sender.".to_owned())?;
    }
    Ok(last)
}

/// A file from the page.
pub(super) struct Upload {
    pub(super) mime: String,
    pub(super) name: String,
    /// Caption, or the operator's text.
    pub(super) text: String,
    pub(super) reply_to: String,
    pub(super) bytes: Bytes,
}

/// Does it; gives the id of what was sent, if anything was, or says why not.
pub(super) fn act(desk: &Desk, action: Action) -> Result<String, String> {
    let Desk { cloud, portal, scene, .. } = desk;
    let phone = scene.phone_number_id.as_str();
    let line = scene.line_id.as_str();
    match action {
        Action::Call { customer } => calls::click(desk, Click::Call, &customer),
        Action::HangUp { call } => calls::click(desk, Click::HangUp, &call),
        Action::PickUp { call } => calls::click(desk, Click::PickUp, &call),
        Action::Dial { customer } => calls::click(desk, Click::Dial, &customer),
        Action::PermitCalls { customer, on } => {
            // As the answer to a request of the business: the bridge is told of it.
            let given = if on { SimPermission::Permanent } else { SimPermission::None };
            let person = person(desk, &customer)?;
            Ok(cloud.customer_answers_call_request(phone, &person, given))
        }
        Action::AnswerCall { call } => calls::click(desk, Click::Answer, &call),
        Action::DeclineCall { call } => calls::click(desk, Click::Decline, &call),
        Action::EndCall { call } => calls::click(desk, Click::AgentHangUp, &call),
        Action::Say { customer, text, reply_to } => {
            let text = filled(&text)?;
            let mut message = json!({"type": "text", "text": {"body": text}});
            add_context(desk, &customer, &mut message, &reply_to);
            send(desk, &customer, message)
        }
        Action::Sample { customer, name } => {
            let sample = samples::sample(&name).ok_or_else(|| format!("There is no sample {name}."))?;
            send_sample(desk, &customer, sample)
        }
        Action::Location { customer, latitude, longitude, name } => {
            if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
                return Err("Latitude goes from -90 to 90, longitude from -180 to 180.".to_owned());
            }
            let mut place = json!({"latitude": latitude, "longitude": longitude});
            if let (Some(place), false) = (place.as_object_mut(), name.trim().is_empty()) {
                place.insert("name".to_owned(), json!(name.trim()));
            }
            send(desk, &customer, json!({"type": "location", "location": place}))
        }
        Action::Contact { customer, name, phone } => {
            send_sample(desk, &customer, samples::contact(filled(&name)?, filled(&phone)?))
        }
        Action::React { customer, message, emoji } => {
            let mut reaction = json!({ "message_id": message });
            // A reaction that is taken back comes without an emoji (facts §1.6).
            if let (Some(reaction), false) = (reaction.as_object_mut(), emoji.is_empty()) {
                reaction.insert("emoji".to_owned(), json!(emoji));
            }
            send(desk, &customer, json!({"type": "reaction", "reaction": reaction}))
        }
        Action::Edit { customer, message, text } => edit(desk, &customer, &message, filled(&text)?),
        Action::Delete { customer, message } => {
            send(desk, &customer, json!({"type": "revoke", "revoke": {"original_message_id": message}}))
        }
        Action::Press { customer, message, id, title, template: true, .. } => {
            let mut press = json!({"type": "button", "button": {"payload": id, "text": title}});
            add_context(desk, &customer, &mut press, &message);
            send(desk, &customer, press)
        }
        Action::Press { customer, message, id, title, list, template: false } => {
            let kind = if list { "list_reply" } else { "button_reply" };
            let mut press = json!({"type": "interactive", "interactive": {"type": kind}});
            if let Some(interactive) = press.get_mut("interactive").and_then(Value::as_object_mut) {
                interactive.insert(kind.to_owned(), json!({"id": id, "title": title}));
            }
            add_context(desk, &customer, &mut press, &message);
            send(desk, &customer, press)
        }
        Action::Read { customer } => Ok(cloud.customer_reads(phone, &customer).to_string()),
        Action::Played { message } => {
            cloud.customer_plays(&message);
            done()
        }
        Action::Online { customer, on } => {
            // A phone that was never used is not known to the cloud yet.
            if !on && cloud.thread(phone, &customer).is_empty() {
                return Err("Let the customer write something first.".to_owned());
            }
            cloud.set_online(&customer, on);
            done()
        }
        Action::KeepOpen { customer, on } => {
            cloud.open_chat(phone, &customer, on);
            done()
        }
        Action::Window { customer, open } => {
            if open {
                cloud.open_window(phone, &customer);
            } else {
                cloud.close_window(phone, &customer);
            }
            if let (Some(bridge), Ok(person)) = (&scene.bridge, person(desk, &customer)) {
                // The bridge counts the day by its own clock: it is told that the day is over. Nobody listens
                // only when everything ends.
                let _ = bridge.windows.send((person, open));
            }
            done()
        }
        Action::Write { chat, text, reply_to } => {
            let text = with_quote(desk, &chat, filled(&text)?, &reply_to);
            portal.operator_writes(line, &chat, &text, Vec::new()).map_err(|error| error.to_string())
        }
        Action::SendSample { chat, name } => {
            let Some(Sample::Media(media)) = samples::sample(&name) else {
                return Err(format!("There is no file {name}."));
            };
            let name = media.filename.unwrap_or_else(|| format!("{name}.{}", extension(&media.mime)));
            let file = SimFile { name, mime: media.mime, bytes: media.bytes.to_vec() };
            portal.operator_writes(line, &chat, "", vec![file]).map_err(|error| error.to_string())
        }
        Action::Note { chat, text } => {
            portal.operator_whispers(line, &chat, filled(&text)?).map_err(|error| error.to_string())
        }
        Action::Automatic { chat, text } => {
            portal.automatic_message(line, &chat, filled(&text)?).map_err(|error| error.to_string())
        }
        Action::Finish { chat } => {
            portal.finish_dialog(line, &chat).map_err(|error| error.to_string())?;
            done()
        }
        Action::Sms { code, to, text } => {
            let (to, text) = (filled(&to)?, filled(&text)?);
            let sent = portal.send_sms(&code, to, text, Some(OPERATOR));
            sent.ok_or_else(|| "The portal has no such sender.".to_owned())
        }
        Action::Robot { code, to, text, count } => robot(desk, &code, filled(&to)?, filled(&text)?, count),
        Action::CloudFaults { change } => {
            cloud.set_faults(changed(&cloud.faults(), change)?);
            done()
        }
        Action::PortalFaults { change } => {
            portal.set_faults(changed(&portal.faults(), change)?);
            done()
        }
        Action::CloudOnce { fault } => {
            cloud.change_faults(|faults| faults.send_next.push(fault));
            done()
        }
        Action::PortalOnce { fault } => {
            portal.plan_fault(fault, None, 1);
            done()
        }
        Action::FailNext { code } => {
            cloud.change_faults(|faults| {
                faults.fail_next += 1;
                faults.fail_code = code;
            });
            done()
        }
        Action::FillBucket {} => {
            portal.fill_bucket();
            done()
        }
        Action::Calm {} => {
            cloud.set_faults(CloudFaults::default());
            portal.set_faults(PortalFaults::default());
            done()
        }
    }
}

/// The customer sends a file.
pub(super) fn customer_file(
    desk: &Desk,
    customer: &str,
    kind: &str,
    upload: Upload,
) -> Result<String, String> {
    let kinds = ["image", "video", "audio", "voice", "document", "sticker"];
    if !kinds.contains(&kind) {
        return Err(format!("There is no kind {kind}."));
    }
    if upload.bytes.is_empty() {
        return Err("The file is empty.".to_owned());
    }
    let captioned = matches!(kind, "image" | "video" | "document");
    let mut more = json!({});
    add_context(desk, customer, &mut more, &upload.reply_to);
    let caption = Some(upload.text).filter(|caption| captioned && !caption.trim().is_empty());
    let filename = Some(upload.name).filter(|_| kind == "document");
    let media =
        SimMedia { kind: kind.to_owned(), bytes: upload.bytes, mime: upload.mime, filename, caption, more };
    send_sample(desk, customer, Sample::Media(media))
}

/// The operator sends a file.
pub(super) fn operator_file(desk: &Desk, chat: &str, upload: Upload) -> Result<String, String> {
    let text = with_quote(desk, chat, &upload.text, &upload.reply_to);
    let name = if upload.name.is_empty() { "file".to_owned() } else { upload.name };
    let file = SimFile { name, mime: upload.mime, bytes: upload.bytes.to_vec() };
    let written = desk.portal.operator_writes(&desk.scene.line_id, chat, &text, vec![file]);
    written.map_err(|error| error.to_string())
}

fn done() -> Result<String, String> {
    Ok(String::new())
}

fn filled(text: &str) -> Result<&str, String> {
    if text.trim().is_empty() { Err("There is nothing to send.".to_owned()) } else { Ok(text) }
}

/// The switches with some of them changed; an unknown key changes nothing.
fn changed<F: serde::Serialize + serde::de::DeserializeOwned>(
    faults: &F,
    change: Map<String, Value>,
) -> Result<F, String> {
    let mut all = serde_json::to_value(faults).map_err(|error| error.to_string())?;
    if let Some(all) = all.as_object_mut() {
        all.extend(change);
    }
    serde_json::from_value(all).map_err(|error| error.to_string())
}

fn extension(mime: &str) -> &'static str {
    match mime.split(';').next().unwrap_or_default() {
        "image/jpeg" => "jpg",
        "image/webp" => "webp",
        "audio/ogg" => "ogg",
        "video/mp4" => "mp4",
        _ => "bin",
    }
}
