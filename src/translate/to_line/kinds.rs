//! The readable form of every kind of content.

use serde_json::Value;

use super::words::{address, date, italic, lines, media, shortened};
use super::{Known, Quoted, View, flow, kind_of, typed};
use crate::domain::Language;
use crate::translate::markup::{neutralise, to_whatsapp};
use crate::whatsapp::message::{ContactCard, Content, Location, Order, OrderItem, System};

/// A content without BBCode, for the ledger and for quotes of it: text as it is, of a file its kind and
/// caption (or name), of other kinds their readable form.
pub fn summary(content: &Content, language: Language) -> String {
    if let Some((kind, file)) = kind_of(content) {
        let more = file.caption.as_deref().or(file.filename.as_deref());
        return match more {
            Some(more) => format!("{}: {more}", media(kind, language)),
            None => media(kind, language).to_owned(),
        };
    }
    match content {
        Content::Text { body } => body.clone(),
        Content::Edit { content, .. } if !matches!(**content, Content::Edit { .. }) => {
            summary(content, language)
        }
        content => {
            // A summary stands where the message reacted to is at hand.
            let quoted = Quoted::Known { author: String::new(), text: String::new(), when: None };
            let known = Known { quoted, ..Known::default() };
            let view = View { known: &known, language };
            to_whatsapp(&text(&view, content).replace("[i]", "").replace("[/i]", ""))
        }
    }
}

/// BBCode of a content; of a file only what the file itself does not show.
pub fn text(view: &View<'_>, content: &Content) -> String {
    if let Some((kind, file)) = kind_of(content) {
        let label = media(kind, view.language);
        let missing =
            file.id.is_none().then(|| italic(&format!("{label}: {}", view.say("no file", "нет файла"))));
        let caption = file.caption.as_deref().map(typed);
        let caption = caption.or_else(|| file.voice.then(|| label.to_owned()));
        return lines([missing.unwrap_or_default(), caption.unwrap_or_default()]);
    }
    match content {
        Content::Text { body } if body.trim().is_empty() => {
            italic(view.say("Empty message", "Пустое сообщение"))
        }
        Content::Text { body } => typed(body),
        Content::Location(place) => location(view, place),
        Content::Contacts(cards) => {
            cards.iter().map(|card| contact(view, card)).collect::<Vec<_>>().join("\n\n")
        }
        Content::ButtonReply { id, title } => reply(view.say("🔘 Button", "🔘 Кнопка"), title, &None, id),
        Content::ListReply { id, title, description } => {
            reply(view.say("☑ Choice", "☑ Выбор"), title, description, id)
        }
        Content::Button { text, payload } => {
            lines([reply(view.say("🔘 Button", "🔘 Кнопка"), text, &None, payload), of_template(view)])
        }
        Content::FlowReply { name, body, response } => {
            flow_reply(view, name.as_deref(), body.as_deref(), response)
        }
        Content::CallPermission { response, permanent, expires } => {
            let until = expires.map(|at| date(at, view.known.utc_offset));
            match (response.as_str(), *permanent, until) {
                ("accept", true, _) => {
                    view.say("📞 Calls allowed, without end", "📞 Звонки разрешены бессрочно").to_owned()
                }
                ("accept", _, Some(until)) => {
                    format!("{} {until}", view.say("📞 Calls allowed until", "📞 Звонки разрешены до"))
                }
                ("accept", _, None) => view.say("📞 Calls allowed", "📞 Звонки разрешены").to_owned(),
                ("reject", ..) => view.say("📞 Calls declined", "📞 Звонки запрещены").to_owned(),
                (other, ..) => {
                    format!(
                        "{}: {}",
                        view.say("📞 Answer to a call request", "📞 Ответ на запрос звонка"),
                        neutralise(other)
                    )
                }
            }
        }
        Content::Reaction { emoji, .. } => reaction(view, emoji.as_deref()),
        Content::Order(cart) => order(view, cart),
        Content::System(change) => system(view, change),
        Content::Edit { .. } => italic(view.say("The customer edited a message", "Клиент изменил сообщение")),
        Content::Revoke { .. } => {
            italic(view.say("The customer deleted a message", "Клиент удалил сообщение"))
        }
        Content::Unsupported { kind, code } => unsupported(view, kind.as_deref(), *code),
        Content::Unknown { kind } => unknown(view, kind),
        // Told by `kind_of` above.
        Content::Image(_)
        | Content::Video(_)
        | Content::Audio(_)
        | Content::Document(_)
        | Content::Sticker(_) => String::new(),
    }
}

/// A point with a link that every browser opens.
fn location(view: &View<'_>, place: &Location) -> String {
    let map = place
        .point
        .map(|(latitude, longitude)| format!("https://www.google.com/maps?q={latitude},{longitude}"));
    let name = place.name.as_deref().map(neutralise);
    lines([
        format!("📍 {}", name.unwrap_or_else(|| view.say("Location", "Местоположение").to_owned())),
        place.address.as_deref().map(neutralise).unwrap_or_default(),
        map.unwrap_or_default(),
        place.url.as_deref().map(address).unwrap_or_default(),
    ])
}

