//! `wabridge doctor`, run as a process beside a running bridge.

use serde_json::Value;
use wabridge::sandbox::cloud::{CloudOptions, SimCloud};
use wabridge::sandbox::portal::{PortalOptions, SimPortal};

use crate::doctor::finding;
use crate::support::process::Installation;
use crate::support::{ACCESS_TOKEN, APP_SECRET, CLIENT_ID, WABA_ID, linking, listener};

#[tokio::test]
async fn the_doctor_looks_beside_a_running_bridge_and_ends_with_1_if_anything_fails() {
    let cloud = SimCloud::start(listener(), CloudOptions::default()).await.unwrap();
    let portal = SimPortal::start(listener(), listener(), PortalOptions::default()).await.unwrap();
    let home = Installation::between(&cloud, &portal, "").await;
    let bridge = home.serve().await;
    linking::prepare_cloud(&cloud);
    linking::link(&home.api().await, &cloud, &portal).await;

    // The address of a test is no public one: that alone fails.
    let told = home.run(&["doctor", "--json"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(report["failed"], 1, "{report:#}");
    assert_eq!(finding(&report, "bridge.public.address")["result"], "fail");
    assert_eq!(finding(&report, "bridge.public.reached")["result"], "pass");
    assert_eq!(finding(&report, "meta.app.delivery")["result"], "pass");
    assert_eq!(finding(&report, "bridge.signatures")["result"], "skipped");
    assert_eq!(told.stderr.lines().last(), Some("wabridge: 1 check failed"));

    cloud.unsubscribe(WABA_ID, CLIENT_ID);
    let told = home.run(&["doctor"]).await;
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.contains("FAIL     meta.waba.subscribed"), "{}", told.stdout);
    assert!(told.stdout.contains(r#"{"repair": "waba.subscription""#), "{}", told.stdout);
    assert!(told.stdout.contains("2 failed"), "{}", told.stdout);
    for secret in [APP_SECRET, ACCESS_TOKEN] {
        assert!(!told.stdout.contains(secret) && !told.stderr.contains(secret));
    }
    bridge.stop().await;
    cloud.stop().await;
    portal.stop().await;
}

#[tokio::test]
async fn the_doctor_of_an_installation_that_was_never_served_tells_what_it_can() {
    let home = Installation::new("meta.graph_url = \"http://127.0.0.1:1\"\n").await;
    let told = home.run(&["doctor", "--json"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(finding(&report, "bridge.public.reached")["result"], "fail");
    assert_eq!(finding(&report, "bridge.database")["result"], "pass");
}
