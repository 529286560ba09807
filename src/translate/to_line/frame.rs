//! What stands around a message: the quote, the ad that led here, forwarding marks, Meta's errors.

use super::words::{address, date, italic, lines, shortened};
use super::{Quoted, View, typed};
use crate::domain::Language;
use crate::translate::markup::{QUOTE_FRAME, neutralise};
use crate::translate::say;
use crate::whatsapp::message::{Content, Context, Referral, WireMessage};

/// Longest quoted text; the whole of it stands further up in the line.
const QUOTE_LIMIT: usize = 500;

/// Everything that stands before the content.
pub fn before(
    view: &View<'_>,
    content: &Content,
    context: Option<&Context>,
    ad: Option<&Referral>,
) -> String {
    let forwarded = context.map(|context| match context {
        Context { frequently_forwarded: true, .. } => {
            italic(view.say("Forwarded many times", "Переслано много раз"))
        }
        Context { forwarded: true, .. } => italic(view.say("Forwarded", "Переслано")),
        _ => String::new(),
    });
    let product = context.and_then(|context| context.referred_product.as_ref()).map(|product| {
        let id = product.product_id.as_deref().unwrap_or("?");
        let catalog = product
            .catalog_id
            .as_deref()
            .map(|catalog| format!(" ({} {})", view.say("catalogue", "каталог"), neutralise(catalog)));
        let about = view.say("About the product", "О товаре");
        format!("🛍 {about}: {}{}", neutralise(id), catalog.unwrap_or_default())
    });
    lines([
        forwarded.unwrap_or_default(),
        ad.map(|ad| referral(view, ad)).unwrap_or_default(),
        product.unwrap_or_default(),
        quote(view, content),
    ])
}

/// The quoted message in the portal's own form (bitrix24 facts §4.1), which its chat shows as a quote.
fn quote(view: &View<'_>, content: &Content) -> String {
    match &view.known.quoted {
        Quoted::None => String::new(),
        Quoted::Unknown if matches!(content, Content::Reaction { .. }) => String::new(),
        Quoted::Unknown => italic(view.say(
            "↩ In reply to a message that is older or not kept here",
            "↩ В ответ на сообщение, которое отправлено давно или здесь не сохранилось",
        )),
        Quoted::Known { author, text, when } => {
            let author = neutralise(author).replace('\n', " ");
            let when =
                when.map(|when| format!(" [{}]", date(when, view.known.utc_offset))).unwrap_or_default();
            let text = typed(shortened(text.trim(), QUOTE_LIMIT).as_str());
            format!("{QUOTE_FRAME}\n{author}{when}\n{text}\n{QUOTE_FRAME}")
        }
    }
}

fn referral(view: &View<'_>, referral: &Referral) -> String {
    let origin = match referral.source_type.as_deref() {
        Some("post") => view.say("📣 From a post", "📣 Из публикации"),
        _ => view.say("📣 From an ad", "📣 Из рекламы"),
    };
    let text = |text: &Option<String>| text.as_deref().map(typed).unwrap_or_default();
    let headline = referral.headline.as_deref().map(|headline| format!(": {}", neutralise(headline)));
    let id = referral.source_id.as_deref().map(|id| format!(" (id {})", neutralise(id)));
    let greeting = referral
        .welcome_text
        .as_deref()
        .map(|greeting| format!("{}: {}", view.say("Greeting", "Приветствие"), typed(greeting)));
    lines([
        format!("{origin}{}{}", headline.unwrap_or_default(), id.unwrap_or_default()),
        text(&referral.body),
        greeting.unwrap_or_default(),
        referral.source_url.as_deref().map(address).unwrap_or_default(),
    ])
}

/// What Meta says is wrong with the message, unless the content says it itself.
pub fn errors(message: &WireMessage, language: Language) -> String {
    if matches!(message.content, Content::Unsupported { .. }) {
        return String::new();
    }
    let told = message.errors.iter().map(|error| {
        let title = error.title.as_deref().or(error.message.as_deref()).unwrap_or_default();
        let details = error.details.as_deref().filter(|details| *details != title);
        let words: Vec<String> = error
            .code
            .map(|code| code.to_string())
            .into_iter()
            .chain([neutralise(title)])
            .chain(details.map(neutralise))
            .filter(|word| !word.is_empty())
            .collect();
        format!(
            "⚠ {}: {}",
            say(language, "WhatsApp says", "WhatsApp сообщает"),
            shortened(&words.join(", "), 500)
        )
    });
    lines(told)
}
