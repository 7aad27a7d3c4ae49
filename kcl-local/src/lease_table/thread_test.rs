use rusqlite::params;
use tempfile::tempdir;

use super::super::open_files::Opening;
use super::*;

/// An owner whose file can grow only to this many pages of 4 KiB, as on a disk that fills up.
async fn owner_with_room_for(pages: u32, path: PathBuf) -> Owner {
    let opened = path.clone();
    let open = move || {
        let connection = Connection::open(&opened).expect("open");
        let limit = format!(
            "PRAGMA journal_mode = WAL; CREATE TABLE blobs (id, bytes); PRAGMA max_page_count = \
             {pages}"
        );
        connection.execute_batch(&limit).expect("the limit");
        let file = Opening::begin().opened(&opened);
        Ok(Owned {
            connection,
            file,
            path: opened,
            busy_timeout: Duration::ZERO,
        })
    };
    Owner::start(path, open).await.expect("the thread")
}

async fn put(owner: &Owner, id: i64) -> Answer<()> {
    let insert = move |connection: &Connection| {
        connection.execute("INSERT INTO blobs VALUES (?, zeroblob(9000))", params![id])?;
        Ok(())
    };
    owner.write(insert).await
}

/// On a full disk, exactly the acknowledged writes are in the file.
#[tokio::test]
async fn a_full_disk_keeps_what_was_acknowledged_and_no_more() {
    let folder = tempdir().expect("a folder");
    let owner = owner_with_room_for(40, folder.path().join("leases.sqlite")).await;
    put(&owner, -1).await.expect("there is room");
    let results = futures_util::future::join_all((0..60).map(|id| put(&owner, id))).await;
    let mut acknowledged = vec![-1];
    for (id, result) in (0..).zip(results) {
        match result {
            Ok(()) => acknowledged.push(id),
            Err(Error::Throttled { source }) => {
                assert!(source.to_string().contains("full"), "{source}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(acknowledged.len() < 61, "the disk was not full");
    let read = |owned: &mut Owned| {
        let mut ids = owned
            .connection
            .prepare("SELECT id FROM blobs ORDER BY id")?;
        let ids: Vec<i64> = ids
            .query_map((), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(ids)
    };
    assert_eq!(owner.alone(read).await.expect("a read"), acknowledged);
}

#[tokio::test]
async fn a_write_that_fails_takes_none_of_its_neighbours_along() {
    let folder = tempdir().expect("a folder");
    let owner = owner_with_room_for(1000, folder.path().join("leases.sqlite")).await;
    let broken = |connection: &Connection| {
        connection.execute("INSERT INTO blobs VALUES (-1, NULL)", ())?;
        connection.execute("INSERT INTO no_such_table VALUES (1)", ())?;
        Ok(())
    };
    let (before, failed, after) = tokio::join!(put(&owner, 1), owner.write(broken), put(&owner, 2));
    before.expect("the one before");
    after.expect("the one after");
    assert!(
        matches!(&failed, Err(Error::Fatal { message, .. }) if message.contains("no_such_table")),
        "{failed:?}"
    );
    let count = |owned: &mut Owned| {
        Ok(owned
            .connection
            .query_row("SELECT count(*) FROM blobs", (), |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(owner.alone(count).await.expect("a read"), 2);
}
