//! Gradients on devices of other processes and machines, over burn's remote backend.
//!
//! A step is one operation of ours in a session of burn's: weights, noise and the indices of the windows go there, the gradient comes back.
//! The server computes it as this process would, by the same fused operations, so that it has the same bits; a session of single tensor
//! operations would be many messages a step, each of them unfused.

pub mod client;
mod message;
mod parameters;
pub mod server;
