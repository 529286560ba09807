//! The panel, as a browser without scripts would use it: cookies, forms and their tokens.

use reqwest::Response;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use wabridge::access::{self, Role};

use super::{TestApp, http_client};

pub const PASSWORD: &str = "correct horse battery";

/// A browser at the panel.
pub struct Panel {
    pub base: String,
    pub session: Option<String>,
    pub visit: Option<String>,
    http: reqwest::Client,
}

/// An answer of the panel.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub location: String,
    pub html: String,
    pub headers: reqwest::header::HeaderMap,
}

impl Page {
    /// The token of the page's forms.
    pub fn csrf(&self) -> String {
        let (_, rest) = self.html.split_once("name=\"csrf\" value=\"").unwrap_or(("", ""));
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// A hidden value of the page.
    pub fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.html.split_once(&mark).unwrap_or_else(|| panic!("no {name} in {}", self.html));
        rest.split('"').next().unwrap().to_owned()
    }

    /// The page as text without markup, roughly.
    pub fn says(&self, words: &str) -> bool {
        self.html.contains(words)
    }
}

/// A link as `wabridge admin invite` prints it, without its host.
pub async fn invite(app: &TestApp, role: Role) -> String {
    let token = access::invite(&app.relay.db, &app.clock, role, None).await.unwrap();
    format!("/admin/login/{}", token.expose())
}

impl Panel {
    pub fn new(app: &TestApp) -> Self {
        Self { base: app.base_url.clone(), session: None, visit: None, http: http_client() }
    }

    /// Somebody of this role, logged in by a fresh link.
    pub async fn enter(app: &TestApp, name: &str, role: Role) -> Self {
        let mut panel = Self::new(app);
        let link = invite(app, role).await;
        let fields = [("name", name), ("password", PASSWORD), ("repeat", PASSWORD)];
        let page = panel.submit(&link, &link, &fields).await;
        assert_eq!((page.status, page.location.as_str()), (303, "/admin/"), "{}", page.html);
        panel
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let request = self.http.get(format!("{}{path}", self.base)).header(COOKIE, self.cookies());
        let answer = request.send().await.unwrap();
        self.take(answer).await
    }

    /// Loads a page and gives it back; it must be one.
    pub async fn page(&mut self, path: &str) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {} {}", page.location, page.html);
        page
    }

    /// Fills in the form of a page and sends it.
    pub async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.get(page).await.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.post(action, &all).await
    }

    /// Sends a form as it is.
    pub async fn post(&mut self, action: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(action, fields, &[]).await
    }

    /// Sends a form with further headers.
    pub async fn post_from(
        &mut self,
        action: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let mut request = self.http.post(format!("{}{action}", self.base)).header(COOKIE, self.cookies());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.form(fields).send().await.unwrap();
        self.take(answer).await
    }

    /// Sends a body that is no form, as the page's script does.
    pub async fn send(&mut self, action: &str, token: &str, body: Vec<u8>) -> (u16, String) {
        let request = self.http.post(format!("{}{action}", self.base)).header(COOKIE, self.cookies());
        let request = request.header("x-form-token", token).header("content-type", "image/jpeg").body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn cookies(&self) -> String {
        let session = self.session.iter().map(|token| format!("wabridge_session={token}"));
        let visit = self.visit.iter().map(|token| format!("wabridge_visit={token}"));
        session.chain(visit).collect::<Vec<_>>().join("; ")
    }

    async fn take(&mut self, answer: Response) -> Page {
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = value.split(';').next().unwrap().to_owned();
            let value = (!value.is_empty()).then_some(value);
            match name {
                "wabridge_session" => self.session = value,
                "wabridge_visit" => self.visit = value,
                name => panic!("a cookie {name}"),
            }
        }
        let location = answer.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        Page {
            status: answer.status().as_u16(),
            location: location.unwrap_or_default(),
            headers: answer.headers().clone(),
            html: answer.text().await.unwrap(),
        }
    }
}
