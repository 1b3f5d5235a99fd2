//! The trainer, as its users run it, and what it makes.

mod auto;
mod blame;
mod calibrate;
mod categorical;
mod command_line;
mod covariance;
mod density;
mod errors;
#[cfg(unix)]
mod faults;
mod hostile;
mod hostile_sizes;
mod import;
mod judges;
mod likelihood;
mod loggers;
mod machines;
mod missing;
mod mixed;
mod next_steps;
mod numpy;
#[cfg(target_os = "linux")]
mod peak_memory;
#[cfg(unix)]
mod pipes;
mod readers;
mod readme;
mod real_data;
mod record;
mod recordings;
mod report;
mod reproducible;
mod second_stage;
mod signing;
mod simpler;
mod small_changes;
mod sound;
#[cfg(target_os = "linux")]
mod terminals;
mod trim;
#[cfg(unix)]
mod tutorial;
mod watch;
mod workplace;
