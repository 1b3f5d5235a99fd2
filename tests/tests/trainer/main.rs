//! The trainer, as its users run it, and what it makes.

#[cfg(target_os = "linux")]
mod any_size;
mod auto;
mod blame;
mod calibrate;
mod card;
mod categorical;
#[cfg(unix)]
mod closed_pipes;
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
mod manual;
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
mod source_forms;
#[cfg(target_os = "linux")]
mod terminals;
mod trim;
#[cfg(unix)]
mod tutorial;
mod watch;
mod workplace;
