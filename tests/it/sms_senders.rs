//! Phones as SMS senders of the CRM: registered, restored, deleted.

use serde_json::{Value, json};
use wabridge::sandbox::portal::{FaultKind, PlannedFault, PortalOptions};

use crate::support::{Options, PHONE_NUMBER, TestApp, linking};

impl TestApp {
    /// The phone becomes a sender; its code.
    pub async fn sms_on(&self) -> String {
        let change = json!({"sms_service": true});
        let (status, phone) = self.patch_phone(change).await;
        assert_eq!(status, 200, "{phone}");
        format!("wa_{PHONE_NUMBER}")
    }

    pub async fn patch_phone(&self, change: Value) -> (u16, Value) {
        self.api.call("PATCH", &format!("/phones/{}", self.phone_id()), Some(change)).await
    }

    fn codes(&self) -> Vec<String> {
        let senders = self.portal.sms_senders().into_iter();
        senders.map(|sender| sender["code"].as_str().unwrap().to_owned()).collect()
    }

    async fn has_senders(&self, count: usize) {
        self.eventually(&format!("there are {count} senders"), async || {
            (self.codes().len() == count).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_becomes_a_sender_and_is_deleted_when_it_is_switched_off() {
    let app = TestApp::start().await;
    assert!(app.codes().is_empty());
    let code = app.sms_on().await;
    let senders = app.portal.sms_senders();
    assert_eq!(app.codes(), [code.as_str()]);
    assert_eq!(senders[0]["name"], format!("WhatsApp +{PHONE_NUMBER}"));
    let handler = senders[0]["handler"].as_str().unwrap();
    let secret = handler.strip_prefix(&format!("{}/api/bitrix/sms/", app.base_url)).unwrap();
    assert!(secret.trim_end_matches('/').len() >= 32, "{handler}");
    assert_eq!(app.patch_phone(json!({"sms_service": false})).await.1["sms_service"], false);
    assert!(app.codes().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_come_back_after_an_update_and_a_reinstallation_with_the_same_handler() {
    // Three set-ups in a second are more than the portal's rate allows.
    let portal = PortalOptions { rate: None, ..PortalOptions::default() };
    let app = TestApp::with(Options { portal: Some(portal), ..Options::default() }).await;
    app.sms_on().await;
    let before = app.portal.sms_senders();
    app.portal.update_app(app.client_id());
    assert!(app.codes().is_empty(), "the portal forgets them with the update");
    app.has_senders(1).await;
    assert_eq!(app.portal.sms_senders(), before);
    app.portal.uninstall(app.client_id(), false).await;
    app.eventually("the portal is uninstalled", async || {
        (app.portal_row().await.status == "uninstalled").then_some(())
    })
    .await;
    assert!(app.codes().is_empty());
    app.reinstall().await;
    assert_eq!(app.portal.sms_senders(), before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_is_a_sender_only_while_it_is_linked() {
    let app = TestApp::start().await;
    app.sms_on().await;
    let path = format!("/phones/{}/line", app.phone_id());
    assert_eq!(app.api.call("DELETE", &path, None).await.0, 204);
    assert!(app.codes().is_empty());
    app.api.put(&path, json!({"portal_id": app.portal_id().as_str()})).await;
    assert_eq!(app.codes().len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_gone_takes_its_sender_along() {
    let app = TestApp::start().await;
    app.sms_on().await;
    app.portal.delete_line(&app.line);
    app.has_senders(0).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_portal_refuses_is_not_stored() {
    let app = TestApp::start().await;
    let method = Some("messageservice.sender.add".to_owned());
    let planned = vec![PlannedFault { kind: FaultKind::Status500, method, times: 1 }];
    app.portal.change_faults(|faults| faults.planned = planned);
    let (status, problem) = app.patch_phone(json!({"sms_service": true, "sms_to_chat": true})).await;
    assert_eq!(status, 502, "{problem}");
    let phone = app.api.get(&format!("/phones/{}", app.phone_id())).await;
    assert_eq!((&phone["sms_service"], &phone["sms_to_chat"]), (&json!(false), &json!(false)));
    assert!(app.codes().is_empty());
    app.sms_on().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_scope_is_told_and_keeps_no_chat_from_working() {
    let mut app = TestApp::with(Options { unlinked: true, ..Options::default() }).await;
    let scopes = ["imopenlines", "imconnector", "im"];
    app.linked = Some(linking::link_with(&app.api, &app.cloud, &app.portal, &scopes).await);
    app.line = app.linked.as_ref().unwrap().line.clone();
    let missing = async || app.api.get("/portals").await["items"][0]["missing_scopes"].clone();
    assert_eq!(missing().await, json!([]), "nobody wants to send");
    let (status, problem) = app.patch_phone(json!({"sms_service": true})).await;
    assert_eq!(status, 502);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("INSUFFICIENT_SCOPE") && detail.contains("scope messageservice"), "{detail}");
    // It was on already when the portal was installed.
    app.sql("UPDATE phones SET sms_service = TRUE".to_owned()).await;
    app.relay.directory.reload().await.unwrap();
    app.reinstall().await;
    assert_eq!(missing().await, json!(["messageservice"]));
    let portal = app.api.get("/portals").await["items"][0].clone();
    assert_eq!(portal["status"], "active");
    assert!(portal["status_reason"].as_str().unwrap().contains("scope messageservice"), "{portal}");
    app.opened(&crate::support::anna()).await;
    app.stop().await;
}
