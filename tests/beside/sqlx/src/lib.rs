//! A program that has sqlx's sqlite beside the lease table.

#[cfg(test)]
mod tests {
    use kcl_core::lease::LeaseTable;
    use kcl_local::SqliteLeaseTable;
    use sqlx::{Connection, SqliteConnection};

    #[tokio::test]
    async fn a_lease_table_and_the_sqlite_of_sqlx_are_in_one_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = SqliteLeaseTable::open(folder.path().join("leases.sqlite"), "application")
            .await
            .expect("open");
        table.setup().await.expect("setup");
        let mut own = SqliteConnection::connect("sqlite::memory:")
            .await
            .expect("a database of its own");
        let sum: i64 = sqlx::query_scalar("SELECT 1 + 1")
            .fetch_one(&mut own)
            .await
            .expect("a row");
        assert_eq!(sum, 2);
    }
}
