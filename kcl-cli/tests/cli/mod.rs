//! `kcl` on real tables, with real workers.

mod asked;
mod changed;
mod dynamodb_local;
mod fleet;
mod kept;
mod lags;
mod letters;
mod multilang;
mod page;
mod program;
mod replayed;
mod scene;
mod seen;
mod served;
mod shown;
mod steered;
