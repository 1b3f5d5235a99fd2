//! The trainer, as its users run it, and what it makes.

mod auto;
mod calibrate;
mod command_line;
mod errors;
#[cfg(unix)]
mod faults;
mod hostile;
mod hostile_sizes;
mod import;
mod loggers;
mod machines;
mod missing;
mod next_steps;
#[cfg(target_os = "linux")]
mod peak_memory;
#[cfg(unix)]
mod pipes;
mod readers;
mod readme;
mod real_data;
mod recordings;
mod report;
mod reproducible;
mod signing;
mod small_changes;
mod trim;
#[cfg(unix)]
mod tutorial;
mod watch;
mod workplace;
