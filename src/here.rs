//! This machine and this moment, as logs and locks name them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Of this machine, as writers and attempts name it.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string()
}

/// Seconds since the Unix epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
