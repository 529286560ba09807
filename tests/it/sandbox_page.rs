//! The sandbox page in a real browser: a message each way with its ticks, a picture, a fault, a screenshot.
//!
//! `WABRIDGE_TEST_CHROMEDRIVER` names the ChromeDriver to start; without it the test says that it is skipped.

use std::io::Write as _;
use std::path::Path;

use fantoccini::Client;
use fantoccini::key::Key;
use serde_json::json;
use wabridge::app::sandbox::Sandbox;
use wabridge::config::Config;

use crate::support::browser::{Browser, find, holds, is_drawn, press, says, shows, write};
use crate::support::listener;

#[tokio::test]
async fn a_browser_shows_a_message_each_way_with_ticks_and_a_picture() {
    let Some(driver) = std::env::var_os("WABRIDGE_TEST_CHROMEDRIVER") else {
        // Past the harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the browser test of the sandbox page: WABRIDGE_TEST_CHROMEDRIVER is not set"
        );
        return;
    };
    let browser = Browser::open(Path::new(&driver)).await;
    let run = Sandbox::start(Config::default(), listener()).await.unwrap();
    let page = &browser.client;
    page.goto(&run.address()).await.unwrap();
    assert!(!page.current_url().await.unwrap().as_str().contains("token="));

    // The customer writes.
    let hello = "Is the <b>blue</b> one in stock?";
    write(page, "#customer-text", hello).await;
    shows(page, "#chat .bubble[data-mine=true] .text", hello).await;
    shows(page, "#line-log .entry[data-who=client] .text", hello).await;
    find(page, "#chat .bubble[data-mine=true] .tick").await;

    // The operator answers with the helper's mark.
    find(page, "#operator-text").await.send_keys("Yes, it is ").await.unwrap();
    find(page, "[data-tag=b]").await.click().await.unwrap();
    let text = format!("here{}", char::from(Key::Enter));
    find(page, "#operator-text").await.send_keys(&text).await.unwrap();
    shows(page, "#line-log .entry[data-who=operator] .text b", "here").await;
    shows(page, "#chat .bubble[data-mine=false] .text strong", "here").await;
    find(page, "#chat .bubble[data-mine=false][data-status=delivered] .tick").await;
    find(page, "#line-log .entry[data-who=operator][data-sending=false]").await;

    // A picture each way.
    find(page, "[data-sample=picture]").await.click().await.unwrap();
    is_drawn(page, "#chat .bubble[data-mine=true] img").await;
    is_drawn(page, "#line-log .entry[data-who=client] img").await;
    find(page, "#line [data-send=picture]").await.click().await.unwrap();
    is_drawn(page, "#chat .bubble[data-mine=false] img").await;
    let at_end = "return [...document.querySelectorAll('.log')]
        .every(log => log.scrollHeight - log.scrollTop - log.clientHeight < 2)";
    holds(page, at_end, &[]).await;

    // A reaction, a quote each way and an edit can be read on the other side.
    let (mine, theirs) = ("#chat .bubble[data-mine=true]", "#chat .bubble[data-mine=false]");
    press(page, &format!("{theirs}[data-kind=text] .act")).await;
    press(page, "#bubble-menu [aria-label='React with 👍']").await;
    says(page, "#line-log .entry[data-who=client] .text", &["Yes, it is here", "Reaction: 👍"]).await;
    find(page, &format!("{theirs} .reactions")).await;
    press(page, &format!("{theirs}[data-kind=text] .act")).await;
    press(page, "[data-bubble=reply]").await;
    write(page, "#customer-text", "Then two of thme").await;
    says(page, &format!("{mine} .quoted"), &["Yes, it is here"]).await;
    says(page, "#line-log .entry[data-who=client] .text", &["Yes, it is here", "Then two of thme"]).await;
    press(page, &format!("{mine}:last-child .act")).await;
    press(page, "[data-bubble=edit]").await;
    find(page, "#customer-text").await.clear().await.unwrap();
    write(page, "#customer-text", "Then two of them").await;
    says(
        page,
        "#line-log .entry[data-who=client] .text",
        &["Yes, it is here", "Then two of them", "(edited)"],
    )
    .await;
    press(page, "#line-log .entry[data-who=client] .act").await;
    write(page, "#operator-text", "The blue ones are put aside").await;
    says(page, &format!("{theirs} .quoted"), &[hello]).await;
    shows(page, &format!("{theirs} .text"), "The blue ones are put aside").await;
    find(page, &format!("{theirs}:last-child[data-status=delivered]")).await;
    shoot(page, "sandbox-talk.png").await;

    // The window is closed by hand: a text is stopped, a template of the picker goes and is seen as it is.
    press(page, "#close-window").await;
    find(page, "#close-window:disabled").await;
    write(page, "#operator-text", "Too late for this").await;
    says(page, "#line-log .entry[data-who=system] .text", &["24 hours"]).await;
    let pick = "const list = document.getElementById('templates');
        const found = [...list.options].find(one => one.text.startsWith(arguments[0]));
        if (!found) return false;
        list.value = found.value;
        list.dispatchEvent(new Event('change'));
        return true";
    holds(page, pick, &[json!("appointment")]).await;
    let line = "template+appointment+en_US+first_name:Maria|day:Saturday|button_param:4711";
    holds(page, "return document.getElementById('operator-text').value === arguments[0]", &[json!(line)])
        .await;
    write(page, "#operator-text", "").await;
    says(page, "#chat .bubble[data-kind=template] .text", &["Dear Maria", "on Saturday"]).await;
    says(page, "#chat .bubble[data-kind=template] .choices", &["Change it", "Call us"]).await;
    says(page, "#line-log .entry .text", &["Dear Maria", "https://example.com/visit/4711"]).await;
    shoot(page, "sandbox-template.png").await;

    // The customer who writes has read; a customer without a number has a chat too.
    find(page, "[data-sample=hello]").await.click().await.unwrap();
    find(page, "#chat .bubble[data-mine=false][data-status=read]").await;
    find(page, "[data-customer^='US.']").await.click().await.unwrap();
    find(page, "[data-sample=hello]").await.click().await.unwrap();
    shows(page, "#client-name", "Omar Haddad").await;
    find(page, "[data-customer='15550101234']").await.click().await.unwrap();
    shows(page, "#client-name", "Maria Lopez").await;

    // A call rings, is answered, ends; one that is declined is told in the line.
    press(page, "#call").await;
    shows(page, "#agent-call strong", "Maria Lopez +15550101234").await;
    says(page, "#call-card", &["Incoming call", "card open at Anna Lee"]).await;
    press(page, "#agent-call .green").await;
    find(page, "#customer-call[data-stage=answered]").await;
    press(page, "#customer-call .red").await;
    find(page, "#agent-call[data-stage=ended]").await;
    says(page, "#call-card", &["answered"]).await;
    press(page, "#call").await;
    find(page, "#agent-call[data-stage=ringing]").await;
    shoot(page, "sandbox-call.png").await;
    press(page, "#agent-call .red").await;
    says(page, "#line-log .entry[data-who=system] .text", &["Missed WhatsApp call"]).await;

    // A crossing opens, a switch reaches its simulator.
    find(page, "#crossings li[data-way=meta-out] button").await.click().await.unwrap();
    find(page, "#crossing pre").await;
    find(page, ".fault[data-key=cloud_down] input").await.click().await.unwrap();
    find(page, ".fault.on[data-key=cloud_down]").await;
    assert!(run.cloud.faults().cloud_down);
    find(page, "#calm").await.click().await.unwrap();
    holds(page, "return document.querySelectorAll('.fault.on').length === 0", &[]).await;
    assert!(!run.cloud.faults().cloud_down);

    shoot(page, "sandbox.png").await;

    // On a phone's width nothing sticks out, and each part has its tab.
    page.set_window_size(390, 844).await.unwrap();
    for tab in ["line", "strip", "faults", "phone"] {
        find(page, &format!("[role=tab][data-tab={tab}]")).await.click().await.unwrap();
        let fits = "return document.documentElement.scrollWidth <= innerWidth \
                    && document.getElementById(arguments[0]).checkVisibility()";
        holds(page, fits, &[json!(tab)]).await;
    }
    shoot(page, "sandbox-narrow.png").await;

    browser.close().await;
    run.stop().await.unwrap();
}

