//! A program that has a rusqlite of its own beside the lease table: the newest one.

#[cfg(test)]
mod tests {
    use kcl_core::lease::LeaseTable;
    use kcl_local::SqliteLeaseTable;

    #[tokio::test]
    async fn a_lease_table_and_the_newest_rusqlite_are_in_one_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = SqliteLeaseTable::open(folder.path().join("leases.sqlite"), "application")
            .await
            .expect("open");
        table.setup().await.expect("setup");
        let own = rusqlite::Connection::open_in_memory().expect("a database of its own");
        let sum: i64 = own
            .query_row("SELECT 1 + 1", (), |row| row.get(0))
            .expect("a row");
        assert_eq!(sum, 2);
    }
}
