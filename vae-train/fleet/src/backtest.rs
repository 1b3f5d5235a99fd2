//! What the device's detectors would have said of a fleet's past.

mod columns;
#[cfg(feature = "ballista")]
pub mod elsewhere;
#[cfg(feature = "ballista")]
pub mod judging;
pub mod machine;
pub mod page;
pub mod report;
pub mod run;
pub mod summary;
pub mod tally;
