//! `kcl` on real tables, with real workers.

mod program;
mod scene;
mod seen;
