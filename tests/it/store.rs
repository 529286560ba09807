//! The database: groups that stand for themselves, a queue that has an end, a disk that is full, a server that
//! is restarted, and who may open it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wabridge::app::App;
use wabridge::config::DatabaseUrl;
use wabridge::queue::job::{Class, Job, Kind, to_line};
use wabridge::queue::lanes::Claimed;
use wabridge::queue::worker::{Running, Settled};
use wabridge::store::db::{Conn, DbUrl};
use wabridge::store::jobs::Settlement;
use wabridge::store::migrate::migrate;
use wabridge::store::{Db, StoreError, jobs};

use crate::support::database::TestDatabase;
use crate::support::{Options, TestApp, anna};

fn is_sqlite(app: &TestApp) -> bool {
    matches!(app.config.database.url, DatabaseUrl::Sqlite(_))
}

fn sql(conn: &mut Conn, text: &str) -> Result<(), StoreError> {
    Ok(conn.batch_execute(text)?)
}

/// Keeps the writer busy until it is released, so that what comes meanwhile shares a group.
pub async fn hold_writer(app: &TestApp) -> (tokio::task::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
    hold(&app.relay.db).await
}

/// The same for a database.
pub async fn hold(db: &Db) -> (tokio::task::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let (db, mut entered) = (db.clone(), Some(entered));
    let held = tokio::spawn(async move {
        db.write(move |_| {
            if let Some(entered) = entered.take() {
                let _ = entered.send(());
            }
            let _ = wait.recv_timeout(crate::support::DEADLINE);
            Ok(())
        })
        .await
        .unwrap();
    });
    inside.await.unwrap();
    (held, release)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_request_in_a_group_does_not_fail_its_neighbours() {
    let app = TestApp::start().await;
    let (held, release) = hold_writer(&app).await;
    let mut group = tokio::task::JoinSet::new();
    for number in 0..20 {
        let db = app.relay.db.clone();
        group.spawn(async move {
            let outcome = db
                .write(move |tx| match number {
                    7 => sql(tx.conn, "INSERT INTO no_such_table VALUES (1)"),
                    13 => panic!("a test's panic in the writer"),
                    _ => sql(
                        tx.conn,
                        &format!("INSERT INTO vault_checks (name, sealed) VALUES ('n{number}', 'x')"),
                    ),
                })
                .await;
            (number, outcome)
        });
    }
    release.send(()).unwrap();
    held.await.unwrap();
    for (number, outcome) in group.join_all().await {
        assert_eq!(outcome.is_err(), number == 7 || number == 13, "{number}: {outcome:?}");
    }
    let stored =
        app.relay.db.read(|conn| count(conn, "SELECT count(*) AS n FROM vault_checks WHERE sealed = 'x'"));
    assert_eq!(stored.await.unwrap(), 18);
    app.stop().await;
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

fn count(conn: &mut Conn, query: &str) -> Result<i64, StoreError> {
    let row: Count = match conn {
        Conn::Sqlite(c) => diesel::sql_query(query).get_result(c)?,
        Conn::Postgres(c) => diesel::sql_query(query).get_result(c)?,
    };
    Ok(row.n)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_of_writes_is_refused_at_once() {
    let app = TestApp::start().await;
    let (held, release) = hold_writer(&app).await;
    let mut waiting = tokio::task::JoinSet::new();
    let mut busy = 0;
    for _ in 0..4096 {
        let db = app.relay.db.clone();
        waiting.spawn(async move { db.write_or_busy(|_| Ok(())).await });
    }
    // Those that were refused answer while the writer still stands.
    while let Some(Ok(outcome)) = waiting.join_next().await {
        assert!(matches!(outcome, Err(StoreError::Busy)), "{outcome:?}");
        busy += 1;
        if busy == 2048 {
            break;
        }
    }
    release.send(()).unwrap();
    held.await.unwrap();
    let rest = waiting.join_all().await;
    assert!(rest.len() == 2048 && rest.iter().all(Result::is_ok));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_writes_is_told_by_health() {
    let app = TestApp::start().await;
    assert_eq!(app.api.get("/health").await["problems"], serde_json::json!([]));
    let statements: &[&str] = match is_sqlite(&app) {
        true => &[
            "CREATE TRIGGER full_disk BEFORE UPDATE ON vault_checks BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
        ],
        false => &[
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \
             'No space left on device' USING ERRCODE = 'disk_full'; END $$",
            "CREATE TRIGGER full_disk BEFORE UPDATE ON vault_checks FOR EACH ROW EXECUTE FUNCTION full_disk()",
        ],
    };
    for statement in statements {
        app.sql((*statement).to_owned()).await;
    }
    let health = app.api.get("/health").await;
    assert_eq!(health["status"], "attention", "{health}");
    assert!(health["problems"][0].as_str().unwrap().contains("takes no writes"), "{health}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stores_nothing_by_half_and_recovers() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "before");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    if !is_sqlite(&app) {
        // The server says of each insert what it says when its disk is full.
        for statement in [
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \
             'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$",
            "CREATE TRIGGER full_disk BEFORE INSERT ON messages EXECUTE FUNCTION full_disk()",
        ] {
            app.sql(statement.to_owned()).await;
        }
        app.customer_writes(&anna(), "while it is full");
        app.customer_writes(&anna(), "and more");
        app.eventually("Meta was told to come again", async || {
            let told = app.relay.metrics.encode();
            told.lines().any(|line| line.contains("outcome=\"busy\"")).then_some(())
        })
        .await;
        assert_eq!(app.ledger().await.len(), 1);
        app.sql("DROP TRIGGER full_disk ON messages".to_owned()).await;
        app.shown(3).await;
        assert_eq!(app.texts(&chat), ["before", "while it is full", "and more"]);
        return app.stop().await;
    }
    let pages = |conn: &mut Conn| match conn {
        Conn::Sqlite(c) => {
            Ok(diesel::sql_query("SELECT page_count AS n FROM pragma_page_count").get_result::<Count>(c)?.n)
        }
        Conn::Postgres(_) => Ok(0),
    };
    let limit = app.relay.db.read(pages).await.unwrap() + 2;
    app.relay.db.write(move |tx| sql(tx.conn, &format!("PRAGMA max_page_count={limit}"))).await.unwrap();
    let filler = "x".repeat(100_000);
    let outcome = app
        .relay
        .db
        .write(move |tx| {
            sql(tx.conn, "INSERT INTO vault_checks (name, sealed) VALUES ('half', 'x')")?;
            sql(tx.conn, &format!("INSERT INTO vault_checks (name, sealed) VALUES ('whole', '{filler}')"))
        })
        .await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    // Meta keeps what is answered with 503, and posts it again.
    let long = "long ".repeat(800);
    for _ in 0..10 {
        app.customer_writes(&anna(), &long);
    }
    let half = "SELECT count(*) AS n FROM vault_checks WHERE name = 'half'";
    assert_eq!(app.relay.db.read(move |conn| count(conn, half)).await.unwrap(), 0);
    app.relay.db.write(|tx| sql(tx.conn, "PRAGMA max_page_count=1000000")).await.unwrap();
    app.shown(11).await;
    assert_eq!(app.texts(&chat).len(), 11);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_postgres_loses_nothing() {
    let app = TestApp::start().await;
    if is_sqlite(&app) {
        return app.stop().await;
    }
    let anna = anna();
    app.customer_writes(&anna, "first");
    let chat = app.chat_of("Anna").await;
    for round in 0..5 {
        for number in 0..10 {
            app.customer_writes(&anna, &format!("{round}.{number}"));
        }
        let kill = "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        // The very connection may be among the dead of the last round.
        app.wait_for("a reader", async |app| app.relay.db.read(move |conn| count(conn, kill)).await.ok())
            .await;
    }
    app.shown(51).await;
    let mut expected = vec!["first".to_owned()];
    expected.extend((0..5).flat_map(|round| (0..10).map(move |number| format!("{round}.{number}"))));
    assert_eq!(app.texts(&chat), expected);
    app.stop().await;
}

/// Else the next program that looks into it takes itself for the last one, and removes the log under us.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_database_stays_locked_while_connections_come_and_go() {
    use std::os::unix::fs::MetadataExt as _;

    let app = TestApp::start().await;
    let DatabaseUrl::Sqlite(path) = &app.config.database.url else { return app.stop().await };
    // Readers are opened when they are needed, beside the writer.
    let reads = (0..4).map(|_| app.relay.db.read(|conn| count(conn, "SELECT count(*) AS n FROM jobs")));
    assert!(futures_util::future::join_all(reads).await.into_iter().all(|read| read.is_ok()));
    let held = || {
        let inode = format!(":{} ", std::fs::metadata(path).unwrap().ino());
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let own = format!(" {} ", std::process::id());
        locks.lines().any(|lock| lock.contains(&inode) && lock.contains(&own))
    };
    assert!(held());
    drop(DbUrl::Sqlite(path.clone()).open().unwrap());
    assert!(held());
    app.stop().await;
}

/// The server commits, and the connection breaks before its answer is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broken_commit_has_written_is_run_at_once_and_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::create(folder.path()).await;
    let DatabaseUrl::Postgres(url) = database.url() else { return };
    let mut url: url::Url = url.expose().parse().unwrap();
    migrate(&DbUrl::Postgres(url.to_string())).unwrap();
    let cutter = CommitCutter::before(&url).await;
    url.set_ip_host("127.0.0.1".parse().unwrap()).unwrap();
    url.set_port(Some(cutter.port)).unwrap();
    let (told, mut known) = tokio::sync::mpsc::unbounded_channel();
    let on_commit = move |offers: Vec<jobs::Offer>, _| {
        offers.into_iter().for_each(|offer| told.send(offer).unwrap());
    };
    let (db, writer) = Db::start(DbUrl::Postgres(url.to_string()), Arc::new(on_commit)).unwrap();
    let write = async |text: &'static str| {
        let job = to_line(
            Kind::Note,
            &"p".into(),
            &"c".into(),
            None,
            &Job::Note { chat_id: "c".into(), text: text.into() },
        );
        db.write(move |tx| jobs::enqueue(tx, &job, chrono::Utc::now())).await
    };
    write("one").await.unwrap();
    cutter.cut.store(true, Ordering::SeqCst);
    assert!(write("two").await.is_err_and(|error| error.is_outage()));
    // Nobody asks for anything: it is found all the same.
    let mut seqs = Vec::new();
    for _ in 0..2 {
        let offer =
            tokio::time::timeout(crate::support::DEADLINE, known.recv()).await.expect("a job").unwrap();
        seqs.push(offer.seq);
    }
    write("three").await.unwrap();
    seqs.push(known.recv().await.unwrap().seq);
    assert!(seqs.is_sorted_by(|a, b| a < b), "each has a place of its own: {seqs:?}");
    drop(db);
    tokio::task::spawn_blocking(move || writer.close()).await.unwrap();
}

/// Stands between a client and PostgreSQL and, once told, lets a commit through and breaks off before its answer.
struct CommitCutter {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl CommitCutter {
    async fn before(server: &url::Url) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, cut) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let (server, armed) = ((server.host_str().unwrap().to_owned(), server.port().unwrap()), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = tokio::net::TcpStream::connect(server.clone()).await.unwrap();
                tokio::spawn(pass(client, server, armed.clone()));
            }
        });
        Self { port, cut }
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicBool>) {
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            Ok(length @ 1..) = client.read(&mut asked) => {
                server.write_all(&asked[..length]).await.unwrap();
                let commits = asked[..length].windows(6).any(|word| word == b"COMMIT");
                if commits && cut.swap(false, Ordering::SeqCst) {
                    // Its answer is there: it is done.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            Ok(length @ 1..) = server.read(&mut answered) => {
                client.write_all(&answered[..length]).await.unwrap();
            }
            else => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_cannot_be_run_die_alone() {
    let app = TestApp::start().await;
    app.customer_writes(&anna(), "first");
    let chat = app.chat_of("Anna").await;
    app.shown(1).await;
    // A job whose chat does not exist any more, and one that nothing can read.
    let phone = app.phone_id();
    app.relay
        .db
        .write(move |tx| {
            let now = chrono::Utc::now();
            for (number, payload) in
                [r#"{"v":1,"kind":"note","chat_id":"gone","text":"x"}"#, "{"].iter().enumerate()
            {
                let lane = format!("in:gone{number}");
                let job = Job::Note { chat_id: "gone".into(), text: "x".into() };
                let mut job = to_line(Kind::Note, &phone, &"gone".into(), None, &job);
                (job.lane, job.payload) = (lane, (*payload).to_owned());
                jobs::enqueue(tx, &job, now)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    app.customer_writes(&anna(), "second");
    app.shown(2).await;
    assert_eq!(app.texts(&chat), ["first", "second"]);
    assert_eq!(app.jobs("dead").await.len(), 2);
    assert!(app.relay.scheduler.pending_in(&Class::Line.queue(&app.phone_id())) == 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_that_the_database_refuses_cost_their_own_job_alone_its_effects() {
    let app = TestApp::start().await;
    let phone = app.phone_id();
    let rows = app
        .relay
        .db
        .write(move |tx| {
            let now = chrono::Utc::now();
            let mut ids = Vec::new();
            for lane in ["in:x", "in:y"] {
                let job = Job::Note { chat_id: "x".into(), text: "x".into() };
                let job = to_line(Kind::Note, &phone, &"x".into(), None, &job);
                // Of a kind that no worker knows: it is run here.
                let job = jobs::NewJob { kind: "of_the_future", lane: lane.to_owned(), ..job };
                ids.extend(jobs::enqueue(tx, &job, now)?);
            }
            jobs::start(tx.conn, &ids, "lease", now + chrono::Duration::minutes(1))
        })
        .await
        .unwrap();
    let settled = rows.into_iter().enumerate().map(|(number, row)| {
        let claimed = Claimed { id: row.id.clone(), lane: row.lane.as_str().into(), kind: Kind::Note };
        Settled::plain(Running { row, claimed }, Settlement::Done).with(move |tx| match number {
            0 => sql(tx.conn, "INSERT INTO chats (id) VALUES ('refused')"),
            _ => sql(tx.conn, "INSERT INTO vault_checks (name, sealed) VALUES ('taken', 'x')"),
        })
    });
    app.relay.worker.finish("lease", settled.collect()).await;
    let jobs = app.jobs_of("of_the_future").await;
    assert!(jobs.len() == 2 && jobs.iter().all(|job| job.state == "done"), "{jobs:#?}");
    let taken = "SELECT count(*) AS n FROM vault_checks WHERE name = 'taken'";
    assert_eq!(app.relay.db.read(move |conn| count(conn, taken)).await.unwrap(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_bridge_on_the_same_embedded_database_refuses_to_start() {
    let app = TestApp::start().await;
    if is_sqlite(&app) {
        let error = App::build(app.config.clone(), app.clock.clone()).await.err().unwrap();
        assert!(error.to_string().contains("stop it first"), "{error:#}");
    } else {
        // On PostgreSQL it stands by until the first one is gone.
        let (config, clock) = (app.config.clone(), app.clock.clone());
        let standby = tokio::spawn(async move { App::build(config, clock).await.map(drop) });
        app.customer_writes(&anna(), "first");
        app.chat_of("Anna").await;
        assert!(!standby.is_finished());
        standby.abort();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_master_key_refuses_to_start_with_the_remedy() {
    let mut app = TestApp::start().await;
    app.go_down().await;
    let path = app.config.secrets.master_key_path.clone();
    let right = std::fs::read(&path).unwrap();
    std::fs::write(&path, "ab".repeat(32)).unwrap();
    let error = app.refuses_to_start().await;
    assert!(error.contains("master key is not the one"), "{error}");
    std::fs::write(&path, &right).unwrap();
    app.boot().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_older_than_the_schema_refuses_to_start() {
    let mut app = TestApp::with(Options::default()).await;
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    app.relay.db.write(move |tx| sql(tx.conn, newer)).await.unwrap();
    app.go_down().await;
    let error = app.refuses_to_start().await;
    assert!(error.contains("newer"), "{error}");
    app.gone().await;
}
