//! Media both ways.

use super::*;
use chrono::TimeDelta;
use reqwest::multipart::{Form, Part};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR0000";

impl World {
    async fn upload(&self, mime: &str, bytes: &[u8], name: &str) -> (u16, Value) {
        let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned()).mime_str(mime).unwrap();
        let form = Form::new().text("messaging_product", "whatsapp").text("type", mime.to_owned());
        let url = format!("{}/v25.0/{PHONE}/media", self.cloud.url());
        let request = self.http.post(url).bearer_auth(TOKEN).multipart(form.part("file", part));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    fn picture(&self, kind: &str, mime: &str) -> String {
        let media = SimMedia {
            kind: kind.into(),
            bytes: Bytes::from_static(PNG),
            mime: mime.into(),
            filename: Some("a.png".into()),
            caption: matches!(kind, "image" | "document").then(|| "c".into()),
            more: Value::Null,
        };
        self.cloud.customer_sends_media(PHONE, &World::customer(), media)
    }
}

#[tokio::test]
async fn an_uploaded_file_arrives_with_the_message_that_names_it() {
    let world = World::with_open_window().await;
    let (status, answer) = world.upload("image/png", PNG, "пример.png").await;
    assert_eq!(status, 200);
    assert_like("upload_answer", &answer);
    let id = answer["id"].as_str().unwrap();
    world.send("image", json!({"id": id, "caption": "see"})).await;
    let shown = world.cloud.received(PHONE, NUMBER);
    let media = shown[0].media.as_ref().unwrap();
    assert_eq!((&media.bytes[..], media.mime.as_str()), (PNG, "image/png"));
    assert_eq!(media.filename.as_deref(), Some("пример.png"));
    // Another number may not use it.
    world.cloud.add_phone(WABA, "2", "+1 555-078-3882", "Second");
    let body =
        json!({"messaging_product": "whatsapp", "to": "+16505551234", "type": "image", "image": {"id": id}});
    assert_eq!(world.graph("POST", "2/messages", Some(body)).await.1["error"]["code"], 100);
    world.cloud.stop().await;
}

#[tokio::test]
async fn uploads_are_checked_by_type_and_sends_by_content_and_size() {
    let world = World::with_open_window().await;
    for (mime, bytes) in
        [("image/gif", &b"GIF89a"[..]), ("audio/opus", b"x"), ("video/webm", b"x"), ("text/plain", b"")]
    {
        let (status, answer) = world.upload(mime, bytes, "x").await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)), "{mime}");
    }
    assert_eq!(world.upload("application/zip", b"PK\x03\x04", "a.zip").await.0, 200);
    let large = [PNG, &vec![0; 5 * 1024 * 1024]].concat();
    world.cloud.change_faults(|faults| {
        faults.strict_documents = true;
        faults.strict_sizes = true;
    });
    assert_eq!(world.upload("application/zip", b"PK\x03\x04", "a.zip").await.0, 400);
    assert_eq!(world.upload("image/png", &large, "a.png").await.0, 400);
    world.cloud.set_faults(Faults::default());

    // The declared type must be the content's, and an image is at most 5 MB: both show in a status only.
    let lying = world.upload("image/jpeg", PNG, "a.jpg").await.1["id"].clone();
    let large = world.upload("image/png", &large, "a.png").await.1["id"].clone();
    for (kind, id) in [("image", &lying), ("image", &large), ("document", &large)] {
        assert_eq!(world.send(kind, json!({ "id": id })).await.0, 200);
    }
    world.until(|callback| callback.statuses().len() == 4).await;
    assert_eq!(world.callback.statuses(), ["failed", "failed", "sent", "delivered"]);
    assert_eq!(world.callback.elements("statuses")[0]["errors"][0]["code"], 131053);

    world.cloud.set_faults(Faults { upload_fail_next: 1, ..Faults::default() });
    assert_eq!(world.upload("image/png", PNG, "a.png").await.0, 500);
    let url = format!("{}/v25.0/{PHONE}/media", world.cloud.url());
    let form = Form::new().text("type", "image/png");
    let answer = world.http.post(url).bearer_auth(TOKEN).multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_customers_file_is_named_in_the_form_of_its_kind() {
    let world = World::new().await;
    let samples = sample("webhook_media");
    let kinds = [
        ("image", "image/png"),
        ("voice", "audio/ogg; codecs=opus"),
        ("document", "application/pdf"),
        ("sticker", "image/webp"),
    ];
    for (kind, mime) in kinds {
        world.picture(kind, mime);
    }
    world.until(|callback| callback.elements("messages").len() == 4).await;
    for ((kind, _), message) in kinds.iter().zip(world.callback.elements("messages")) {
        let own = samples[kind]["type"].as_str().unwrap();
        assert_eq!(message["type"], own);
        assert_shape(&samples[kind][own], &message[own], kind);
    }
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_file_is_fetched_by_its_address_for_five_minutes_with_the_token() {
    let world = World::new().await;
    world.picture("image", "image/png");
    world.until(|callback| callback.all().len() == 1).await;
    let message = world.callback.elements("messages")[0].clone();
    let id = message["image"]["id"].as_str().unwrap();
    let (status, answer) = world.graph("GET", &format!("{id}?phone_number_id={PHONE}"), None).await;
    assert_eq!(status, 200);
    assert_like("media_answer", &answer);
    let (_, wrong) = world.graph("GET", &format!("{id}?phone_number_id=2"), None).await;
    assert_eq!((&wrong["error"]["code"], &wrong["error"]["error_subcode"]), (&json!(100), &json!(33)));

    let fetch = async |url: &str, token: Option<&str>| {
        let mut request = world.http.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await)
    };
    for url in [&answer["url"], &message["image"]["url"]] {
        let url = url.as_str().unwrap();
        let (status, bytes) = fetch(url, Some(TOKEN)).await;
        assert_eq!((status, &bytes.unwrap()[..]), (200, PNG));
        assert_eq!(fetch(url, None).await.0, 404);
        assert_eq!(fetch(url, Some("wrong")).await.0, 404);
    }
    let url = answer["url"].as_str().unwrap();
    world.cloud.set_faults(Faults { media_fail_next: 1, media_cut_next: 1, ..Faults::default() });
    assert_eq!(fetch(url, Some(TOKEN)).await.0, 500);
    assert!(fetch(url, Some(TOKEN)).await.1.is_err(), "it breaks off");
    assert_eq!(fetch(url, Some(TOKEN)).await.0, 200);
    world.cloud.change_faults(|faults| faults.media_missing = true);
    assert_eq!(fetch(url, Some(TOKEN)).await.0, 404);
    world.cloud.set_faults(Faults::default());
    world.cloud.advance_time(TimeDelta::minutes(5) + TimeDelta::seconds(1));
    assert_eq!(fetch(url, Some(TOKEN)).await.0, 404);
    let (_, anew) = world.graph("GET", id, None).await;
    assert_eq!(fetch(anew["url"].as_str().unwrap(), Some(TOKEN)).await.0, 200);
    world.cloud.advance_time(TimeDelta::days(7));
    assert_eq!(world.graph("GET", id, None).await.0, 400);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_deleted_file_is_gone() {
    let world = World::new().await;
    let id = world.upload("image/png", PNG, "a.png").await.1["id"].as_str().unwrap().to_owned();
    let (status, answer) = world.graph("DELETE", &id, None).await;
    assert_eq!(status, 200);
    assert_like("success", &answer);
    assert_eq!(world.graph("GET", &id, None).await.0, 400);
    assert_eq!(world.cloud.media_count(), 0);
    world.cloud.stop().await;
}
