//! The command line, run as a process: what it prints where, how it ends, and what it refuses.

use std::time::Duration;

use serde_json::Value;
use wabridge::sandbox::cloud::{CloudOptions, SimCloud};
use wabridge::sandbox::portal::{FaultKind, PortalOptions, SimPortal};

use crate::support::process::{Installation, bare_command, finish, free_port};
use crate::support::{DEADLINE, PHONE_ID, anna, key_of, linking, listener};

fn on_postgres() -> bool {
    std::env::var_os("WABRIDGE_TEST_DATABASE_URL").is_some()
}

#[tokio::test]
async fn a_token_is_printed_once_listed_without_itself_and_revoked() {
    let home = Installation::new("log.level = \"debug\"\n").await;
    let made = home.run(&["token", "create", "--name", "ci", "--role", "read", "--expires", "30"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let token = made.stdout.strip_suffix('\n').unwrap();
    assert!(token.starts_with("wab_") && !token.contains(char::is_whitespace), "alone on its line: {made:?}");

    let again = home.run(&["token", "create", "--name", "ci"]).await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""));
    let complaint = again.stderr.lines().last().unwrap();
    assert!(complaint.starts_with("wabridge: ") && complaint.contains("name"), "{complaint}");

    let listed = home.run(&["token", "list"]).await;
    assert_eq!(listed.code, Some(0));
    assert!(listed.stdout.contains("ci\tread\t") && !listed.stdout.contains(token), "{}", listed.stdout);

    assert_eq!(home.run(&["token", "revoke", "ci"]).await.code, Some(0));
    let unknown = home.run(&["token", "revoke", "ci"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("ci"), "{unknown:?}");
    assert!(!home.run(&["token", "list"]).await.stdout.contains("ci\t"));
}

#[tokio::test]
async fn a_token_made_beside_a_running_bridge_opens_at_once_and_shuts_at_once() {
    let home = Installation::new("").await;
    let bridge = home.serve().await;
    let api = home.api().await;
    assert_eq!(api.get("/phones").await["items"], Value::Array(vec![]));
    assert_eq!(home.run(&["token", "revoke", "test"]).await.code, Some(0));
    assert_eq!(api.call("GET", "/phones", None).await.0, 401);
    bridge.stop().await;
}

#[tokio::test]
async fn an_invitation_is_a_link_alone_on_its_line_and_opens_beside_a_running_bridge() {
    let home = Installation::new("log.level = \"debug\"\n").await;
    let bridge = home.serve().await;
    let made = home.run(&["admin", "invite"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let link = made.stdout.strip_suffix('\n').unwrap();
    let begin = format!("http://127.0.0.1:{}/admin/login/", home.port);
    assert!(link.starts_with(&begin) && !link.contains(char::is_whitespace), "{made:?}");
    assert!(!made.stderr.contains(&link[begin.len()..]), "the link is not logged");
    let page = crate::support::http_client().get(link).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("Welcome to wabridge"));
    bridge.stop().await;
}

#[tokio::test]
async fn the_effective_configuration_masks_secrets_and_names_variables() {
    let key = "5e".repeat(32);
    let home = Installation::new(&format!("secrets.master_key = \"{key}\"\n")).await;
    let mut command = home.command(&["config"]);
    command.env("WABRIDGE_RELAY__MAX_ATTEMPTS", "5").env("WABRIDGE_NO__SUCH", "1");
    let shown = finish(command).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let table: toml::Table = shown.stdout.parse().unwrap();
    assert_eq!(table["relay"]["max_attempts"].as_integer(), Some(5));
    assert_eq!(table["secrets"]["master_key"].as_str(), Some("••••"));
    assert!(shown.stdout.contains("WABRIDGE_RELAY__MAX_ATTEMPTS"));
    assert!(!shown.stdout.contains(&key) && !shown.stderr.contains(&key));
    assert!(shown.stderr.contains("WABRIDGE_NO__SUCH"), "a warning on stderr: {}", shown.stderr);
}

#[tokio::test]
async fn the_defaults_are_a_commented_file_that_is_good_as_it_is() {
    let printed = finish(bare_command(&["config", "--defaults"])).await;
    assert_eq!(printed.code, Some(0));
    assert!(printed.stdout.lines().any(|line| line.starts_with('#')));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("defaults.toml");
    std::fs::write(&file, printed.stdout).unwrap();
    let read = finish(bare_command(&["config", "--config", file.to_str().unwrap()])).await;
    assert_eq!(read.code, Some(0), "{read:?}");
}

#[tokio::test]
async fn the_openapi_document_holds_the_contracts_paths() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bare_command(&["openapi"]);
    command.current_dir(folder.path());
    let printed = finish(command).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let document: Value = serde_json::from_str(&printed.stdout).unwrap();
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "apps",
        "apps/{id}",
        "wabas",
        "phones",
        "phones/{id}/line",
        "portal-apps",
        "portals",
        "messages",
        "contacts",
        "contacts/{id}/export",
        "jobs",
        "jobs/{id}/retry",
        "jobs/{id}/drop",
        "events",
        "health",
    ] {
        assert!(paths.contains_key(&format!("/api/v1/{path}")), "{path} of {:?}", paths.keys());
    }
    assert!(!folder.path().join("data").exists(), "nothing is made for it");
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_says_why_on_stderr() {
    for arguments in [
        &[][..],
        &["fly"],
        &["token"],
        &["token", "create"],
        &["token", "create", "--name", "a", "--role", "king"],
        &["backup"],
        &["serve", "--listen", "x"],
    ] {
        let ended = finish(bare_command(arguments)).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ended.stderr.trim().is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_told_fault_by_fault() {
    let home = Installation::new(
        "relay.max_attempts = \"many\"\nbitrix.colour = \"red\"\nretention.id_map_days = 3\n",
    )
    .await;
    let mut command = home.command(&["serve"]);
    command.env("WABRIDGE_LOG__LEVEL", "loud");
    let ended = finish(command).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    for named in
        ["relay.max_attempts", "bitrix.colour", "retention.id_map_days", "log.level", "WABRIDGE_LOG__LEVEL"]
    {
        assert!(ended.stderr.contains(named), "{named}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("absent.toml", None), ("broken.toml", Some("a = \"hunter2\nb"))] {
        let file = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let ended = finish(bare_command(&["serve", "--config", file.to_str().unwrap()])).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(ended.stderr.contains(name) && !ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_log_that_nobody_takes_stops_nothing() {
    let home = Installation::new("").await;
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap().into();
    // The reading end is gone, as after `wabridge serve 2>&1 | head`.
    let closed = || std::io::pipe().unwrap().1.into();
    // The reading end is there, and nobody reads.
    let (unread, writing) = std::io::pipe().unwrap();
    for log in [full(), closed(), writing.into()] {
        let mut bridge = home.spawn_logging_to(home.port, log);
        bridge.answers().await;
        let http = crate::support::http_client();
        // More lines than a pipe holds.
        for _ in 0..1000 {
            let url = format!("{}/nowhere/{}", home.base_url(), "x".repeat(200));
            assert_eq!(http.get(url).send().await.unwrap().status(), 404);
        }
        assert_eq!(http.get(format!("{}/admin/login/", home.base_url())).send().await.unwrap().status(), 200);
        bridge.stop().await;
    }
    drop(unread);
}

#[tokio::test]
async fn only_one_serves_the_same_data() {
    let home = Installation::new("log.level = \"info\"\n").await;
    let first = home.serve().await;
    if on_postgres() {
        let port = free_port();
        let mut second = home.spawn_on(port);
        home.logs("standing by").await;
        first.stop().await;
        second.answers().await;
        second.stop().await;
        return;
    }
    let mut command = home.command(&["serve"]);
    command.env("WABRIDGE_HTTP__LISTEN", "127.0.0.1:0");
    let refused = finish(command).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another wabridge"), "{}", refused.stderr);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_stops_when_another_one_serves_its_database() {
    if !on_postgres() {
        return;
    }
    let home = Installation::new("").await;
    let mut bridge = home.serve().await;
    let wabridge::config::DatabaseUrl::Postgres(url) = home.database.url() else { panic!("PostgreSQL") };
    let url = wabridge::store::DbUrl::Postgres(url.expose().to_owned());
    // The server ends the session that holds the lock, and somebody else is faster.
    let lock = tokio::task::spawn_blocking(move || {
        let until = std::time::Instant::now() + DEADLINE;
        let mut conn = url.open().unwrap();
        loop {
            let ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            diesel::connection::SimpleConnection::batch_execute(&mut conn, ended).unwrap();
            if let Some(lock) = wabridge::store::advisory::AdvisoryLock::try_acquire(&url).unwrap() {
                return lock;
            }
            assert!(std::time::Instant::now() < until, "the lock stays with the bridge");
        }
    })
    .await
    .unwrap();
    let status = bridge.ended(DEADLINE).await;
    assert_eq!(status.code(), Some(1));
    home.logs("another wabridge serves this database now").await;
    // It can be had again when that one is gone.
    drop(lock);
    home.serve().await.stop().await;
}

#[tokio::test]
async fn a_bridge_that_stands_by_can_be_stopped() {
    if !on_postgres() {
        return;
    }
    let home = Installation::new("log.level = \"info\"\n").await;
    let first = home.serve().await;
    let second = home.spawn_on(free_port());
    home.logs("standing by").await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn a_wrong_master_key_refuses_to_start_with_the_remedy() {
    let home = Installation::new("").await;
    home.serve().await.stop().await;
    let file = home.folder.path().join("secret.key");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "ab".repeat(32)).unwrap();
    let refused = home.run(&["serve"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("master key") && refused.stderr.contains("secrets.master_key"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains(&"ab".repeat(32)));
    // None at all, as after a restore on another machine: the file's place stays free for the right one.
    std::fs::remove_file(&file).unwrap();
    let refused = home.run(&["serve"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("secret.key") && refused.stderr.contains("put it back"), "{refused:?}");
    assert!(!file.exists());
    std::fs::write(&file, good).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    home.serve().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_over_within_8_seconds_though_a_call_hangs_and_its_message_arrives_later() {
    let world = World::start("").await;
    let mut bridge = world.home.serve().await;
    let line = world.link().await;
    world.portal.plan_fault(FaultKind::Hang, Some("imconnector.send.messages"), 1);
    world.cloud.customer_sends(PHONE_ID, &anna(), text("Are you there?"));
    let hangs = |portal: &SimPortal| portal.call_count("imconnector.send.messages") > 0;
    assert!(world.portal.wait_until(DEADLINE, hangs).await);
    bridge.terminate();
    let status = bridge.ended(Duration::from_secs(8)).await;
    assert!(status.success(), "{status}");

    let bridge = world.home.serve().await;
    let shown = |portal: &SimPortal| portal.chats(&line).len() == 1;
    assert!(world.portal.wait_until(DEADLINE, shown).await);
    bridge.stop().await;
    let chat = world.portal.chats(&line).remove(0).external_id;
    let texts: Vec<String> =
        world.portal.conversation(&line, &chat).into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, ["Are you there?"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_secrets_nor_words_nor_numbers_of_people_stand_in_the_log() {
    let world = World::start("log.level = \"debug\"\n").await;
    let bridge = world.home.serve().await;
    let line = world.link().await;
    let anna = anna();
    world.cloud.change_faults(|faults| faults.media_cut_next = 1);
    world.portal.plan_fault(FaultKind::Status500, Some("imconnector.send.messages"), 1);
    world.cloud.customer_sends(PHONE_ID, &anna, text("a purple elephant"));
    let picture = wabridge::sandbox::cloud::SimMedia {
        kind: "image".into(),
        bytes: crate::support::jpeg(3000).into(),
        mime: "image/jpeg".into(),
        caption: Some("an orange giraffe".into()),
        ..wabridge::sandbox::cloud::SimMedia::default()
    };
    world.cloud.customer_sends_media(PHONE_ID, &anna, picture);
    let chat = |portal: &SimPortal| portal.chats(&line).first().map(|chat| chat.external_id.clone());
    let with_file = |portal: &SimPortal| {
        let shown = chat(portal).map(|chat| portal.conversation(&line, &chat)).unwrap_or_default();
        shown.iter().any(|entry| !entry.files.is_empty())
    };
    assert!(world.portal.wait_until(DEADLINE, with_file).await);
    let chat = chat(&world.portal).unwrap();
    world.cloud.change_faults(|faults| faults.token_expired = true);
    world.portal.operator_writes(&line, &chat, "a green camel", vec![]).unwrap();
    world.home.logs("190").await;
    world.cloud.change_faults(|faults| faults.token_expired = false);
    world.portal.change_faults(|faults| faults.expire_tokens = true);
    world.cloud.customer_sends(PHONE_ID, &anna, text("a second elephant"));
    let all = |portal: &SimPortal| portal.conversation(&line, &chat).len() >= 4;
    assert!(world.portal.wait_until(DEADLINE, all).await);
    bridge.stop().await;
    let log = std::fs::read_to_string(world.home.folder.path().join("serve.log")).unwrap();
    assert!(log.contains("request"), "the log of requests is there");
    for secret in [
        "elephant",
        "giraffe",
        "camel",
        "Anna",
        "16505551234",
        "5555 1234",
        "EAAG",
        crate::support::APP_SECRET,
        "hub.verify_token",
        "api-key",
        "client_secret=",
        "refresh_token=",
        "auth=",
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {}", line.unwrap_or_default());
    }
    let link = log.match_indices("/media/").find(|(at, found)| {
        let rest = log[at + found.len()..].bytes();
        rest.take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count() > 20
    });
    assert!(link.is_none(), "{}", &log[link.unwrap_or_default().0..][..60]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_application_token_is_refused_each_time_and_logged_once() {
    let world = World::start("").await;
    let bridge = world.home.serve().await;
    world.link().await;
    let form = [
        ("event", "ONIMCONNECTORLINEDELETE"),
        ("data", "1"),
        ("auth[member_id]", world.portal.member_id()),
        ("auth[application_token]", "wrong"),
    ];
    for _ in 0..5 {
        let request = crate::support::http_client().post(format!("{}/api/bitrix/", world.home.base_url()));
        assert_eq!(request.form(&form).send().await.unwrap().status(), 403);
    }
    bridge.stop().await;
    let log = std::fs::read_to_string(world.home.folder.path().join("serve.log")).unwrap();
    assert_eq!(log.matches("wrong application_token").count(), 1, "{log}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installations_that_nothing_proves_do_not_fill_the_log() {
    let world = World::start("").await;
    let bridge = world.home.serve().await;
    world.link().await;
    let server = format!("{}/rest/", world.portal.oauth_url());
    let form = [
        ("event", "ONAPPINSTALL"),
        ("auth[access_token]", "forged"),
        ("auth[refresh_token]", "forged"),
        ("auth[server_endpoint]", server.as_str()),
        ("auth[member_id]", world.portal.member_id()),
        ("auth[application_token]", "forged"),
    ];
    let page = [("DOMAIN", "127.0.0.1"), ("AUTH_ID", "forged"), ("member_id", world.portal.member_id())];
    let http = crate::support::http_client();
    for number in 0..300 {
        let request = http.post(format!("{}/api/bitrix/", world.home.base_url()));
        let request = if number % 2 == 0 { request.form(&form) } else { request.form(&page) };
        let status = request.send().await.unwrap().status().as_u16();
        assert!((400..500).contains(&status), "{status}");
    }
    bridge.stop().await;
    let log = std::fs::read_to_string(world.home.folder.path().join("serve.log")).unwrap();
    let told = ["an installation is not finished", "opened in vain", "/api/bitrix/"]
        .map(|words| log.matches(words).count());
    assert!(told[0] > 0 && told[1] > 0, "{log}");
    // Thirty of each of the two threads that answer; and a minute may have ended.
    assert!(told.iter().sum::<usize>() <= 4 * 30, "{told:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_bridge_brings_its_messages_back_elsewhere() {
    let world = World::start("").await;
    let home = &world.home;
    let bridge = home.serve().await;
    let line = world.link().await;
    let api = home.api_named("reader").await;
    world.cloud.customer_sends(PHONE_ID, &anna(), text("Keep this"));
    let shown = |portal: &SimPortal| portal.chats(&line).len() == 1;
    assert!(world.portal.wait_until(DEADLINE, shown).await);
    let chat = world.portal.chats(&line).remove(0).external_id;
    world.portal.operator_writes(&line, &chat, "Kept", vec![]).unwrap();
    let answered = |cloud: &SimCloud| cloud.received_count(PHONE_ID, &key_of(&anna())) == 1;
    assert!(world.cloud.wait_until(DEADLINE, answered).await);

    let archive = home.folder.path().join("copy.tar");
    let archive = archive.to_str().unwrap();
    let written = home.run(&["backup", archive]).await;
    if on_postgres() {
        assert_eq!(written.code, Some(1));
        assert!(written.stderr.contains("pg_dump"), "{written:?}");
        bridge.stop().await;
        return world.stop().await;
    }
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{written:?}");
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
    };
    assert_eq!(mode(std::path::Path::new(archive)), 0o600, "conversations are in it");
    let before = texts(&api.get("/messages").await);
    let running = home.run(&["restore", archive]).await;
    assert_eq!(running.code, Some(1));
    assert!(running.stderr.contains("stop it first"), "{running:?}");
    bridge.stop().await;
    let there = home.run(&["restore", archive]).await;
    assert_eq!(there.code, Some(1));
    assert!(there.stderr.contains("is there already"), "{there:?}");

    let other = Installation::between(&world.cloud, &world.portal, "").await;
    let restored = other.run(&["restore", archive]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(mode(&other.folder.path().join("wabridge.db")), 0o600);
    assert!(!other.folder.path().join("secret.key").exists(), "the master key is kept elsewhere");
    std::fs::copy(home.folder.path().join("secret.key"), other.folder.path().join("secret.key")).unwrap();
    let bridge = other.serve().await;
    let after = texts(&other.api_named("another").await.get("/messages").await);
    assert_eq!(before, ["Kept", "Keep this"]);
    assert_eq!(after, before);
    bridge.stop().await;
    let nonsense = other.folder.path().join("nonsense.tar");
    std::fs::write(&nonsense, "no archive").unwrap();
    let third = Installation::new("").await;
    let refused = third.run(&["restore", nonsense.to_str().unwrap()]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    // A link would lead out of the folder.
    let hostile = other.folder.path().join("hostile.tar");
    let mut archive = tar::Builder::new(std::fs::File::create(&hostile).unwrap());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "wabridge.db", "/etc/hostname").unwrap();
    archive.finish().unwrap();
    let refused = third.run(&["restore", hostile.to_str().unwrap()]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("does not belong"), "{refused:?}");
    assert!(!third.folder.path().join("wabridge.db").exists());
    world.stop().await;
}

/// Both clouds and a place for the bridge.
struct World {
    cloud: SimCloud,
    portal: SimPortal,
    home: Installation,
}

impl World {
    async fn start(settings: &str) -> Self {
        let cloud = SimCloud::start(listener(), CloudOptions::default()).await.unwrap();
        let portal = SimPortal::start(listener(), listener(), PortalOptions::default()).await.unwrap();
        let home = Installation::between(&cloud, &portal, settings).await;
        Self { cloud, portal, home }
    }

    /// Links the running bridge; the line.
    async fn link(&self) -> String {
        linking::prepare_cloud(&self.cloud);
        linking::link(&self.home.api().await, &self.cloud, &self.portal).await.line
    }

    async fn stop(self) {
        self.cloud.stop().await;
        self.portal.stop().await;
    }
}

fn text(body: &str) -> Value {
    serde_json::json!({"type": "text", "text": {"body": body}})
}

fn texts(messages: &Value) -> Vec<String> {
    let all = messages["items"].as_array().unwrap().iter();
    all.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}
