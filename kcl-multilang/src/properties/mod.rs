//! The properties file of the Java daemon: how it is read, and what becomes of each key.

mod config;
mod credentials;
mod java;
mod keys;
mod own_keys;
mod values;

pub use config::DaemonConfig;
pub use credentials::CredentialsProvider;
pub use java::{BadEscape, JavaProperties};
pub use own_keys::OnChildError;

/// A key of a file, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it sets, or why it sets nothing.
    pub effect: String,
    /// Whether it sets anything.
    pub sets: bool,
}

/// Why a properties file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PropertiesError {
    /// It is no properties file.
    #[error("the properties file cannot be read: {0}")]
    Format(#[from] BadEscape),
    /// A key that has no default is missing.
    #[error("the properties file has no `{key}`: expected {what}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What it stands for.
        what: &'static str,
    },
    /// A value cannot be.
    #[error("`{key}` is `{value}` in the properties file: expected {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// None of the providers of credentials is known.
    #[error("`AwsCredentialsProvider` is `{value}` in the properties file: {why}")]
    NoCredentials {
        /// The value.
        value: String,
        /// What is wrong with each of them.
        why: String,
    },
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
