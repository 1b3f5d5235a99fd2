//! Words, numbers and files, as people read them: the trainer's own sources, compiled here by themselves, for the trainer brings burn with it.

#[allow(dead_code, reason = "the trainer's, which needs more of it")]
#[path = "../../src/words/foreign.rs"]
pub mod foreign;
#[allow(dead_code, reason = "the trainer's, which needs more of it")]
#[path = "../../src/words/numbers.rs"]
pub(crate) mod numbers;
#[allow(dead_code, reason = "the trainer's, which needs more of it")]
#[cfg_attr(test, expect(clippy::disallowed_methods, reason = "its tests' own"))]
#[path = "../../src/words/output.rs"]
pub mod output;
#[allow(dead_code, reason = "the trainer's, which needs more of it")]
#[path = "../../src/words/rates.rs"]
pub mod rates;
pub mod sizes;