fn contact(view: &View<'_>, card: &ContactCard) -> String {
    let plain = |text: &Option<String>| text.as_deref().map(neutralise).unwrap_or_default();
    let name = card.name.as_deref().map(neutralise);
    let own = if card.is_own {
        view.say(" (the customer's own)", " (свой контакт клиента)")
    } else {
        ""
    };
    let phones = card.phones.iter().map(|phone| {
        let kind = phone.kind.as_deref().map(|kind| format!(", {}", neutralise(&kind.to_lowercase())));
        let whatsapp = if phone.wa_id.is_some() { ", WhatsApp" } else { "" };
        format!("☎ {}{}{whatsapp}", neutralise(&phone.phone), kind.unwrap_or_default())
    });
    lines(
        [
            format!("👤 {}{own}", name.unwrap_or_else(|| view.say("Contact", "Контакт").to_owned())),
            plain(&card.organisation),
        ]
        .into_iter()
        .chain(phones)
        .chain(card.emails.iter().map(|email| format!("✉ {}", neutralise(email))))
        .chain(card.addresses.iter().map(|address| format!("🏠 {}", neutralise(address))))
        .chain(card.urls.iter().map(|url| address(url)))
        .chain(card.birthday.as_deref().map(|day| format!("🎂 {}", neutralise(day)))),
    )
}

/// Label and payload of a tap.
fn reply(
    kind: &str,
    label: &Option<String>,
    description: &Option<String>,
    payload: &Option<String>,
) -> String {
    let shown = label.as_deref().or(payload.as_deref()).unwrap_or_default();
    let payload = payload.as_deref().filter(|payload| *payload != shown);
    lines([
        format!("{kind}: {}", neutralise(shown)),
        description.as_deref().map(neutralise).unwrap_or_default(),
        payload.map(|payload| italic(&format!("({})", neutralise(payload)))).unwrap_or_default(),
    ])
}

/// The template whose button was tapped.
fn of_template(view: &View<'_>) -> String {
    let name = view.known.template.as_deref().unwrap_or_default();
    match name {
        "" => String::new(),
        name => italic(&format!("{} {}", view.say("Template:", "Шаблон:"), neutralise(name))),
    }
}

fn flow_reply(view: &View<'_>, name: Option<&str>, body: Option<&str>, response: &Value) -> String {
    let title = match name {
        Some("address_message") => view.say("🏠 Address", "🏠 Адрес"),
        _ => view.say("📝 Form", "📝 Форма"),
    };
    let body = body.filter(|body| *body != "Sent").map(|body| format!(": {}", neutralise(body)));
    lines([format!("{title}{}", body.unwrap_or_default()), flow::list(view, response)])
}

fn reaction(view: &View<'_>, emoji: Option<&str>) -> String {
    let to_unknown = match view.known.quoted {
        Quoted::Known { .. } => "",
        Quoted::None | Quoted::Unknown => view.say(
            " (to a message that is older or not kept here)",
            " (на сообщение, которое отправлено давно или здесь не сохранилось)",
        ),
    };
    match emoji {
        Some(emoji) => format!("{} {}{to_unknown}", view.say("Reaction:", "Реакция:"), neutralise(emoji)),
        None => format!("{}{to_unknown}", view.say("Reaction removed", "Реакция убрана")),
    }
}

fn order(view: &View<'_>, order: &Order) -> String {
    let line = |item: &OrderItem| {
        let price = item.price.map(|price| format!(" — {}", money(price, item.currency.as_deref())));
        let product = item.product_id.as_deref().unwrap_or("?");
        let quantity = item.quantity.map(|quantity| format!(" × {}", amount(quantity)));
        format!("• {}{}{}", neutralise(product), quantity.unwrap_or_default(), price.unwrap_or_default())
    };
    let title = view.say("🛒 Order", "🛒 Заказ");
    let catalog = order
        .catalog_id
        .as_deref()
        .map(|catalog| format!(" ({} {})", view.say("catalogue", "каталог"), neutralise(catalog)));
    // Carts are small; whatever comes, the line stays readable.
    let hidden = order.items.len().saturating_sub(100);
    let rest = (hidden > 0).then(|| format!("… +{hidden}"));
    let total = total(&order.items).map(|total| format!("{}: {total}", view.say("Total", "Итого")));
    lines(
        [format!("{title}{}", catalog.unwrap_or_default())]
            .into_iter()
            .chain(order.items.iter().take(100).map(line))
            .chain(rest)
            .chain(total)
            .chain(order.text.as_deref().map(typed)),
    )
}

/// The sum, if every line has a price and all are in one currency.
fn total(items: &[OrderItem]) -> Option<String> {
    let currency = items.first()?.currency.as_deref();
    let sum = items.iter().try_fold(0.0, |sum, item| {
        (item.currency.as_deref() == currency).then_some(())?;
        Some(sum + item.price? * item.quantity?)
    })?;
    Some(money(sum, currency))
}

