//! What the tests share: an application on either database with a clock that stands still, and the seeded simulation.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a test that cannot go on panics")]

pub mod app;
pub mod books;
pub mod cluster;
pub mod database;
pub mod dns;
pub mod fleet;
pub mod hook;
pub mod netns;
pub mod program;
pub mod raw;
pub mod signed;
pub mod sim;
pub mod smtp;
pub mod ssh;
pub mod web;

pub use app::App;
pub use database::Kind;

/// One story, told on both databases: `on_both!(name(app) { … });` makes the tests `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($name:ident($app:ident) $story:block) => {
        mod $name {
            #[allow(unused_imports, reason = "not every story needs all of the file's imports")]
            use super::*;
            async fn story($app: &mut $crate::App) $story
            #[tokio::test]
            async fn sqlite() { $crate::app::tell($crate::Kind::Sqlite, async |app: &mut $crate::App| story(app).await).await }
            #[tokio::test]
            async fn postgres() { $crate::app::tell($crate::Kind::Postgres, async |app: &mut $crate::App| story(app).await).await }
        }
    };
}
