//! Setting up, consistency, pages, and what belongs to other programs: points 5, 6 and 10 of the
//! contract.

use std::collections::BTreeMap;

use crate::lease::{Consistency, Expect, Write};
use crate::model::{Checkpoint, HashKeyRange, Lease, LeaseKey, Pending};

use super::TableFixture;
use super::check::{all_rows, assert_row, one, plain, put, send, two};
use super::rows::{at, held, key, other, owner, shards, token};

/// `setup` can be repeated, can run from several handles at once, and removes nothing.
///
/// Each worker of a fleet calls it at its start, and a deployment starts them all at once. A set-up
/// that drops or recreates anything would take the leases of the whole fleet away.
///
/// Eight handles set up at once, as in a deployment, and once more after there is a row.
pub async fn setting_up_again_keeps_everything(fixture: &dyn TableFixture) {
    let mut handles = Vec::new();
    for _ in 0..8 {
        handles.push(fixture.handle().await);
    }
    for result in futures_util::future::join_all(handles.iter().map(|table| table.setup())).await {
        result.expect("setup from several handles at once");
    }
    put(&handles[0], &held()).await;
    for table in &handles {
        table.setup().await.expect("setup once more");
    }
    let row = handles[7]
        .get(&held().key)
        .await
        .expect("get")
        .expect("a second setup took the row away");
    assert_row("after a second setup", row, &held());
}

/// An empty table has no rows, and reading it is not an error.
///
/// The first worker of an application decides from this that it has to create the leases.
pub async fn an_empty_table_has_no_rows(fixture: &dyn TableFixture) {
    let table = one(fixture).await;
    assert_eq!(table.get(&held().key).await.expect("get"), None);
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let (all, _) = all_rows(&table, consistency).await;
        assert!(
            all.leases.is_empty() && all.workers.is_empty() && all.malformed.is_empty(),
            "{all:?}"
        );
    }
}

/// A write that was acknowledged on one handle is visible to the next `get` and the next strong
/// scan on another one.
///
/// After a write with a lost answer a worker finds out what happened by reading the row. A stale
/// answer would show the old counter, and the worker would take its own write for one that was
/// never applied.
///
/// It is repeated 30 times, because a store with replicas shows the write most of the time anyway.
pub async fn reads_see_what_was_acknowledged(fixture: &dyn TableFixture) {
    let (writer, reader) = two(fixture).await;
    let mut row = held();
    put(&writer, &row).await;
    for place in 0..30 {
        row = send(
            &writer,
            &row.key,
            &Write::checkpoint(&row, at(100 + place, place)),
        )
        .await
        .expect("checkpoint");
        let read = reader.get(&row.key).await.expect("get").expect("the row");
        assert_row("get after an acknowledged write", read, &row);
        let (mut all, _) = all_rows(&reader, Consistency::Strong).await;
        assert_row(
            "a strong scan after an acknowledged write",
            all.leases.remove(0),
            &row,
        );
    }
}

/// 250 leases, so that a table with short pages needs several of them. A table with one long page
/// passes as well: how it divides its rows is its own affair.
fn many() -> BTreeMap<LeaseKey, Lease> {
    let row = |number: u64| Lease {
        key: key(&format!("shardId-{number:012}")),
        counter: number + 1,
        ..held()
    };
    (0..250)
        .map(row)
        .map(|row| (row.key.clone(), row))
        .collect()
}

/// A scan returns 250 leases over its pages, each once and complete, with either consistency.
///
/// A lease that is missing from a scan is created again by an audit, or looks as if no worker had
/// to read it. One that comes twice makes its owner look busier than it is. An eventual scan may be
/// stale, so its number of rows is not checked.
pub async fn a_scan_has_each_row_once(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let rows = many();
    for row in rows.values() {
        put(&table, row).await;
    }
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let (all, _) = all_rows(&second, consistency).await;
        if consistency == Consistency::Strong {
            assert_eq!(all.leases.len(), rows.len(), "rows of all pages");
        }
        let mut seen = BTreeMap::new();
        for row in all.leases {
            let key = row.key.clone();
            assert_eq!(
                Some(&plain(row.clone())),
                rows.get(&key).cloned().map(plain).as_ref()
            );
            assert_eq!(seen.insert(key, row), None, "a row came twice");
        }
    }
}

