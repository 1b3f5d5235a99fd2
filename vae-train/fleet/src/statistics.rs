//! Counts and what may be behind them.

pub mod interval;
#[cfg_attr(test, expect(clippy::disallowed_methods, reason = "its tests' own, in the trainer allowed"))]
#[path = "../../src/statistics/poisson.rs"]
pub mod poisson;
