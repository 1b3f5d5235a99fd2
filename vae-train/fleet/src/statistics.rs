//! Counts and what may be behind them.

pub mod interval;
#[path = "../../src/statistics/poisson.rs"]
pub mod poisson;
