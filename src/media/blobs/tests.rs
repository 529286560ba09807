//! Facts about files on disk.

use futures_util::stream;

use super::*;

const LIMITS: WriteLimits = WriteLimits { max_bytes: 100_000, deadline: Duration::from_secs(10) };

fn store() -> (tempfile::TempDir, BlobStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path().join("media")).unwrap();
    (folder, store)
}

fn leftovers(store: &BlobStore) -> usize {
    fs::read_dir(store.incoming()).unwrap().count()
}

fn pieces(sizes: &[usize]) -> Vec<Result<Vec<u8>, io::Error>> {
    sizes.iter().map(|size| Ok(vec![7; *size])).collect()
}

#[tokio::test]
async fn a_streamed_file_is_read_back_with_its_hash_and_head() {
    let (_folder, store) = store();
    let blob = store.write(stream::iter(pieces(&[5000, 5000, 1])), LIMITS).await.unwrap();
    assert_eq!(blob.size, 10_001);
    assert_eq!(blob.head, vec![7; HEAD_BYTES]);
    assert_eq!(blob.sha256_hex, hex::encode(Sha256::digest(vec![7; 10_001])));
    assert_eq!(store.read(&blob.id).await.unwrap(), vec![7; 10_001]);
    assert_eq!(leftovers(&store), 0);

    let same = store.write_bytes(vec![7; 10_001]).await.unwrap();
    assert_eq!(StoredBlob { id: blob.id.clone(), ..same }, blob);
    assert_eq!(store.total_size().await.unwrap(), 20_002);
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_without_remains() {
    let (_folder, store) = store();
    let error = store.write(stream::iter(pieces(&[99_999, 2])), LIMITS).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { limit: 100_000 }), "{error:?}");
    assert_eq!(error.verdict(), Verdict::GiveUp);
    assert_eq!((leftovers(&store), store.total_size().await.unwrap()), (0, 0));
    assert!(store.write(stream::iter(pieces(&[99_999, 1])), LIMITS).await.is_ok());
}

#[tokio::test]
async fn a_stream_that_breaks_or_hangs_leaves_nothing() {
    let (_folder, store) = store();
    let broken = stream::iter([Ok(vec![1, 2, 3]), Err(io::Error::other("reset"))]);
    assert!(matches!(store.write(broken, LIMITS).await, Err(BlobError::Source(_))));
    let hanging = stream::iter(pieces(&[10])).chain(stream::pending());
    let short = WriteLimits { deadline: Duration::from_millis(20), ..LIMITS };
    assert!(matches!(store.write(hanging, short).await, Err(BlobError::TooSlow { .. })));
    assert_eq!((leftovers(&store), store.total_size().await.unwrap()), (0, 0));
}

#[tokio::test]
async fn what_a_crash_left_is_removed_at_open_only() {
    let (_folder, store) = store();
    fs::write(store.incoming().join(".tmpAbC"), b"half").unwrap();
    BlobStore::attach(&store.root).unwrap();
    assert_eq!(leftovers(&store), 1);
    BlobStore::open(&store.root).unwrap();
    assert_eq!(leftovers(&store), 0);
}

#[test]
fn an_id_that_is_not_ours_has_no_path() {
    let (_folder, store) = store();
    for id in ["", "..", "../../etc/passwd", "ab", "0198C0FFEE00700080000000000000AA"] {
        assert!(store.path(&BlobId::from(id)).is_err(), "{id}");
    }
    for id in [
        "/0198c0ffee007000800000000000aa",
        "0198c0ffee0070008000000000000/aa",
        "é198c0ffee00700080000000000000a",
    ] {
        assert!(store.path(&BlobId::from(id)).is_err(), "{id}");
    }
    assert!(store.path(&BlobId::new(new_id())).is_ok());
}

#[tokio::test]
async fn orphans_are_swept_but_not_the_newest() {
    let (_folder, store) = store();
    let known = store.write_bytes(b"known".to_vec()).await.unwrap().id;
    let orphan = store.write_bytes(b"orphan".to_vec()).await.unwrap().id;
    let is_known = |id: &BlobId| *id == known;
    let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(store.sweep_orphans(long_ago, is_known).await.unwrap(), 0);
    assert_eq!(store.sweep_orphans(DateTime::<Utc>::MAX_UTC, is_known).await.unwrap(), 1);
    assert!(store.open_file(&known).await.is_ok());
    assert!(store.open_file(&orphan).await.is_err());
    assert!(store.remove(&known).await.unwrap());
    assert!(!store.remove(&known).await.unwrap());
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert!(matches!(BlobError::from(full), BlobError::DiskFull(_)));
}
