//! Record processors in Python, Node.js, .NET and Ruby, unchanged and without a JVM: what the
//! `MultiLangDaemon` of the Java KCL is, as a library. The command `kcl multilang` is made of it.
//!
//! A processor runs in a child process, one for each shard, and talks with the daemon over its
//! standard input and output, by means of the libraries `amazon_kclpy`, `aws-kcl`,
//! `Amazon.Kinesis.ClientLibrary` and `aws-kclrb`.

pub mod protocol;
