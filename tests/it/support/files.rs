//! Files over HTTP: a site that answers as told, a plain client, and what lies on the bridge's disk.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use diesel::RunQueryDsl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wabridge::bitrix::event::PortalEvent;
use wabridge::bitrix::form::{FormLimits, parse_form};
use wabridge::relay::outbound;

use super::TestApp;

type Answers = Arc<Mutex<Vec<(&'static str, u16, Vec<u8>)>>>;

/// A site of files. An address with several answers gives each of them once, the last one for ever.
pub struct Site {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub async fn start(answers: Vec<(&'static str, u16, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answers, log): (Answers, _) = (Arc::new(Mutex::new(answers)), asked.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, answers.clone(), log.clone()));
            }
        });
        Self { url, asked }
    }

    /// How often an address was asked for.
    pub fn served(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

async fn answer(mut socket: TcpStream, answers: Answers, log: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut bytes = [0; 2048];
        match socket.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&bytes[..count]),
        }
    }
    let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap().push(path.clone());
    let (status, body) = {
        let mut answers = answers.lock().unwrap();
        let mine: Vec<usize> =
            (0..answers.len()).filter(|index| answers[*index].0 == path.as_str()).collect();
        match mine.as_slice() {
            [] => (404, Vec::new()),
            [only] => (answers[*only].1, answers[*only].2.clone()),
            [first, ..] => {
                let (_, status, body) = answers.remove(*first);
                (status, body)
            }
        }
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = socket.write_all(&[head.as_bytes(), body.as_slice()].concat()).await;
}

/// The first address in a text.
pub fn text_of_link(text: &str) -> String {
    let start = text.find("http").unwrap_or_else(|| panic!("no link in {text:?}"));
    text[start..].split([' ', '\n', ']', '[']).next().unwrap().to_owned()
}

impl TestApp {
    /// Status and body of an address.
    pub async fn get(&self, address: &str) -> (u16, Vec<u8>) {
        let url: url::Url = address.parse().unwrap();
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let mut socket = TcpStream::connect(&host).await.unwrap();
        let request = format!("GET {} HTTP/1.0\r\nhost: {host}\r\n\r\n", url.path());
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), answer[end + 4..].to_vec())
    }

    /// Until when a media link is good.
    pub async fn link_until(&self, address: &str) -> Option<chrono::DateTime<chrono::Utc>> {
        use diesel::prelude::*;
        use wabridge::store::schema::media_links;
        let token = address.split("/media/").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let hash = wabridge::media::link::hash_token(&token).unwrap();
        let until: Option<chrono::NaiveDateTime> = self
            .relay
            .db
            .read(move |conn| {
                Ok(media_links::table
                    .filter(media_links::token_hash.eq(hash))
                    .select(media_links::expires_at)
                    .first(conn)?)
            })
            .await
            .unwrap();
        until.map(|until| until.and_utc())
    }

    /// Files on disk that no row knows.
    pub async fn orphans(&self) -> Vec<String> {
        let known: HashSet<String> = self.relay.db.read(wabridge::store::blobs::ids).await.unwrap();
        let all = self.relay.blobs.list(chrono::DateTime::<chrono::Utc>::MAX_UTC).await.unwrap();
        all.into_iter().map(|(id, _)| id.to_string()).filter(|id| !known.contains(id)).collect()
    }

    /// An operator's message with files at any addresses, as the portal would post it.
    pub async fn operator_posts(&self, chat: &str, id: &str, text: &str, files: &[(&str, &[&str])]) {
        let mut message = vec![("[user_id]".to_owned(), "5".to_owned()), ("[text]".into(), text.into())];
        for (index, (name, links)) in files.iter().enumerate() {
            let mut add = |key: &str, value: &str| {
                message.push((format!("[files][{index}][{key}]"), value.to_owned()));
            };
            add("name", name);
            add("type", "file");
            for (key, link) in ["downloadLink", "link"].iter().zip(links.iter()) {
                add(key, link);
            }
        }
        self.post("ONIMCONNECTORMESSAGEADD", chat, id, &message).await;
    }

    /// Posts an event about one message as the portal would.
    pub async fn post(&self, event: &str, chat: &str, im_message_id: &str, message: &[(String, String)]) {
        let connector = &self.config.bitrix.connector_code;
        let mut form: Vec<(String, String)> = vec![
            ("event".into(), event.into()),
            ("data[CONNECTOR]".into(), connector.clone()),
            ("data[LINE]".into(), self.line.clone()),
            ("data[MESSAGES][0][im][chat_id]".into(), "1".into()),
            ("data[MESSAGES][0][im][message_id]".into(), im_message_id.into()),
            ("data[MESSAGES][0][chat][id]".into(), chat.into()),
            ("auth[domain]".into(), self.portal.domain()),
            ("auth[member_id]".into(), self.portal.member_id().into()),
            ("auth[application_token]".into(), "token".into()),
        ];
        form.extend(
            message.iter().map(|(key, value)| (format!("data[MESSAGES][0][message]{key}"), value.clone())),
        );
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let fields = parse_form(body.as_bytes(), FormLimits::default()).unwrap();
        let event = PortalEvent::decode(&fields).unwrap();
        let snapshot = self.relay.directory.now();
        outbound::receive(&self.relay, snapshot.portals.first().unwrap(), &event).await.unwrap();
    }

    /// Changes the stored data behind the bridge's back.
    pub async fn sql(&self, statement: String) {
        let run = move |tx: &mut wabridge::store::Tx<'_>| {
            diesel::sql_query(statement.clone()).execute(tx.conn)?;
            Ok(())
        };
        self.relay.db.write(run).await.unwrap();
    }
}