/// Keeps what the window shows.
async fn shoot(page: &Client, name: &str) {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::write(target.join(name), page.screenshot().await.unwrap()).unwrap();
}

#[tokio::test]
async fn a_browser_sends_as_a_person_of_the_crm_and_as_its_robot() {
    let Some(driver) = std::env::var_os("WABRIDGE_TEST_CHROMEDRIVER") else { return };
    let browser = Browser::open(Path::new(&driver)).await;
    let run = Sandbox::start(Config::default(), listener()).await.unwrap();
    let page = &browser.client;
    page.goto(&run.address()).await.unwrap();
    find(page, "[data-open=crm-dialog]").await.click().await.unwrap();
    find(page, "#sms-form select[name=code] option").await;
    holds(page, "return document.querySelectorAll('#sms-templates option').length > 1", &[]).await;
    // A free text to somebody who never wrote fails; a template of the list arrives.
    let text = find(page, "#sms-form [name=text]").await;
    text.send_keys("Are you there?").await.unwrap();
    find(page, "#sms-send").await.click().await.unwrap();
    find(page, "#sms-list li[data-status=failed]").await;
    let pick = "const list = document.getElementById('sms-templates');                 list.value = [...list.options].find(one => !one.disabled && one.value && !one.value.includes('file_link')).value;                 list.dispatchEvent(new Event('change')); return true";
    holds(page, pick, &[]).await;
    find(page, "#sms-send").await.click().await.unwrap();
    find(page, "#sms-list li[data-status=delivered]").await;
    shoot(page, "sandbox-crm.png").await;
    let count = "document.getElementById('sms-form').elements.count.value = 100; return true";
    holds(page, count, &[]).await;
    find(page, "#sms-robot").await.click().await.unwrap();
    holds(page, "return /10[0-9] delivered/.test(document.getElementById('sms-counts').textContent)", &[])
        .await;
    page.set_window_size(390, 844).await.unwrap();
    shoot(page, "sandbox-crm-narrow.png").await;
    browser.close().await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_browser_plays_the_worked_example_from_the_list_of_templates() {
    let Some(driver) = std::env::var_os("WABRIDGE_TEST_CHROMEDRIVER") else { return };
    let browser = Browser::open(Path::new(&driver)).await;
    let run = Sandbox::start(Config::default(), listener()).await.unwrap();
    let page = &browser.client;
    page.goto(&run.address()).await.unwrap();
    write(page, "#customer-text", "Where is my order?").await;
    shows(page, "#line-log .entry[data-who=client] .text", "Where is my order?").await;
    let pick = "const list = document.getElementById('templates');
        const one = [...list.options].find(one => one.textContent.startsWith('order_confirmed') && !one.disabled);
        if (!one) return false;
        list.value = one.value; list.dispatchEvent(new Event('change'));
        return !one.value.includes('example.com') && document.getElementById('operator-text').value === one.value";
    holds(page, pick, &[]).await;
    find(page, "#operator-text").await.send_keys(&char::from(Key::Enter).to_string()).await.unwrap();
    let words = [
        "Your order 860198 for a total of $29.99 is confirmed. The expected delivery is March 12.",
        "Thank you for shopping with us!",
        "Track my order",
        "Talk to us",
    ];
    // The telephone and the line show the same: picture, text, footer, both buttons.
    is_drawn(page, "#chat .bubble[data-mine=false] img").await;
    says(page, "#chat .bubble[data-mine=false]", &words).await;
    is_drawn(page, "#line-log .entry[data-who=system] img").await;
    says(page, "#line-log .entry[data-who=system]", &words).await;
    shoot(page, "sandbox-example.png").await;
    page.set_window_size(390, 844).await.unwrap();
    for tab in ["phone", "line"] {
        find(page, &format!("[role=tab][data-tab={tab}]")).await.click().await.unwrap();
        let fits = "return document.documentElement.scrollWidth <= innerWidth";
        holds(page, fits, &[]).await;
        shoot(page, &format!("sandbox-example-{tab}.png")).await;
    }
    browser.close().await;
    run.stop().await.unwrap();
}