fn money(amount_of: f64, currency: Option<&str>) -> String {
    let currency = currency.map(|currency| format!(" {}", neutralise(currency)));
    format!("{}{}", amount(amount_of), currency.unwrap_or_default())
}

/// Up to two decimals: `30`, `30.50`.
fn amount(amount: f64) -> String {
    let text = format!("{amount:.2}");
    text.strip_suffix(".00").map(str::to_owned).unwrap_or(text)
}

fn system(view: &View<'_>, change: &System) -> String {
    let goes_on = view.say("The chat goes on here.", "Чат продолжается здесь.");
    let told = match change.kind.as_str() {
        "user_changed_number" | "customer_changed_number" => match &change.wa_id {
            Some(number) => {
                let number = neutralise(number.as_str());
                let told = view.say(
                    "The customer's number has changed; the new one is",
                    "Номер клиента изменился, новый:",
                );
                format!("{told} +{}. {goes_on}", number.trim_start_matches('+'))
            }
            None => format!(
                "{} {goes_on}",
                view.say("The customer's number has changed.", "Номер клиента изменился.")
            ),
        },
        "user_changed_user_id" => {
            let told = view.say(
                "The customer's id in WhatsApp has changed.",
                "Идентификатор клиента в WhatsApp изменился.",
            );
            format!("{told} {goes_on}")
        }
        "customer_identity_changed" => view
            .say(
                "The customer's security code has changed: a new phone, or WhatsApp was installed again.",
                "Код безопасности клиента изменился: новый телефон или WhatsApp установлен заново.",
            )
            .to_owned(),
        _ => match &change.body {
            Some(body) => neutralise(body),
            None => unknown(view, &change.kind),
        },
    };
    format!("ℹ {told}")
}

/// What Meta does not hand to the API.
fn unsupported(view: &View<'_>, kind: Option<&str>, code: Option<i64>) -> String {
    let told = match code {
        Some(131_060) => view.say(
            "A message that WhatsApp does not make available here",
            "Сообщение, которое WhatsApp сюда не передаёт",
        ),
        _ => view.say(
            "A message of a kind that WhatsApp does not pass on",
            "Сообщение вида, который WhatsApp не передаёт",
        ),
    };
    let named = kind.map(|kind| kind_name(view.language, kind)).into_iter();
    let about: Vec<String> = named.chain(code.map(|code| code.to_string())).collect();
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    let advice = view.say(
        "Open it in WhatsApp on the phone, or ask the customer to send it in another form.",
        "Откройте его в WhatsApp на телефоне или попросите клиента отправить в другом виде.",
    );
    italic(&format!("⚠ {told}{about}. {advice}"))
}

fn unknown(view: &View<'_>, kind: &str) -> String {
    if kind == "request_welcome" {
        return italic(view.say("The customer opened the chat", "Клиент открыл чат"));
    }
    let kind = if kind.is_empty() { String::new() } else { format!(" ({})", kind_name(view.language, kind)) };
    let told = view.say("A message that cannot be shown here", "Сообщение, которое нельзя показать здесь");
    let advice = view.say("Open it in WhatsApp on the phone.", "Откройте его в WhatsApp на телефоне.");
    italic(&format!("⚠ {told}{kind}. {advice}"))
}

/// Meta's word for a kind in the operator's language; unknown ones as they are.
fn kind_name(language: Language, kind: &str) -> String {
    let (en, ru) = match kind {
        "poll_creation" => ("poll", "опрос"),
        "poll_update" => ("vote in a poll", "голос в опросе"),
        "edit" => ("edited message", "изменённое сообщение"),
        "gif" => ("GIF", "GIF"),
        "group_invite" => ("invitation to a group", "приглашение в группу"),
        "hsm" => ("template", "шаблон"),
        "image" => ("picture", "изображение"),
        "video" => ("video", "видео"),
        "audio" => ("audio", "аудио"),
        "document" => ("file", "файл"),
        "sticker" => ("sticker", "стикер"),
        "interactive" | "button" | "button_reply" => ("buttons", "кнопки"),
        "list" | "list_reply" => ("list", "список"),
        "nfm_reply" => ("form", "форма"),
        "keep_in_chat" => ("kept message", "сохранённое сообщение"),
        "link_preview" => ("link", "ссылка"),
        "location" => ("location", "местоположение"),
        "contacts" => ("contact", "контакт"),
        "media_placeholder" => ("media", "медиафайл"),
        "order" => ("order", "заказ"),
        "pin" => ("pinned message", "закреплённое сообщение"),
        "product" => ("product", "товар"),
        "reaction" => ("reaction", "реакция"),
        "text" => ("text", "текст"),
        "system" => ("service message", "служебное сообщение"),
        other => return neutralise(&shortened(other, 60)).replace('\n', " "),
    };
    crate::translate::say(language, en, ru).to_owned()
}