/// While rows are created and deleted between the pages, those that stay are each listed once.
///
/// A table that counts rows to find its next page skips one for each row that was deleted before
/// it, and repeats one for each row that was created. The next page has to begin after a key, even
/// if the row with that key is gone: the point deletes just that row.
///
/// The row that is created falls between the pages that were read and those that were not.
pub async fn rows_that_stay_are_listed_once_while_others_come_and_go(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let rows = many();
    for row in rows.values() {
        put(&table, row).await;
    }
    let mut seen: BTreeMap<LeaseKey, usize> = BTreeMap::new();
    let mut gone = Vec::new();
    let mut next = None;
    for round in 0.. {
        let page = table
            .scan(next.as_ref(), Consistency::Strong)
            .await
            .expect("a page");
        // Deletes the last row of the page (after which the next page begins), and one at either
        // end of the table.
        let last = page.leases.last().map(|row| &row.key);
        let leaving = [last, rows.keys().nth(round), rows.keys().rev().nth(round)];
        for key in leaving
            .into_iter()
            .flatten()
            .filter(|key| rows.contains_key(key))
        {
            if !gone.contains(key) {
                let at_counter = Expect {
                    counter: Some(rows[key].counter),
                    ..Expect::default()
                };
                second.delete(key, &at_counter).await.expect("delete");
                gone.push(key.clone());
            }
        }
        put(
            &second,
            &Lease::new(
                key(&format!("shardId-000000000100-new-{round}")),
                Checkpoint::Latest,
            ),
        )
        .await;
        for row in page.leases {
            *seen.entry(row.key).or_default() += 1;
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    for key in rows.keys().filter(|key| !gone.contains(key)) {
        assert_eq!(seen.get(key), Some(&1), "{key}");
    }
}

/// Rows of other programs are not listed, and no write changes them.
///
/// A Java KCL keeps its leader's lock and its own workers in the table of leases. They must not be
/// taken for malformed leases either, because an operator would be told to repair them.
///
/// One of the rows says what kind it is and the other says nothing, as rows of the KCL 3.x and of
/// other programs do.
pub async fn foreign_rows_are_left_alone(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let foreign = [("Leader", Some("LEADER")), ("notes", None)];
    for (key, kind) in foreign {
        if !fixture.put_foreign(key, kind).await {
            return;
        }
    }
    put(&table, &held()).await;
    let ended = send(&table, &held().key, &Write::end(&held(), shards(&["c"])))
        .await
        .expect("end");
    table
        .delete(&ended.key, &Write::delete(&ended))
        .await
        .expect("delete");
    put(&table, &held()).await;
    second.setup().await.expect("setup");

    let (all, _) = all_rows(&second, Consistency::Strong).await;
    assert_eq!(all.leases.len(), 1, "a foreign row is listed as a lease");
    assert!(
        all.workers.is_empty(),
        "a foreign row is listed as a worker"
    );
    assert!(
        all.malformed.is_empty(),
        "a foreign row is listed as a malformed one"
    );
    for (key, kind) in foreign {
        assert!(
            fixture.has_foreign(key, kind).await,
            "the foreign row `{key}` is not as it was"
        );
    }
}

/// An unknown attribute survives every write, and prevents none.
///
/// Every write of the protocol is sent once, in the order in which a lease can meet them. A later
/// version of this framework, or a Java worker, may have stored something in the row that this
/// version does not know.
pub async fn unknown_attributes_survive_every_write(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let mut row = held();
    put(&table, &row).await;
    if !fixture.put_unknown_attribute(&row.key, "kept").await {
        return;
    }
    let key = row.key.clone();
    let pending = Pending {
        at: at(30, 0),
        state: None,
    };
    row = send(&table, &key, &Write::renew(&row))
        .await
        .expect("renew");
    row = send(&table, &key, &Write::prepare(&row, pending))
        .await
        .expect("prepare");
    row = send(&table, &key, &Write::checkpoint(&row, at(31, 0)))
        .await
        .expect("checkpoint");
    row = send(&table, &key, &Write::children(&row, shards(&["c"])))
        .await
        .expect("children");
    send(&table, &key, &Write::facts(&row, held().facts))
        .await
        .expect("facts");
    row = send(&table, &key, &Write::hash_range(HashKeyRange::WHOLE))
        .await
        .expect("range");
    row = send(&second, &key, &Write::request(&row, other(), owner()))
        .await
        .expect("request");
    row = send(&second, &key, &Write::withdraw(&row, other(), owner()))
        .await
        .expect("withdraw");
    row = send(&second, &key, &Write::request(&row, other(), owner()))
        .await
        .expect("request");
    row = send(&table, &key, &Write::refuse(&row, owner(), other()))
        .await
        .expect("refuse");
    row = send(&second, &key, &Write::request(&row, other(), owner()))
        .await
        .expect("request");
    row = send(
        &table,
        &key,
        &Write::pass_on(&row, owner(), other(), Some(at(32, 0))),
    )
    .await
    .expect("pass on");
    row = send(&second, &key, &Write::claim(&row, other(), token("2")))
        .await
        .expect("claim");
    row = send(&second, &key, &Write::release(&row, Some(at(33, 0))))
        .await
        .expect("release");
    row = send(&table, &key, &Write::take(&row, owner(), token("3")))
        .await
        .expect("take");
    row = send(&table, &key, &Write::end(&row, shards(&["c", "d"])))
        .await
        .expect("end");
    assert_eq!(
        fixture.unknown_attribute(&key).await.as_deref(),
        Some("kept")
    );
    assert!(row.checkpoint.is_shard_end());
}
