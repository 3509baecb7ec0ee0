//! What operators see: metrics, the access log, the gateway's own log.

pub mod access_log;
pub mod discovery;
pub mod health;
pub mod iam;
mod json;
pub mod limits;
pub mod line;
pub mod log;
pub mod metrics;
mod page;
pub mod queues;
pub mod retries;
pub mod tenants;
