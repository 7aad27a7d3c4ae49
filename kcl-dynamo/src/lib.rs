//! The DynamoDB lease table of the `kcl-core` consumer framework.
